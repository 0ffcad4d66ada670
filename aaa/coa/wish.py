"""A claimed wish, "plan this session again", with all that is needed to act on it, and what came of it. Pure."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from aaa.coa.messages import Target
from aaa.coa.plan import LiveSession, TimeoutBase, Wanted
from aaa.domain.rank import NEITHER
from aaa.domain.router import ListLever
from aaa.domain.timeline import Profile
from aaa.radius.integrity import Secret
from aaa.routeros.lists import Listing

Result = Literal["ack", "nak", "timeout", "error", "superseded", "ineffective"]
"""`ineffective`: it was acknowledged, and then proved to have changed nothing."""


class Stored(NamedTuple):
    """What came of a Listing: `lists` the session is on now. `superseded` sessions are on none any more."""

    session_id: int
    lists: tuple[str, ...]
    superseded: tuple[int, ...]


class Planned(NamedTuple):
    """A Listing, the sessions whose addresses it takes over, and the lists to store until its outcome is known."""

    listing: Listing
    superseded: tuple[int, ...]
    may_have: str | None


@dataclass(frozen=True, slots=True)
class Router:
    """Where a session's requests go. `secrets`: the current one and, during a rotation, the previous one; none if they
    could not be opened. `base`: what it counts a Session-Timeout from. `lever`: what puts addresses onto lists.
    `interval`: microseconds between two Disconnects. `has_api`: it is a peer of the RouterOS API. `keeps_packets`:
    what is sent to it is stored."""

    nas_id: int
    name: str
    source: str
    address: tuple[str, int]
    secrets: tuple[Secret, ...]
    base: TimeoutBase
    lever: ListLever
    interval: int
    has_api: bool
    keeps_packets: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """A claimed row with all that is needed to act on it. Instants and `interim` are microseconds.

    `cause` is what asked for it (payment, boundary, …), `reason` why the wanted verdict is no plain allow. `since` is
    what latency counts from: `requested_at`, or later if it was put off until a time of its own. `crowded`: the service
    has too many sessions and this is the newcomer; `locked_out`: it is bound to another device (caller-id-lock).
    `replicated`: every live replica has the wanted version. Before `rests_until` the session is not to be cut off:
    those before it were. `lists`: what its router's API is to be told; with `ended` that is all there is to do.
    `rank`: whether it gets more or less (aaa.domain.rank); `rung`: what was acknowledged and had no effect
    (aaa.coa.proof); `turn_at`: its place in the line of those whose router is to end them, 0: it has none.
    """

    session_id: int
    event_id: int | None
    wanted_version: int
    cause: str
    requested_at: int
    since: int
    tries: int
    session: LiveSession
    wanted: Wanted
    target: Target
    router: Router
    reason: str | None
    interim: int
    crowded: bool
    locked_out: bool
    replicated: bool
    rests_until: int
    lists: Planned | None = None
    ended: bool = False
    rank: int = NEITHER
    rung: int = 0
    turn_at: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """One request and what came of it; `attributes` as asked, `latency` microseconds from the wish's `since`, `octets`
    the datagram where its router keeps them."""

    at: int
    kind: Literal["coa", "disconnect", "api"]
    attributes: Profile
    result: Result
    error_cause: int | None
    sends: int
    latency: int | None
    octets: bytes | None = None


class Awaited(NamedTuple):
    """What a router acknowledged at `told_at` is to be proven: looked for at `look_at` (aaa.coa.proof)."""

    rung: int
    told_at: int
    look_at: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to store about a wish.

    `again_at` None: it is fulfilled, the row goes unless a newer wish is in it. `session`: what the router has now, and
    `lists` what it has of those; `prolonged`: no more than its end was put off. `proof`: what is yet to be proven.
    With `turn_at` it waits in the line of its router, and is claimed from there.
    """

    wish: Wish
    told: tuple[Told, ...] = ()
    again_at: int | None = None
    tries: int = 0
    session: LiveSession | None = None
    lists: Stored | None = None
    prolonged: bool = False
    proof: Awaited | None = None
    turn_at: int = 0
