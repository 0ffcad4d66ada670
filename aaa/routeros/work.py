"""What a router is asked for over its API, and what comes of it. Pure."""

from typing import Literal, NamedTuple, Protocol

from aaa.routeros.lists import Listing
from aaa.routeros.online import End, Look, Seen

Work = Listing | End | Look


class Kept(NamedTuple):
    """What came of a piece of work. `nak`: the router refused, and said `error`; `timeout`: it could not be reached;
    `error`: a fault of ours; `waits`: nothing was tried. But for `ack` it is to be asked again at `again_at`.
    """

    token: int
    result: Literal["ack", "nak", "timeout", "error", "waits"]
    error: str = ""
    again_at: int = 0
    seen: Seen | None = None


class Keeper(Protocol):
    """Who speaks to routers over their API, in the background; a `token` is the caller's name for a piece of work."""

    def submit(self, token: int, nas_id: int, work: Work) -> None: ...

    def cancel(self, token: int) -> None:
        """Forget a piece of work, unless it is under way."""

    def finished(self) -> list[Kept]:
        """What has ended since the last call."""
