"""Login lines on their way out: at once when it is quiet, together under load, never later than a moment."""

import os
from collections.abc import Iterator

import pytest

from aaa.radius.access import ACCEPT, Answer
from aaa.radius.auth_log import LoginLines
from aaa.radius.counters import Counters

NOW = 1_800_000_000_000_000


class Log:
    """Lines and the reading end of the pipe that they go to."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.counters = Counters()
        self.lines = LoginLines(self.writing, self.counters)

    def add(self, name: str) -> None:
        answer = Answer(ACCEPT, "", None)
        answer.username = name.encode()
        self.lines.add(answer, NOW)

    def users(self) -> list[str]:
        """The users of the lines that have come."""
        try:
            text = os.read(self.reading, 1 << 20).decode()
        except BlockingIOError:
            return []
        return [line.split("user=")[1].split()[0] for line in text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    os.close(made.reading)
    os.close(made.writing)


def test_a_line_alone_goes_at_once(log: Log) -> None:
    log.add("ali")
    log.lines.hand_over(100.0)
    assert log.users() == ["ali"]


def test_lines_that_follow_closely_go_together_a_moment_later(log: Log) -> None:
    log.add("ali")
    log.lines.hand_over(100.0)
    log.add("eve")
    log.lines.hand_over(100.001)
    log.add("bob")
    log.lines.hand_over(100.019)
    assert log.users() == ["ali"]
    log.lines.hand_over(100.021)
    assert log.users() == ["eve", "bob"]


def test_many_lines_do_not_wait(log: Log) -> None:
    log.add("first")
    log.lines.hand_over(100.0)
    for number in range(100):
        log.add(f"user{number}")
    log.lines.hand_over(100.001)
    assert len(log.users()) == 101


def test_what_a_pipe_has_no_room_for_is_dropped_and_counted(log: Log) -> None:
    for number in range(2_000):
        log.add(f"user{number}")
    log.lines.flush()
    came = len(log.users())
    assert 0 < came < 2_000
    assert came + log.counters["login-lines-dropped"] == 2_000
