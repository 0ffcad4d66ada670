"""What is in hand when a router falls silent: nothing is told that nobody wants, whatever else is under way."""

import selectors
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from aaa.clock import SECOND
from aaa.coa.exchange import SENDS, Datagram
from aaa.coa.messages import Target
from aaa.coa.pace import Pace
from aaa.coa.plan import LiveSession, Wanted
from aaa.coa.teller import Teller
from aaa.coa.turns import Wanted as Turns
from aaa.coa.wish import Planned, Router, Wish
from aaa.domain.timeline import Verdict
from aaa.radius.counters import Counters
from aaa.radius.dictionary import load
from aaa.radius.integrity import Secret
from aaa.radius.packet import COA_REQUEST
from aaa.routeros.lists import Listing
from aaa.routeros.work import Kept, Work

BEGAN = 1_800_000_000 * SECOND
SOURCE = "192.0.2.1"


class _Sockets:
    """Datagrams that nobody answers."""

    def __init__(self) -> None:
        self.sent: list[Datagram] = []

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class _SlowApi:
    """An API that does not come to an end."""

    def submit(self, token: int, nas_id: int, work: Work) -> None: ...

    def cancel(self, token: int) -> None: ...

    def finished(self) -> list[Kept]:
        return []


class _AtOnce(Pace):
    def __init__(self) -> None: ...

    def take(self, wanted: Mapping[str, Turns], now: int) -> dict[str, list[int]]:
        return {source: [now] * one.most for source, one in wanted.items()}


class Scene:
    """A teller whose router is silent; `now` is its clock."""

    def __init__(self) -> None:
        self.now = BEGAN
        self.teller = Teller(_AtOnce(), load(), selectors.DefaultSelector(), lambda: self.now, Counters(), _SlowApi())
        self.sockets = _Sockets()
        self.teller._wire._ports = self.sockets  # type: ignore[assignment]

    def pass_time(self, seconds: int, steps: int) -> None:
        for _ in range(steps):
            self.now += seconds * SECOND // steps
            self.teller.collect(self.now)
            self.teller.go(self.now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def a_wish(session_id: int, *, api: bool) -> Wish:
    """A higher rate; with `api` its address also comes off a list."""
    address = f"10.0.0.{session_id}"
    lists = Planned(Listing(session_id, (address,), (), "none"), (), None) if api else None
    rate: Sequence[str] = ("1M/1M", "2M/2M")
    has, wanted = ((("Mikrotik-Rate-Limit", one),) for one in rate)
    return Wish(
        session_id,
        None,
        1,
        "payment",
        BEGAN,
        BEGAN,
        0,
        LiveSession(session_id, BEGAN, True, has, 0, None),
        Wanted(Verdict.ALLOW, wanted),
        Target(SOURCE, "mt1", "ali", f"{session_id}", address, ""),
        Router(1, "mt1", SOURCE, (SOURCE, 3799), (Secret(b"s"),), "from_start", "api", SECOND // 20, api, False),
        None,
        300 * SECOND,
        False,
        False,
        True,
        0,
        lists,
    )


def test_requests_that_are_given_up_at_once_are_let_go_together(scene: Scene) -> None:
    """The engine stood still for a while: all of a router's requests run out in one turn."""
    for session_id in range(1, 9):
        scene.teller.begin(a_wish(session_id, api=False), scene.now)
    scene.pass_time(10 * (SENDS + 1), SENDS + 1)
    assert not scene.teller.jobs and len(scene.teller.outcomes) == 8
    assert all(outcome.again_at is not None for outcome in scene.teller.outcomes)
    [(_, _, until)] = scene.teller.moves
    assert until - scene.now <= 6 * SECOND, "they tell one thing together, not each a longer rest"


def test_who_waited_to_be_told_of_a_coa_is_not_cut_off_as_the_router_falls_silent(scene: Scene) -> None:
    """More than the router has room for, while its API is still at work for all of them."""
    for session_id in range(1, 31):
        scene.teller.begin(a_wish(session_id, api=True), scene.now)
    scene.pass_time(60, 600)
    assert scene.sockets.sent and all(one.data[0] == COA_REQUEST for one in scene.sockets.sent)
