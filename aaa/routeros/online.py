"""Live sessions as a router's own menus show them: ended there, or looked at. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aaa.domain.rate_limit import BadRateLimit, Pair, parse

PPP: Final = "/ppp/active"
HOTSPOT: Final = "/ip/hotspot/active"
QUEUES: Final = "/queue/simple"


@dataclass(frozen=True, slots=True)
class Online:
    """A session in the words that its router used in accounting; `ppp` is False on a hotspot."""

    ppp: bool
    username: str
    acct_session_id: str
    framed_ip: str | None

    @property
    def menu(self) -> str:
        return PPP if self.ppp else HOTSPOT

    @property
    def user_field(self) -> str:
        """The field of the menu that holds the user's name."""
        return "name" if self.ppp else "user"

    @property
    def queue(self) -> str:
        """What its dynamic queue is called, if the user has no other session."""
        return f"<{'pppoe' if self.ppp else 'hotspot'}-{self.username}>"


@dataclass(frozen=True, slots=True)
class End:
    """End this session over the API."""

    session: Online


@dataclass(frozen=True, slots=True)
class Look:
    """See what this session has."""

    session: Online


class Seen(NamedTuple):
    """What a router shows of a session: whether it is online; its rate limit in bits per second, None: that cannot be
    told; the lists that its address is on.
    """

    online: bool
    rate: Pair | None = None
    lists: frozenset[str] = frozenset()


def mine(session: Online, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The `.id`s of the rows of a user that are this session: by its Acct-Session-Id where rows tell theirs, else by
    address. A row that tells neither is his; one that tells another is not.
    """
    return [str(row[".id"]) for row in rows if _is(session, row)]


def rate_of(rows: Sequence[Mapping[str, object]], queues: Sequence[Mapping[str, object]]) -> Pair | None:
    """The rate limit that a router applies; `rows` are the user's sessions, `queues` those of his queue's name."""
    if len(rows) != 1 or len(queues) != 1:
        return None
    try:
        return parse(str(queues[0].get("max-limit", "0/0"))).max_limit
    except BadRateLimit:
        return None


def _is(session: Online, row: Mapping[str, object]) -> bool:
    told = str(row.get("session-id", "")).lower().removeprefix("0x").lstrip("0")
    known = session.acct_session_id.lower().removeprefix("0x").lstrip("0")
    if told and known:
        return told == known
    address = str(row.get("address", ""))
    return not address or session.framed_ip is None or address == session.framed_ip
