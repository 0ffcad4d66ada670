"""Mass changes: facts at once, timelines in batches, resumable, marked pending until they are reached."""

from typing import Any

import pytest

from aaa.commands import door, jobs
from aaa.commands.jobs import pending, run_batch
from aaa.commands.recompile import recompile
from aaa.domain.timeline import Verdict
from aaa.store.database import Database
from aaa.store.tables import access, event, job, timeline_history
from billing.commands import pay
from tests.integration.ledger import DAY, EXAMPLE, NOW, content, example, put, ref, rows, subscriber, timeline_of

BATCH = 7
STRICTER = {"controls": [{"name": "Home-Users", "max_debt": 1}]}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "INLINE", BATCH)
    monkeypatch.setattr(jobs, "INLINE", BATCH)


@pytest.fixture
def crowd(database: Database, small_batches: None) -> list[str]:
    """Twenty who owe a little."""
    names = [f"u{number:02}" for number in range(20)]
    put(database, example(subscribers=[subscriber(name, -5) for name in names]))
    return names


def _restricted(db: Database, names: list[str]) -> list[bool]:
    return [timeline_of(db, name)[0].at(NOW).verdict is Verdict.RESTRICT for name in names]


def _pending(db: Database, name: str) -> bool:
    service_id = ref(db, name).service_id
    with db.read() as conn:
        return pending(conn, service_id)


def test_a_change_for_more_than_a_thousand_services_is_a_job(database: Database) -> None:
    crowd = [subscriber(f"u{number:04}", -5) for number in range(door.INLINE)]
    counts = put(database, example(subscribers=crowd))
    assert counts.jobs == []  # all are new: compiled with the change, however many they are
    assert len(rows(database, access)) == door.INLINE + 1
    counts = put(database, STRICTER)
    [left] = rows(database, job)
    assert counts.jobs == [left.id]
    [told] = rows(database, event, event.c.id == left.event_id)
    assert (told.kind, told.subject) == ("update", "DebitControl:Home-Users")
    assert (left.kind, left.level, left.scope_id, left.cursor, left.done_at) == ("control", "server", 0, 0, None)
    assert rows(database, timeline_history) == []
    assert run_batch(database, NOW) and run_batch(database, NOW) and not run_batch(database, NOW)
    history = rows(database, timeline_history)
    assert len(history) == door.INLINE and {row.event_id for row in history} == {left.event_id}


def test_a_thousand_are_compiled_at_once(database: Database) -> None:
    put(database, example(subscribers=[subscriber(f"u{number:04}", -5) for number in range(door.INLINE - 1)]))
    assert put(database, STRICTER).jobs == []
    assert len(rows(database, timeline_history)) == door.INLINE - 1  # ali is a VIP


def test_new_services_do_not_make_a_job_of_a_small_change(database: Database, small_batches: None) -> None:
    put(database, EXAMPLE)
    crowd = [subscriber(f"u{number}", -5) for number in range(20)]
    assert put(database, STRICTER | {"subscribers": crowd}).jobs == []
    assert all(_restricted(database, [f"u{number}" for number in range(20)]))


def test_several_scopes_that_are_small_one_by_one_are_not_compiled_at_once(
    database: Database, small_batches: None
) -> None:
    plans = [{"name": f"p{number}", "visp": "tehran"} for number in range(4)]
    crowd = [subscriber(f"u{number:02}", plan=f"p{number % 4}") for number in range(16)]
    put(database, example(plans=plans, subscribers=crowd))
    changed = [{"name": f"p{number}", "visp": "tehran", "reply": {"Idle-Timeout": 60}} for number in range(4)]
    counts = put(database, {"plans": changed})
    assert len(counts.jobs) == 3  # the first four fit
    while run_batch(database, NOW):
        pass
    assert {timeline_of(database, f"u{number:02}")[1] for number in range(16)} == {2}


def test_a_job_goes_on_where_a_kill_stopped_it(
    database: Database, crowd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, STRICTER)
    assert run_batch(database, NOW + 1)
    first = BATCH - 1  # ali, the first service, is a VIP
    assert _restricted(database, crowd) == [True] * first + [False] * (len(crowd) - first)
    before = content(database)

    def dies(*arguments: Any, **options: Any) -> int:
        recompile(*arguments, **options)
        raise KeyboardInterrupt  # after its rows are written, before the commit

    with monkeypatch.context() as patched:
        patched.setattr("aaa.commands.jobs.recompile", dies)
        with pytest.raises(KeyboardInterrupt):
            run_batch(database, NOW + 2)
    assert content(database) == before

    turns = 0
    while run_batch(database, NOW + 3):
        turns += 1
    assert turns == 3  # two full batches are left, and the one that finds nobody
    assert all(_restricted(database, crowd))
    history = rows(database, timeline_history)
    assert len(history) == len({row.service_id for row in history}) == len(crowd)
    assert sorted({row.replaced_at for row in history}) == [NOW + 1, NOW + 3]


def test_a_job_is_done_only_when_a_batch_was_not_full(database: Database, crowd: list[str]) -> None:
    put(database, STRICTER)
    for _ in range(3):  # 21 services fill three batches
        assert run_batch(database, NOW)
    [left] = rows(database, job)
    assert left.done_at is None
    assert run_batch(database, NOW + 9)
    [left] = rows(database, job)
    assert left.done_at == NOW + 9
    assert not run_batch(database, NOW + 10)


def test_services_are_pending_until_they_are_reached(database: Database, crowd: list[str]) -> None:
    assert not _pending(database, crowd[0])
    put(database, STRICTER)
    assert _pending(database, crowd[0]) and _pending(database, crowd[-1])
    run_batch(database, NOW)
    assert not _pending(database, crowd[0]) and _pending(database, crowd[-1])
    while run_batch(database, NOW):
        pass
    assert not _pending(database, crowd[-1])


def test_a_job_of_a_visp_leaves_the_others_alone(database: Database, crowd: list[str]) -> None:
    second = {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague"}
    put(database, {"visps": [second], "subscribers": [{"username": "eva", "password": "x", "visp": "brno"}]})
    put(database, {"params": [{"scope": "visp:tehran", "name": "Idle-Timeout", "value": 60}]})
    assert _pending(database, crowd[0]) and not _pending(database, "eva")
    while run_batch(database, NOW):
        pass
    assert timeline_of(database, "eva")[1] == 1
    assert {timeline_of(database, name)[1] for name in crowd} == {2}


def test_a_payment_before_the_job_comes_uses_the_new_facts_and_the_job_then_writes_nothing(
    database: Database, crowd: list[str]
) -> None:
    put(database, STRICTER)
    last = crowd[-1]
    pay(database, ref(database, last), 1, external_id="1", actor="test", now=NOW + 1)
    stored, version = timeline_of(database, last)
    assert (stored.at(NOW + 1).verdict, version) == (Verdict.RESTRICT, 2)
    while run_batch(database, NOW + 2):
        pass
    assert timeline_of(database, last)[1] == 2


def test_two_jobs_are_done_one_after_the_other(database: Database, crowd: list[str]) -> None:
    put(database, STRICTER)
    put(database, {"controls": [{"name": "Home-Users", "max_debt": 900}]}, NOW + 1)
    assert len(rows(database, job)) == 2
    while run_batch(database, NOW + DAY):
        pass
    assert not any(_restricted(database, crowd))
    assert [row.done_at for row in rows(database, job)] == [NOW + DAY, NOW + DAY]
