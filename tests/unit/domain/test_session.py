"""What accounting records make of sessions: every octet once, whatever routers do."""

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.session import INTERIM, SECOND, START, STOP, TOLERANCE, Record, Roll, device_of
from tests.unit.domain.sessions import SERVICE, Book, T, life, record


def test_start_interim_stop() -> None:
    book = Book()
    book.take(record(START, 0))
    assert (book.one().closed_at, book.one().seconds, book.used) == (None, 0, [0, 0, 0])
    book.take(record(INTERIM, 300, 300, 10, 100))
    assert (book.one().seconds, book.one().up, book.one().down) == (300, 10, 100)
    book.take(record(STOP, 400, 400, 15, 120))
    row = book.one()
    assert (row.closed_at, row.closed_by, row.seconds, row.up, row.down) == (T + 400 * SECOND, "stop", 400, 15, 120)
    assert book.used == [15, 120, 400]


def test_every_order_of_a_session_counts_each_octet_once() -> None:
    for order in permutations(life()):
        book = Book()
        book.take_each(order)
        row = book.one()
        assert (row.seconds, row.up, row.down, row.closed_by) == (1000, 4000, 40000, "stop"), order
        assert (row.started_at, row.closed_at) == (T, T + 1000 * SECOND)
        assert book.used == [4000, 40000, 1000]


@given(st.lists(st.integers(0, 4), min_size=5, max_size=14), st.integers(1, 14), st.integers(0, 2**32))
def test_orders_with_repeats_in_batches_end_alike(picks: list[int], cut: int, seed: int) -> None:
    records = [life()[at] for at in (*picks, 0, 1, 2, 3, 4)]
    random.Random(seed).shuffle(records)
    book = Book()
    for at in range(0, len(records), cut):
        book.take(*records[at : at + cut])
    row = book.one()
    assert (row.seconds, row.up, row.down, row.closed_by) == (1000, 4000, 40000, "stop")
    assert book.used == [4000, 40000, 1000]


@given(st.permutations([*life(b"k1"), *life(b"k1", 5000), *life(b"k2", 2500)]))
def test_a_reused_id_and_a_reconnecting_device_in_any_order(records: list[Record]) -> None:
    book = Book()
    book.take_each(records)
    assert sorted((row.started_at - T) // SECOND for row in book.rows) == [0, 2500, 5000]
    assert all((row.seconds, row.up, row.down) == (1000, 4000, 40000) for row in book.rows)
    assert all(row.closed_at is not None for row in book.rows)
    assert book.used == [12000, 120000, 3000]


def test_a_repeated_record_changes_nothing() -> None:
    for upto in range(1, 6):
        book = Book()
        book.take_each(life()[:upto])
        for one in life()[:upto]:
            roll = book.take(one)
            assert (roll.changed(), roll.made, roll.usage) == ([], [], [])


def test_a_late_record_may_only_raise_a_closed_sessions_counters() -> None:
    book = Book()
    book.take_each([life()[0], life()[4]])
    closed_at = book.one().closed_at
    book.take(life()[2])
    assert book.used == [4000, 40000, 1000]
    roll = book.take(record(INTERIM, 1000, 1000, 4000, 41000))
    row = book.one()
    assert (row.down, row.closed_at, row.closed_by) == (41000, closed_at, "stop")
    assert book.used == [4000, 41000, 1000]
    assert [one.moved for one in roll.changed()] == [False]


def test_a_late_record_moves_the_last_counted_second_that_closed_a_session() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 300, 300, 1, 1))
    book.take(record(START, 500, key=b"k2"))
    old = book.rows[0]
    assert (old.closed_by, old.closed_at) == ("replaced", T + 300 * SECOND)
    book.take(record(STOP, 490, 490, 9, 9))
    old = book.rows[0]
    assert (old.closed_by, old.closed_at, old.seconds) == ("replaced", T + 490 * SECOND, 490)


def test_an_interim_before_the_start_makes_the_session() -> None:
    book = Book()
    roll = book.take(record(INTERIM, 300, 300, 10, 100))
    assert [one.opened for one in roll.made] == [True]
    assert (book.one().started_at, book.one().closed_at, book.used) == (T, None, [10, 100, 300])
    book.take(record(START, 0))
    assert (book.one().seconds, book.used) == (300, [10, 100, 300])


def test_a_start_within_five_minutes_is_the_same_session_and_beyond_another() -> None:
    tolerance = TOLERANCE // SECOND
    book = Book()
    book.take(record(START, 0))
    book.take(record(INTERIM, 600 + tolerance, 600, 5, 5))
    assert len(book.rows) == 1
    book.take(record(INTERIM, 1201 + tolerance, 1200, 6, 6))
    assert [row.closed_by for row in book.rows] == ["reused", None]


def test_a_reused_id_closes_the_earlier_session_at_its_last_counted_second() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 300, 300, 10, 100))
    book.take(record(START, 1000, device="02:00:00:00:00:02"))
    old, new = book.rows
    assert (old.closed_by, old.closed_at) == ("reused", T + 300 * SECOND)
    assert (new.closed_at, new.seconds) == (None, 0)


def test_a_late_record_of_an_earlier_session_of_a_reused_id_leaves_the_present_one_open() -> None:
    book = Book()
    book.take(record(START, 1000))
    book.take(record(INTERIM, 300, 300, 10, 100))
    new, old = book.rows
    assert (old.closed_by, old.closed_at, new.closed_at) == ("reused", T + 300 * SECOND, None)
    assert book.used == [10, 100, 300]


def test_a_stop_of_a_lost_session_proves_the_earlier_one_of_its_id_over() -> None:
    book = Book()
    book.take(record(START, 0))
    book.take(record(STOP, 2000, 500, 1, 1))
    assert [(row.closed_by, row.started_at) for row in book.rows] == [("reused", T), ("stop", T + 1500 * SECOND)]


def test_a_start_closes_the_devices_other_session_at_its_last_counted_second() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 300, 300, 10, 100))
    roll = book.take(record(START, 900, key=b"k2", device="02-00-00-00-00-01"))
    old, new = book.rows
    assert (old.closed_by, old.closed_at, new.closed_at) == ("replaced", T + 300 * SECOND, None)
    assert [one.others for one in roll.made] == [0]


def test_a_start_leaves_another_devices_session_and_counts_it() -> None:
    book = Book()
    book.take(record(START, 0))
    roll = book.take(record(START, 900, key=b"k2", device="02:00:00:00:00:02"))
    assert [row.closed_at for row in book.rows] == [None, None]
    assert [one.others for one in roll.made] == [1]


def test_a_start_leaves_the_devices_session_that_started_later() -> None:
    book = Book()
    book.take(record(START, 900, key=b"k2"))
    book.take(record(START, 0))
    new, old = book.rows
    assert new.closed_at is None
    assert (old.closed_by, old.closed_at) == ("replaced", T)


def test_a_repeated_start_of_an_ended_session_leaves_one_of_the_same_second() -> None:
    book = Book()
    book.take(record(START, 0), record(STOP, 0), record(START, 0, key=b"k2"))
    book.take(record(START, 0))
    assert [row.closed_at for row in book.rows] == [T, None]


@pytest.mark.parametrize(("service", "device"), [(None, "02:00:00:00:00:01"), (SERVICE, "")])
def test_no_session_is_replaced_without_service_and_calling_station_id(service: int | None, device: str) -> None:
    book = Book(service)
    book.take(record(START, 0, device=device))
    book.take(record(START, 900, key=b"k2", device=device))
    assert [row.closed_at for row in book.rows] == [None, None]


def test_what_nobody_owns_is_recorded_but_no_usage() -> None:
    book = Book(None)
    book.take_each(life())
    assert (book.one().down, book.used) == (40000, [0, 0, 0])


def test_a_later_interim_reopens_a_stale_session_and_adds_only_the_difference() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 300, 300, 10, 100))
    book.close_stale()
    roll = book.take(record(INTERIM, 3000, 3000, 25, 150))
    row = book.one()
    assert (row.closed_at, row.closed_by, row.seconds, row.up, row.down) == (None, None, 3000, 25, 150)
    assert [(one.opened, one.moved) for one in roll.changed()] == [(True, True)]
    assert book.used == [25, 150, 3000]


def test_a_repeated_interim_leaves_a_stale_session_closed() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 300, 300, 10, 100))
    book.close_stale()
    book.take(record(INTERIM, 300, 300, 10, 100), record(START, 0))
    assert (book.one().closed_by, book.used) == ("stale", [10, 100, 300])


def test_a_stop_ends_a_stale_session_properly() -> None:
    book = Book()
    book.take(record(START, 0))
    book.close_stale()
    book.take(record(STOP, 500, 500, 1, 2))
    row = book.one()
    assert (row.closed_by, row.closed_at, book.used) == ("stop", T + 500 * SECOND, [1, 2, 500])


def test_a_stale_session_stays_closed_while_a_later_one_of_its_id_is_open() -> None:
    book = Book()
    book.take(record(START, 0))
    book.close_stale()
    book.take(record(START, 2000, device="02:00:00:00:00:02"))
    book.take(record(INTERIM, 600, 600, 1, 2))
    assert [row.closed_by for row in book.rows] == ["stale", None]
    assert book.used == [1, 2, 600]


def test_an_interim_after_a_router_s_restart_shows_that_the_session_lives() -> None:
    book = Book()
    book.take(record(START, 0))
    row = book.one()
    row.closed_at, row.closed_by, row.recorded_at = T, "nas", T + 200 * SECOND  # Accounting-On
    book.take(record(INTERIM, 150, 150, 1, 2))
    assert (book.one().closed_by, book.used) == ("nas", [1, 2, 150]), "that was of before"
    book.take(record(INTERIM, 300, 300, 3, 4))
    assert (book.one().closed_by, book.one().closed_at, book.used) == (None, None, [3, 4, 300])


@pytest.mark.parametrize("cause", ["replaced", "reused"])
def test_a_successor_is_not_disproved_by_an_interim(cause: str) -> None:
    book = Book()
    book.take(record(START, 0))
    row = book.one()
    row.closed_at, row.closed_by = T, cause
    book.take(record(INTERIM, 300, 300, 1, 2))
    assert (book.one().closed_by, book.one().closed_at, book.used) == (cause, T + 300 * SECOND, [1, 2, 300])


def test_a_record_of_after_the_start_is_about_the_open_session_whatever_time_it_counts() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 5, 900, 10, 20), record(STOP, 9, 1800, 30, 40))
    assert (len(book.rows), book.one().closed_by, book.used) == (1, "stop", [30, 40, 1800])


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_router_whose_clock_is_put_right_goes_on_with_its_sessions(jump: int) -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 600, 600, 10, 20))
    book.take(record(INTERIM, 900 + jump, 900, 30, 40, heard=900))
    assert (len(book.rows), book.one().closed_at, book.used) == (1, None, [30, 40, 900])


def test_a_restarted_router_gives_an_id_again_at_once_and_repeats_an_old_start_in_vain() -> None:
    book = Book()
    book.take(record(START, 0))
    row = book.one()
    row.closed_at, row.closed_by = T, "nas"
    book.take(record(START, 0))
    assert len(book.rows) == 1
    book.take(record(START, 20))
    assert [(one.started_at, one.closed_by) for one in book.rows] == [(T, "nas"), (T + 20 * SECOND, None)]


def test_interims_without_session_time_count_from_the_start() -> None:
    book = Book()
    book.take(record(START, 0))
    book.take(record(INTERIM, 600, -1, 5, 6))
    assert (len(book.rows), book.one().seconds, book.used) == (1, 600, [5, 6, 600])
    book.take(record(STOP, 900, -1, 7, 8))
    assert (book.one().closed_by, book.used) == ("stop", [7, 8, 900])


def test_addresses_given_after_the_start_are_taken_over_and_never_lost() -> None:
    book = Book()
    book.take(record(START, 0, framed_ip=None))
    roll = book.take(record(INTERIM, 300, 300, framed_ip="10.0.0.9"))
    assert book.one().framed_ip == "10.0.0.9"
    assert [(one.readdressed, one.moved) for one in roll.changed()] == [(True, False)]
    book.take(record(INTERIM, 600, 600, framed_ip=None))
    assert book.one().framed_ip == "10.0.0.9"


def test_an_older_record_does_not_count_as_being_heard() -> None:
    book = Book()
    book.take(record(START, 0), record(INTERIM, 600, 600, 2, 2))
    book.take(record(INTERIM, 300, 300, 1, 1, heard=5000))
    assert (book.one().recorded_at, book.one().heard_at) == (T + 600 * SECOND, T + 600 * SECOND)


def test_a_batch_must_be_prepared_for_what_opens() -> None:
    roll = Roll([], {})
    roll.apply(record(INTERIM, 300, 300, 1, 1))
    assert (roll.unprepared, roll.made, roll.usage) == ({b"k1"}, [], [])


def test_devices_are_compared_by_mac_address() -> None:
    assert device_of("02-00-00-00-00-0a") == device_of("0200.0000.000A") == "02:00:00:00:00:0A"
    assert device_of("10.1.2.3") == "10.1.2.3"
