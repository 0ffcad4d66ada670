"""Tables of the fake RouterOS: ids, order, indexes and watchers under any run of operations."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledgate.lab.routeros.device import MENUS
from ledgate.lab.routeros.query import Query
from ledgate.lab.routeros.tables import Row, Table
from ledgate.lab.routeros.trap import Trap
from ledgate.lab.routeros.values import parse_time, print_time

NAMES = st.sampled_from("abcd")
PLACES = st.integers(0, 40)


class Rules(RuleBasedStateMachine):
    """An ordered table beside a plain list that ought to be the same."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(MENUS["/ip/firewall/filter"], (7, 16))
        self.wanted: list[tuple[int, str]] = []
        self.given: set[int] = set()
        self.heard: dict[int, str] = {}
        self.table.watchers.append(self.hear)

    def hear(self, row: Row, gone: bool) -> None:
        if gone:
            del self.heard[row.number]
        else:
            self.heard[row.number] = row.values["comment"]

    def at(self, place: int) -> int:
        return place % len(self.wanted)

    def row(self, place: int) -> Row:
        return self.table.rows[self.wanted[place][0]]

    @rule(comment=NAMES, place=st.none() | PLACES)
    def add(self, comment: str, place: int | None) -> None:
        at = len(self.wanted) if place is None or not self.wanted else self.at(place)
        before = self.row(at) if at < len(self.wanted) else None
        row = self.table.append({"chain": "forward", "comment": comment}, before=before)
        assert row.number not in self.given
        self.given.add(row.number)
        self.wanted.insert(at, (row.number, comment))

    @rule(place=PLACES, comment=NAMES)
    def change(self, place: int, comment: str) -> None:
        if self.wanted:
            at = self.at(place)
            self.table.change(self.row(at), {"comment": comment})
            self.wanted[at] = (self.wanted[at][0], comment)

    @rule(place=PLACES)
    def remove(self, place: int) -> None:
        if self.wanted:
            at = self.at(place)
            self.table.remove(self.row(at))
            del self.wanted[at]

    @rule(places=st.lists(PLACES, min_size=1, max_size=3), destination=st.none() | PLACES)
    def move(self, places: list[int], destination: int | None) -> None:
        if not self.wanted:
            return
        moved = list(dict.fromkeys(self.wanted[self.at(place)] for place in places))
        target = None if destination is None else self.wanted[self.at(destination)]
        rows = [self.table.rows[number] for number, _ in moved]
        if target in moved:
            with pytest.raises(Trap):
                self.table.move(rows, self.table.rows[target[0]])
            return
        self.table.move(rows, None if target is None else self.table.rows[target[0]])
        rest = [one for one in self.wanted if one not in moved]
        at = len(rest) if target is None else rest.index(target)
        self.wanted = rest[:at] + moved + rest[at:]

    @invariant()
    def is_the_same(self) -> None:
        assert [(row.number, row.values["comment"]) for row in self.table] == self.wanted
        assert self.heard == dict(self.wanted)

    @invariant()
    def is_found_by_what_it_says(self) -> None:
        for comment in "ab":
            query = Query([f"?comment={comment}", "?comment=c", "?#|"])
            found = [row.number for row, _ in self.table.selected(query, 0)]
            assert found == [number for number, said in self.wanted if said in (comment, "c")]


TestRules = Rules.TestCase
TestRules.settings = settings(max_examples=40, stateful_step_count=30)


@pytest.mark.parametrize(
    ("microseconds", "seven", "six"),
    [
        (0, "0s", "00:00:00"),
        (300_000_000, "5m", "00:05:00"),
        (93_784_000_000, "1d2h3m4s", "1d02:03:04"),
        (1_209_600_000_000, "2w", "2w00:00:00"),
        (300_000, "300ms", "00:00:00.300"),
        (1_100_000, "1s100ms", "00:00:01.100"),
    ],
)
def test_times_are_printed_in_two_ways_and_read_in_both(microseconds: int, seven: str, six: str) -> None:
    assert (print_time(microseconds, (7, 16)), print_time(microseconds, (6, 49))) == (seven, six)
    assert parse_time(seven) == parse_time(six) == microseconds


@pytest.mark.parametrize("bad", ["", "soon", "5", "5x", "1m1", "1:2", "-5s", "5 m"])
def test_what_is_no_time_is_refused(bad: str) -> None:
    if bad == "5":
        assert parse_time(bad) == 5_000_000
    else:
        with pytest.raises(ValueError):
            parse_time(bad)
