"""What proves or disproves that a router did what it acknowledged."""

from dataclasses import replace

import pytest

from aaa.clock import SECOND
from aaa.coa.plan import CoA, Disconnect, Nothing, prolong
from aaa.coa.proof import (
    API,
    COA,
    DISCONNECT,
    FAILED,
    FIRST_LOOK,
    NEXT_LOOK,
    SLACK,
    First,
    Standing,
    awaited,
    next_rung,
    of_end,
    of_router,
    of_use,
    seen_at,
    wants,
)
from aaa.coa.wish import Awaited
from aaa.domain.grace import grace
from aaa.domain.rate_limit import Pair, parse
from aaa.domain.timeline import Verdict, profile
from aaa.routeros.online import Seen
from tests.unit.coa.jobs import HOME, NOW, SLOW, wish, with_api

TOLD = NOW
LATER = NOW + 300 * SECOND


def standing(at: int, up: int = 0, down: int = 0, *, heard_at: int | None = None, ended: bool = False) -> Standing:
    return Standing(at, at if heard_at is None else heard_at, up, down, ended)


# --- the end of a session --------------------------------------------------------------------------------------------


def test_a_stop_proves_a_disconnect() -> None:
    assert of_end(standing(NOW, ended=True), TOLD, None) == "proven"


def test_a_later_record_disproves_it() -> None:
    assert of_end(standing(LATER), TOLD, None) == "disproven"


def test_a_record_that_was_on_its_way_does_not() -> None:
    assert of_end(standing(TOLD + SLACK), TOLD, None) == "open"
    assert of_end(standing(LATER, heard_at=TOLD), TOLD, None) == "open", "the router's clock is ahead"
    assert of_end(standing(TOLD - 1), TOLD, None) == "open"


def test_what_the_router_shows_decides_before_records_do() -> None:
    assert of_end(standing(TOLD), TOLD, Seen(True)) == "disproven"
    assert of_end(standing(TOLD), TOLD, Seen(False)) == "proven"


# --- a rate ----------------------------------------------------------------------------------------------------------


def test_the_router_shows_the_rate_that_was_asked_for_or_another() -> None:
    def shown(seen: Seen) -> str:
        return of_router(SLOW, seen, lists_by_coa=False)

    assert shown(Seen(True, Pair(1_000_000, 2_000_000))) == "proven"
    assert shown(Seen(True, Pair(20_000_000, 20_000_000))) == "disproven"
    assert shown(Seen(True, Pair(2_000_000, 1_000_000))) == "disproven", "the wrong way round"
    assert shown(Seen(True, None)) == "open"
    assert shown(Seen(False)) == "proven", "it has no such session any more"


def test_the_router_shows_the_lists_that_were_asked_for_or_not() -> None:
    garden = profile([("Mikrotik-Address-List", ("garden", "slow"))])
    assert of_router(garden, Seen(True, None, frozenset(("garden", "slow", "own"))), lists_by_coa=True) == "proven"
    assert of_router(garden, Seen(True, None, frozenset(("slow",))), lists_by_coa=True) == "disproven"
    assert of_router(garden, Seen(True), lists_by_coa=False) == "open", "somebody else puts it there"


@pytest.mark.parametrize(
    ("up", "down", "finding"),
    [
        (0, 0, "proven"),
        (1_000_000 // 8 * 300, 2_000_000 // 8 * 300, "proven"),
        (1_400_000 // 8 * 300, 0, "proven"),  # within what headers and a burst may add
        (1_600_000 // 8 * 300, 0, "disproven"),
        (0, 3_100_000 // 8 * 300, "disproven"),
    ],
)
def test_what_is_used_between_two_records_must_fit_the_limit(up: int, down: int, finding: str) -> None:
    first = First(TOLD + 60 * SECOND, 500, 700)
    later = standing(TOLD + 360 * SECOND, 500 + up, 700 + down)
    assert of_use(parse("1M/2M"), first, later) == finding


def test_a_burst_is_allowed_for_and_no_limit_is_none() -> None:
    first, later = First(TOLD, 0, 0), standing(TOLD + 10 * SECOND, 4_000_000, 0)
    assert of_use(parse("1M/1M"), first, later) == "disproven"
    assert of_use(parse("1M/1M 4M/4M 1M/1M 8/8"), first, later) == "proven"
    assert of_use(parse("0/1M"), first, later) == "proven"


def test_one_record_is_not_two() -> None:
    assert of_use(parse("1M/1M"), First(LATER, 0, 0), standing(LATER, 10**9, 0)) == "open"
    assert seen_at(standing(TOLD), TOLD) is None
    assert seen_at(standing(LATER, 5, 6), TOLD) == First(LATER, 5, 6)


# --- what follows ----------------------------------------------------------------------------------------------------


def test_a_coa_is_followed_by_a_disconnect_that_by_the_api_and_then_all_begins_anew() -> None:
    assert next_rung(COA, True) == next_rung(COA, False) == DISCONNECT
    assert next_rung(DISCONNECT, True) == API
    assert next_rung(DISCONNECT, False) == FAILED
    assert next_rung(API, True) == FAILED


def test_what_a_coa_did_not_change_a_disconnect_does() -> None:
    assert isinstance(wants(wish(), NOW), CoA)
    assert wants(wish(rung=DISCONNECT), NOW) == Disconnect("the CoA had no effect")
    assert wants(wish(rung=DISCONNECT, wanted=HOME), NOW) == Nothing(), "it has what it is to have by now"
    assert wants(wish(rung=API, verdict=Verdict.DENY), NOW) == Disconnect("denied")
    assert wants(replace(wish(rung=API), ended=True), NOW) == Nothing()


def test_what_is_awaited_is_looked_for_soon_where_something_shows_it() -> None:
    told = CoA(SLOW, None)
    assert awaited(wish(), Disconnect("denied"), NOW) == Awaited(DISCONNECT, NOW, NOW + FIRST_LOOK)
    assert awaited(wish(), None, NOW) == Awaited(API, NOW, NOW + FIRST_LOOK)
    assert awaited(wish(), told, NOW) == Awaited(COA, NOW, NOW + 300 * SECOND + NEXT_LOOK)
    assert awaited(wish(router=with_api()), told, NOW) == Awaited(COA, NOW, NOW + FIRST_LOOK)
    assert awaited(wish(), CoA((("Session-Timeout", 5),), None), NOW) is None, "nothing shows that"


# --- a session whose turn to be cut off comes late -------------------------------------------------------------------


def test_a_router_is_kept_from_ending_what_has_its_turn_later() -> None:
    session = wish(7, given_end=NOW).session
    turn = NOW + 500 * SECOND
    told = prolong(session, turn, "from_start", NOW)
    assert told is not None and told.given_end == turn
    [(name, seconds)] = told.attributes
    assert name == "Session-Timeout"
    assert session.started_at + int(str(seconds)) * SECOND == turn + grace(7) * SECOND
    from_now = prolong(session, turn, "from_now", NOW)
    assert from_now is not None
    assert from_now.attributes == (("Session-Timeout", 500 + grace(7)),)


def test_a_session_with_no_end_or_a_late_one_needs_none_of_that() -> None:
    assert prolong(wish(7).session, NOW + SECOND, "from_start", NOW) is None
    assert prolong(wish(7, given_end=NOW).session, NOW + 10 * SECOND, "from_start", NOW) is None
    again = replace(wish(7).session, given_end=NOW + 500 * SECOND)
    assert prolong(again, NOW + 500 * SECOND, "from_start", NOW) is None, "it was told so already"
