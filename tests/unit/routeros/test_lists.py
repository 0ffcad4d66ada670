"""The address-lists of sessions: what is wanted, and what to change on a router."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from aaa.routeros.lists import (
    TIMEOUT,
    UNSURE,
    V4,
    V6,
    Clear,
    Drift,
    Entry,
    Listing,
    Missing,
    clearing,
    comment,
    difference,
    drift,
    duration,
    entries,
    menu_of,
    needs,
    read_stored,
    session_of,
    spelled,
    stored,
    wanted_lists,
)

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


def listing(session_id: int, *names: str, at: tuple[str, ...] = ("10.0.0.5",), ended: bool = False) -> Listing:
    return Listing(session_id, at, tuple((name, TIMEOUT) for name in names), "none", ended)


def entry(session_id: int, name: str, address: str = "10.0.0.5", id: str = "*1") -> Entry:
    return Entry(menu_of(address), id, name, address, session_id)


def test_a_profile_s_lists_a_reminder_s_and_a_payment_s_are_wanted() -> None:
    garden = (("Mikrotik-Address-List", ("garden", "slow")), ("Mikrotik-Rate-Limit", "1M/1M"))
    assert wanted_lists(garden, None, None, NOW) == (("garden", TIMEOUT), ("slow", TIMEOUT))
    assert wanted_lists((("Mikrotik-Address-List", "garden"),), None, None, NOW) == (("garden", TIMEOUT),)
    assert wanted_lists((), None, None, NOW) == ()


def test_r5_3_the_list_of_a_reminder_says_what_happens_to_https() -> None:
    assert wanted_lists((), "allow", None, NOW) == (("ledgate-overdue", TIMEOUT),)
    assert wanted_lists((), "reject", None, NOW) == (("ledgate-overdue-reject", TIMEOUT),)
    assert wanted_lists((), "redirect", None, NOW) == (("ledgate-overdue-redirect", TIMEOUT),)


def test_a_card_payment_opens_a_list_for_what_is_left_of_its_time() -> None:
    assert wanted_lists((), None, NOW + 90 * SECOND + 1, NOW) == (("ledgate-paying", 91),)
    assert wanted_lists((), None, NOW, NOW) == ()


def test_what_may_be_on_a_list_is_told_again() -> None:
    assert not needs(None, ())
    assert not needs(("garden",), ("garden",))
    assert needs(("garden",), ())
    assert needs((), ("garden",))
    assert needs(("garden", UNSURE), ("garden",))


def test_lists_are_stored_with_their_doubt() -> None:
    assert stored(()) is None
    assert read_stored(None) == frozenset()
    assert read_stored(stored(("b", "a"))) == {"a", "b"}
    assert read_stored(stored(("a", UNSURE), unsure=True)) == {"a", UNSURE}
    assert read_stored(stored(("a", UNSURE))) == {"a"}


def test_connections_that_a_change_concerns() -> None:
    cases: list[tuple[tuple[str, ...], tuple[str, ...], Clear]] = [
        ((), (), "none"),
        ((), ("garden",), "all"),
        (("garden",), (), "all"),
        ((), ("ledgate-overdue",), "redirected"),
        (("ledgate-overdue",), (), "redirected"),
        (("ledgate-overdue-reject",), ("garden",), "all"),
        (("garden",), ("garden", "ledgate-paying"), "redirected"),
        (("garden", UNSURE), ("garden",), "all"),
        (("garden",), ("garden",), "none"),
    ]
    for before, after, expected in cases:
        assert clearing(before, after) == expected, (before, after)


def test_addresses_are_spelled_as_routeros_does() -> None:
    assert spelled("10.0.0.5") == "10.0.0.5"
    assert spelled("2001:DB8::1") == "2001:db8::1/128"
    assert spelled("2001:db8:0:7::/64") == "2001:db8:0:7::/64"
    assert (menu_of("10.0.0.5"), menu_of("2001:db8::1/128")) == (V4, V6)


def test_a_comment_names_the_session_and_nothing_else_is_ours() -> None:
    assert session_of(comment(12, "garden", "10.0.0.5")) == 12
    for foreign in ("", "ledgate", "ledgate:nat-jump:12345678", "ledgate:sx:12345678", "mine:s12:1", "s12"):
        assert session_of(foreign) is None, foreign


def test_rows_of_others_are_not_seen() -> None:
    rows = [
        {".id": "*1", "list": "garden", "address": "10.0.0.5", "comment": comment(7, "garden", "10.0.0.5")},
        {".id": "*2", "list": "garden", "address": "10.0.0.5", "comment": "by hand"},
        {".id": "*3", "list": "garden", "address": "10.0.0.5"},
    ]
    assert entries(V4, rows) == [entry(7, "garden")]


def test_what_is_there_stays_and_what_is_missing_comes() -> None:
    surplus, missing = difference([listing(7, "garden", "slow")], [entry(7, "garden")])
    assert surplus == []
    assert missing == [Missing(V4, "slow", "10.0.0.5", 7, TIMEOUT)]


def test_a_new_holder_inherits_nothing() -> None:
    old = entry(7, "garden")
    assert difference([listing(8)], [old]) == ([old], [])
    surplus, missing = difference([listing(8, "garden")], [old])
    assert surplus == [old]
    assert missing == [Missing(V4, "garden", "10.0.0.5", 8, TIMEOUT)]


def test_of_an_ended_session_only_its_own_entries_go() -> None:
    own, other = entry(7, "garden"), entry(8, "garden", id="*2")
    assert difference([listing(7, ended=True)], [own, other]) == ([own], [])


def test_an_ended_session_and_the_next_holder_in_one_batch() -> None:
    own = entry(7, "garden")
    surplus, missing = difference([listing(7, ended=True), listing(8, "garden")], [own])
    assert surplus == [own] and [one.session_id for one in missing] == [8]


def test_times_as_routeros_prints_them() -> None:
    cases = {
        "4w2d": 30 * 86_400,
        "1d02:03:04": 86_400 + 2 * 3600 + 3 * 60 + 4,
        "00:05:00": 300,
        "90s": 90,
        "1h5m": 3900,
        "29d23h59m59s": 30 * 86_400 - 1,
        "": None,
        "never": None,
    }
    for text, seconds in cases.items():
        assert duration(text) == seconds, text


def test_a_sweep_finds_what_is_too_much_what_lacks_and_what_runs_out() -> None:
    wanted = [listing(7, "garden"), listing(8, "garden", at=("10.0.0.6",)), listing(9, at=("10.0.0.7",))]
    fine = entry(7, "garden")._replace(left=TIMEOUT - 5)
    left_over = entry(3, "garden", "10.0.0.9", "*2")
    inherited = entry(4, "garden", "10.0.0.7", "*3")
    assert drift(wanted, [fine, left_over, inherited]) == Drift([inherited, left_over], [], [8])
    old = fine._replace(left=TIMEOUT // 2 - 1)
    assert drift(wanted[:1], [old]) == Drift([], [old], [])
    paying = entry(7, "ledgate-paying", id="*4")._replace(left=5)
    assert drift([Listing(7, ("10.0.0.5",), (("ledgate-paying", 5),), "none")], [paying]) == Drift([], [], [])


_ADDRESSES = ("10.0.0.5", "10.0.0.6", "2001:db8::/64")
_NAMES = ("garden", "slow", "ledgate-overdue")


@st.composite
def listings(draw: st.DrawFn) -> list[Listing]:
    ids = draw(st.lists(st.integers(1, 6), unique=True, max_size=4))
    return [
        Listing(
            one,
            tuple(draw(st.lists(st.sampled_from(_ADDRESSES), unique=True, min_size=1))),
            () if ended else tuple((name, TIMEOUT) for name in draw(st.sets(st.sampled_from(_NAMES)))),
            "none",
            ended,
        )
        for one in ids
        for ended in [draw(st.booleans())]
    ]


@st.composite
def present(draw: st.DrawFn) -> list[Entry]:
    keys = draw(st.sets(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_ADDRESSES), st.integers(1, 6)), max_size=8))
    return [entry(one, name, address, f"*{at}") for at, (name, address, one) in enumerate(sorted(keys))]


def applied(wanted: Sequence[Listing], there: Sequence[Entry]) -> set[tuple[str, str, int]]:
    surplus, missing = difference(wanted, there)
    left = {(one.list, one.address, one.session_id) for one in there if one not in surplus}
    return left | {(one.list, one.address, one.session_id) for one in missing}


@given(listings(), present())
def test_a_router_then_has_what_is_wanted_and_a_second_run_changes_nothing(
    wanted: list[Listing], there: list[Entry]
) -> None:
    after = applied(wanted, there)
    holder = {address: one for one in wanted if not one.ended for address in one.addresses}
    for address, one in holder.items():
        assert {(name, session_id) for name, place, session_id in after if place == address} == {
            (name, one.session_id) for name, _ in one.lists
        }
    ended = {one.session_id for one in wanted if one.ended}
    assert not {session_id for _, _, session_id in after} & ended
    again = [entry(one, name, address, f"*{at}") for at, (name, address, one) in enumerate(sorted(after))]
    assert difference(wanted, again) == ([], [])
