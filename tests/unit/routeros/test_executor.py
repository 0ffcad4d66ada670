"""Who tells routers of lists: batches, refusals, routers that are away, leases."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from aaa.routeros import executor
from aaa.routeros.executor import Away, Executor, Refused
from aaa.routeros.lists import TIMEOUT, Clear, Listing
from aaa.routeros.work import Kept


class Router:
    """A router's lists in memory; `faults` are raised by the next calls, one each."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.cleared: list[tuple[list[str], list[str]]] = []
        self.faults: list[Exception] = []
        self.refuses: set[str] = set()
        self.connections = 0
        self.finds = 0
        self._last = 0

    def connect(self, nas_id: int) -> "Router":
        self._fault()
        self.connections += 1
        return self

    def find(self, menu: str, shown: Sequence[str], name: str, values: Iterable[str]) -> list[Mapping[str, object]]:
        self._fault()
        self.finds += 1
        wanted = set(values)
        return [{".id": id, **row} for id, row in self.rows.items() if row["menu"] == menu and row[name] in wanted]

    def remove(self, menu: str, ids: Sequence[str]) -> None:
        for one in ids:
            self.rows.pop(one, None)

    def add(self, menu: str, rows: Sequence[Mapping[str, str]]) -> None:
        for row in rows:
            if row["address"] in self.refuses:
                raise Refused("bad address")
            self._last += 1
            self.rows[f"*{self._last:X}"] = {"menu": menu, **row}

    def change(self, menu: str, ids: Sequence[str], values: Mapping[str, str]) -> None:
        for one in ids:
            self.rows[one].update(values)

    def clear(self, addresses: Sequence[str], redirected: Sequence[str]) -> None:
        self.cleared.append((list(addresses), list(redirected)))

    def close(self) -> None:
        pass

    def lists(self) -> set[tuple[str, str]]:
        return {(row["list"], row["address"]) for row in self.rows.values()}

    def _fault(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


class Free:
    """A lease that is to be had, or not."""

    def __init__(self) -> None:
        self.free = True
        self.held: list[int] = []

    def take(self, nas_id: int) -> bool:
        if self.free:
            self.held.append(nas_id)
        return self.free

    def let_go(self, nas_id: int) -> None:
        self.held.remove(nas_id)


class Scene:
    def __init__(self) -> None:
        self.router = Router()
        self.lease = Free()
        self.woken = threading.Event()
        self.executor = Executor(self.router.connect, self.lease)
        self.desk = self.executor.desk(self.woken.set)

    def kept(self, count: int) -> list[Kept]:
        found: list[Kept] = []
        deadline = time.monotonic() + 10
        while len(found) < count:
            assert time.monotonic() < deadline, f"{found}"
            self.woken.wait(0.1)
            self.woken.clear()
            found += self.desk.finished()
        return sorted(found)

    def tell(self, *listings: Listing) -> list[Kept]:
        for token, listing in enumerate(listings):
            self.desk.submit(token, 1, listing)
        return self.kept(len(listings))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.executor.close()
    assert made.lease.held == []


def listing(session_id: int, address: str, *names: str, clear: Clear = "none", ended: bool = False) -> Listing:
    return Listing(session_id, (address,), tuple((name, TIMEOUT) for name in names), clear, ended)


def results(kept: Sequence[Kept]) -> list[str]:
    return [one.result for one in kept]


def test_an_address_comes_onto_its_lists_and_off_them(scene: Scene) -> None:
    assert results(scene.tell(listing(1, "10.0.0.1", "garden", clear="all"))) == ["ack"]
    assert scene.router.lists() == {("garden", "10.0.0.1")}
    [row] = scene.router.rows.values()
    assert row["timeout"] == f"{TIMEOUT}s" and row["comment"].startswith("ledgate:s1:")
    assert results(scene.tell(listing(1, "10.0.0.1", clear="redirected"))) == ["ack"]
    assert scene.router.lists() == set()
    assert scene.router.cleared == [(["10.0.0.1"], []), ([], ["10.0.0.1"])]


def test_many_go_in_one_batch(scene: Scene) -> None:
    release = threading.Event()
    take: Callable[[int], bool] = scene.lease.take

    def slowly(nas_id: int) -> bool:
        release.wait(5)
        return take(nas_id)

    scene.lease.take = slowly  # type: ignore[method-assign]
    for token in range(40):
        scene.desk.submit(token, 1, listing(token, f"10.0.1.{token}", "garden"))
    release.set()
    assert set(results(scene.kept(40))) == {"ack"}
    assert len(scene.router.rows) == 40
    assert scene.router.finds <= 2, "a batch asks once"


def test_what_one_is_refused_does_not_hinder_the_others(scene: Scene) -> None:
    scene.router.refuses.add("10.0.0.2")
    kept = scene.tell(
        listing(1, "10.0.0.1", "garden"), listing(2, "10.0.0.2", "garden"), listing(3, "10.0.0.3", "garden")
    )
    assert results(kept) == ["ack", "nak", "ack"]
    assert kept[1].error == "bad address" and kept[1].again_at > 0
    assert scene.router.lists() == {("garden", "10.0.0.1"), ("garden", "10.0.0.3")}


def test_a_connection_that_broke_off_is_made_anew_at_once(scene: Scene) -> None:
    scene.tell(listing(1, "10.0.0.1", "garden"))
    scene.router.faults.append(Away("gone"))
    assert results(scene.tell(listing(2, "10.0.0.2", "garden"))) == ["ack"]
    assert scene.router.connections == 2


def test_a_router_that_is_away_rests_longer_each_time(scene: Scene) -> None:
    scene.router.faults += [Away("no route")]
    [first] = scene.tell(listing(1, "10.0.0.1", "garden"))
    assert (first.result, first.error) == ("timeout", "no route")
    [second] = scene.tell(listing(1, "10.0.0.1", "garden"))
    assert second.result == "waits" and second.again_at == first.again_at, "nobody knocks before that"
    assert scene.router.connections == 0


def test_a_router_that_another_process_speaks_to_is_waited_for_and_then_asked_again_soon(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_LOOK", 0.005)
    scene.lease.free = False
    [kept] = scene.tell(listing(1, "10.0.0.1", "garden"))
    assert kept.result == "waits" and kept.again_at > 0
    assert scene.router.connections == 0
    monkeypatch.setattr(executor, "_LOOK", 0.05)
    threading.Timer(0.2, partial(setattr, scene.lease, "free", True)).start()
    assert results(scene.tell(listing(1, "10.0.0.1", "garden"))) == ["ack"]


def test_a_fault_of_ours_loses_nothing(scene: Scene, caplog: Any) -> None:
    scene.router.faults.append(ZeroDivisionError())
    [kept] = scene.tell(listing(1, "10.0.0.1", "garden"))
    assert (kept.result, kept.error) == ("error", "ZeroDivisionError")
    assert "Traceback" in caplog.text
