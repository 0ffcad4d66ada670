"""How routers enforce verdicts: by which lever an address comes onto a list, and what our lists are called. Pure."""

from typing import Final, Literal, cast, get_args

ListLever = Literal["coa", "api", "disconnect"]
"""What puts a live session's addresses onto a list: a CoA, the RouterOS API, or a new login after a Disconnect."""

LEVERS: Final[tuple[ListLever, ...]] = get_args(ListLever)

OVERDUE: Final = "ledgate-overdue"
"""Who is to be reminded. With `-reject` or `-redirect` behind it, HTTPS is rejected or redirected meanwhile (R5.3)."""
PAYING: Final = "ledgate-paying"
"""Who pays by card just now: his bank's pages may be anywhere."""
ALLOWED: Final = "ledgate-allowed"
"""What everybody may reach: allowed pages (R4.11)."""

HTTPS_OFFSET: Final = 10_000
"""A router's redirect of HTTPS leads to its portal port plus this."""
FIRST_PORTAL_PORT: Final = 8_601
"""The portal itself has 8600."""
LAST_PORTAL_PORT: Final = FIRST_PORTAL_PORT + HTTPS_OFFSET - 1


def list_lever(chosen: str | None, api_host: str | None) -> ListLever:
    """The lever of a router that has `chosen` one, or has none chosen: the API where there is one."""
    if chosen is not None:
        return cast(ListLever, chosen)
    return "api" if api_host is not None else "disconnect"


def overdue_list(https: str) -> str:
    """The list of those to be reminded, by what happens to their HTTPS: allow, reject or redirect."""
    return OVERDUE if https == "allow" else f"{OVERDUE}-{https}"


OVERDUE_LISTS: Final = tuple(overdue_list(https) for https in ("allow", "reject", "redirect"))
