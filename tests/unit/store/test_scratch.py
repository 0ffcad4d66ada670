"""Reservations and learnt flags, in one process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from aaa.store.scratch import MESSAGE_AUTHENTICATOR_SEEN, NO_PROXY_STATE_SEEN, RESERVED_FOR, Scratch

NOW = 1_790_000_000_000_000


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    opened = Scratch(tmp_path)
    yield opened
    opened.close()


def test_the_limit_is_held(scratch: Scratch) -> None:
    assert scratch.reserve(1, 2, b"A", [], NOW)
    assert scratch.reserve(1, 2, b"B", [], NOW)
    assert not scratch.reserve(1, 2, b"C", [], NOW)
    assert scratch.reserve(2, 2, b"C", [], NOW), "each service has its own"


def test_live_sessions_count(scratch: Scratch) -> None:
    assert not scratch.reserve(1, 1, b"A", [b"B"], NOW)
    assert scratch.reserve(1, 2, b"A", [b"B"], NOW)
    assert not scratch.reserve(1, 2, b"C", [b"B"], NOW)


def test_the_same_device_takes_its_own_place(scratch: Scratch) -> None:
    assert scratch.reserve(1, 1, b"A", [], NOW)
    assert scratch.reserve(1, 1, b"A", [], NOW)
    assert scratch.reserve(1, 1, b"A", [b"A"], NOW)
    assert not scratch.reserve(1, 1, b"B", [b"A"], NOW)


def test_a_reservation_ends_after_ten_seconds(scratch: Scratch) -> None:
    assert scratch.reserve(1, 1, b"A", [], NOW)
    assert not scratch.reserve(1, 1, b"B", [], NOW + RESERVED_FOR - 1)
    assert scratch.reserve(1, 1, b"B", [], NOW + RESERVED_FOR)


def test_a_refusal_reserves_nothing(scratch: Scratch) -> None:
    assert scratch.reserve(1, 1, b"A", [], NOW)
    assert not scratch.reserve(1, 1, b"B", [], NOW + RESERVED_FOR - 1)
    assert scratch.reserve(1, 1, b"C", [], NOW + RESERVED_FOR)


def test_a_device_that_is_live_and_reserved_counts_once(scratch: Scratch) -> None:
    assert scratch.reserve(1, 2, b"A", [], NOW)
    assert scratch.reserve(1, 2, b"B", [b"A"], NOW)
    assert not scratch.reserve(1, 2, b"C", [b"A"], NOW)


def test_a_device_that_connects_again_keeps_its_place_when_its_old_session_ends(scratch: Scratch) -> None:
    assert scratch.reserve(1, 2, b"B", [b"A", b"B"], NOW)
    assert scratch.reserve(1, 2, b"A", [b"A", b"B"], NOW)
    assert not scratch.reserve(1, 2, b"C", [b"A"], NOW)


def test_two_sessions_of_one_device_count_once(scratch: Scratch) -> None:
    assert scratch.reserve(1, 2, b"B", [b"A", b"A"], NOW)


def test_unknown_devices_count_one_by_one(scratch: Scratch) -> None:
    assert scratch.reserve(1, 2, b"", [], NOW)
    assert scratch.reserve(1, 2, b"", [], NOW)
    assert not scratch.reserve(1, 2, b"", [], NOW)
    assert not scratch.reserve(2, 2, b"", [b"", b""], NOW)


def test_a_settled_reservation_is_given_back(scratch: Scratch) -> None:
    assert scratch.reserve(1, 1, b"A", [], NOW)
    scratch.settle([(1, b"A"), (1, b"B"), (2, b"A")])
    assert not scratch.reserve(1, 1, b"B", [b"A"], NOW), "its session counts"
    assert scratch.reserve(1, 1, b"B", [], NOW), "until it ends"


def test_an_unknown_device_settles_one_reservation(scratch: Scratch) -> None:
    for _ in range(2):
        assert scratch.reserve(1, 2, b"", [], NOW)
    scratch.settle([(1, b"")])
    assert scratch.reserve(1, 2, b"", [], NOW)
    assert not scratch.reserve(1, 2, b"", [], NOW)


def test_flags_are_learnt_one_by_one(scratch: Scratch) -> None:
    assert scratch.flags(1, b"mt") == 0
    scratch.learn(1, b"mt", MESSAGE_AUTHENTICATOR_SEEN)
    assert scratch.flags(1, b"mt") == MESSAGE_AUTHENTICATOR_SEEN
    scratch.learn(1, b"mt", NO_PROXY_STATE_SEEN)
    assert scratch.flags(1, b"mt") == MESSAGE_AUTHENTICATOR_SEEN | NO_PROXY_STATE_SEEN
    assert scratch.flags(1, b"") == scratch.flags(2, b"mt") == 0


def test_flags_outlive_a_restart_and_reservations_the_process(tmp_path: Path) -> None:
    first = Scratch(tmp_path)
    first.learn(7, b"x" * 253, MESSAGE_AUTHENTICATOR_SEEN)
    assert first.reserve(1, 1, b"A", [], NOW)
    first.close()
    second = Scratch(tmp_path)
    assert second.flags(7, b"x" * 253) == MESSAGE_AUTHENTICATOR_SEEN
    assert not second.reserve(1, 1, b"B", [], NOW)
    second.close()


def test_reservations_of_an_earlier_boot_are_removed(tmp_path: Path) -> None:
    earlier = tmp_path / "scratch" / "reservations-of-an-earlier-boot"
    earlier.mkdir(parents=True)
    (earlier / "data.mdb").write_bytes(b"torn by the crash")
    Scratch(tmp_path).close()
    assert not earlier.exists()


def test_no_history_breaks_the_limit(tmp_path: Path) -> None:
    """Logins, Starts and Stops in any order: never more devices live or about to be than the limit."""
    scratch = Scratch(tmp_path)

    class Logins(RuleBasedStateMachine):
        service = 0

        def __init__(self) -> None:
            super().__init__()
            Logins.service += 1
            self.now = NOW
            self.pending: dict[bytes, int] = {}
            self.live: list[bytes] = []

        @rule(device=st.sampled_from([b"A", b"B", b"C"]))
        def login(self, device: bytes) -> None:
            others = {one for one, until in self.pending.items() if until > self.now} | set(self.live)
            accepted = scratch.reserve(Logins.service, 2, device, self.live, self.now)
            assert accepted == (len(others - {device}) < 2)
            if accepted:
                self.pending[device] = self.now + RESERVED_FOR

        @precondition(lambda self: self.pending)
        @rule(data=st.data())
        def start(self, data: st.DataObject) -> None:
            device = data.draw(st.sampled_from(sorted(self.pending)))
            del self.pending[device]
            self.live = [one for one in self.live if one != device] + [device]
            scratch.settle([(Logins.service, device)])

        @precondition(lambda self: self.live)
        @rule(data=st.data())
        def stop(self, data: st.DataObject) -> None:
            self.live.remove(data.draw(st.sampled_from(self.live)))

        @rule(seconds=st.integers(0, 12))
        def wait(self, seconds: int) -> None:
            self.now += seconds * 1_000_000

    try:
        run_state_machine_as_test(Logins)
    finally:
        scratch.close()


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=5), st.sampled_from([1, 2]))))
def test_a_reopened_scratch_knows_every_flag(
    tmp_path_factory: pytest.TempPathFactory, learnt: list[tuple[int, bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("scratch")
    expected: dict[tuple[int, bytes], int] = {}
    scratch = Scratch(folder)
    for nas_id, identifier, flag in learnt:
        scratch.learn(nas_id, identifier, flag)
        expected[nas_id, identifier] = expected.get((nas_id, identifier), 0) | flag
    scratch.close()
    again = Scratch(folder)
    assert {key: again.flags(*key) for key in expected} == expected
    again.close()
