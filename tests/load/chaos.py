"""Kills processes of a running installation, one at a time, by a plan that a seed gives."""

import os
import random
import signal
import time
from collections.abc import Iterator, Mapping

from tests.integration.serving import Installation, until

RESTART_SECONDS = 45.0
"""At most so long until a killed process serves again: it waits longer each time it is killed soon after its start."""


def plan(processes: Mapping[str, int], rounds: int, seed: int) -> Iterator[tuple[str, int]]:
    """(role, index) of every process once in each round, in an order of chance."""
    chance = random.Random(seed)
    everybody = [(role, index) for role, count in processes.items() for index in range(count)]
    for _ in range(rounds):
        chance.shuffle(everybody)
        yield from everybody


def kill(made: Installation, role: str, index: int) -> float:
    """kill -9 one process; the seconds until its successor serves."""
    before = made.pid(role, index)
    assert before, f"{role}-{index} does not run"
    began = time.monotonic()
    os.kill(before, signal.SIGKILL)
    until(lambda: made.pid(role, index) not in (0, before), f"{role}-{index} is back", RESTART_SECONDS)
    return time.monotonic() - began
