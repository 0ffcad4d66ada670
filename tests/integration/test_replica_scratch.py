"""Reservations and learnt flags among processes: races, and one that is killed while it holds the lock."""

import multiprocessing
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from aaa.store.scratch import MESSAGE_AUTHENTICATOR_SEEN, Scratch

NOW = 1_790_000_000_000_000
SERVICES = 300
DEADLINE = 60.0


def _race(state_dir: Path, device: bytes, barrier: Barrier, won: "multiprocessing.Queue[list[int]]") -> None:
    scratch = Scratch(state_dir)
    barrier.wait(DEADLINE)
    won.put([service for service in range(SERVICES) if scratch.reserve(service, 1, device, [], NOW)])
    scratch.close()


def test_of_four_processes_exactly_one_wins_each_place(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, won = spawn.Barrier(4), spawn.Queue()
    racers = [spawn.Process(target=_race, args=(tmp_path, b"device %d" % at, barrier, won)) for at in range(4)]
    for racer in racers:
        racer.start()
    wins = [won.get(timeout=DEADLINE) for _ in racers]
    for racer in racers:
        racer.join(DEADLINE)
        assert racer.exitcode == 0
    assert sorted(service for services in wins for service in services) == list(range(SERVICES))


_HOLDS_THE_LOCK = """
import sys, time
from aaa.store.scratch import Scratch

def never_ending():
    yield 1, b"A"
    print("holding", flush=True)
    time.sleep(600)

Scratch(sys.argv[1]).settle(never_ending())
"""


def test_a_process_killed_while_it_holds_the_lock_stops_nobody(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    assert scratch.reserve(1, 1, b"A", [], NOW)
    with subprocess.Popen([sys.executable, "-c", _HOLDS_THE_LOCK, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holding\n"
        process.kill()
    began = time.monotonic()
    assert not scratch.reserve(1, 1, b"B", [], NOW), "what it had begun is undone"
    assert scratch.reserve(1, 1, b"A", [], NOW)
    assert scratch.reserve(2, 1, b"B", [], NOW)
    assert time.monotonic() - began < 5.0
    scratch.close()


_LEARNS = """
import sys
from aaa.store.scratch import MESSAGE_AUTHENTICATOR_SEEN, Scratch

Scratch(sys.argv[1]).learn(7, b"edge", MESSAGE_AUTHENTICATOR_SEEN)
"""


def test_what_one_process_learns_the_others_know(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    assert scratch.flags(7, b"edge") == 0
    subprocess.run([sys.executable, "-c", _LEARNS, str(tmp_path)], check=True, timeout=DEADLINE)
    deadline = time.monotonic() + 1.0
    while scratch.flags(7, b"edge") != MESSAGE_AUTHENTICATOR_SEEN:
        assert time.monotonic() < deadline
        scratch.renew()
    scratch.close()
