"""From the commit of a payment or charge to the router, and to the subscriber's new session."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaa import clock
from tests.integration.serving import until
from tests.integration.system import System, system
from tests.load import chaos

DEBT = 900_000
SETTLED_SECONDS = 150.0
"""A router that was silent, or a service that was cut off again and again, is left in peace for a minute or so."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds from each payment's commit until the router had carried out the Disconnect, and until the redial
    that follows after 200 ms had its new session; both sorted."""

    told: list[float]
    restored: list[float]


def measure(url: str, folder: Path, count: int) -> Timed:
    """Post `count` payments, one after another, for subscribers who are online in the garden."""
    names = [f"user{number}" for number in range(count)]
    told, restored = [], []
    with system(url, folder, auth_processes=2, acct_processes=2) as running:
        running.load(*({"username": name, "balance": -DEBT} for name in names))
        running.router.behaviour.redial = True
        until(lambda: running.ask(names[-1])[0] == "Access-Accept", "the subscribers are known")
        for name in names:
            running.log_in(name)
        for name in names:
            paid_at = running.pay(name, DEBT)
            change = running.change_of(name)
            assert (change.kind, change.answer) == ("disconnect", "ack")
            session = running.redial_of(name)
            told.append((change.at - paid_at) / 1000)
            restored.append((clock.now() - paid_at) / 1000)
            assert session.told["Framed-Pool"] == "pool1", f"{name} paid and is in the garden"
    return Timed(sorted(told), sorted(restored))


def disturb(url: str, folder: Path, processes: Mapping[str, int], seconds: float, users: int, seed: int) -> int:
    """Post payments and charges at random while processes are killed; in the end every session on the router has what
    its subscriber's account says. Returns how many changes the router met."""
    chance = random.Random(seed)
    counts: dict[str, Any] = {f"{role}_processes": processes[role] for role in ("auth", "acct")}
    owing = {f"user{number}": number % 2 == 0 for number in range(users)}
    with system(url, folder, **counts) as running:
        running.load(*({"username": name, "balance": -DEBT if debt else 0} for name, debt in owing.items()))
        running.router.behaviour.redial = True
        until(lambda: running.ask(list(owing)[-1])[0] == "Access-Accept", "the subscribers are known")
        for number, name in enumerate(owing):
            running.log_in(name, mac=f"02:00:00:00:01:{number:02X}")
        victims = chaos.plan(processes, 10_000, seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name in chance.sample(list(owing), 5):
                if owing[name]:
                    running.pay(name, DEBT)
                else:
                    running.charge(name, DEBT)
                owing[name] = not owing[name]
            chaos.kill(running.made, *next(victims))
        until(lambda: not wrong(running, owing), "every session has what it should have", SETTLED_SECONDS)
        return len(running.changes)


def wrong(running: System, owing: Mapping[str, bool]) -> set[str]:
    """The subscribers who are offline, or online with what they should not have."""
    pools = {True: "finish", False: "pool1"}
    right = {
        one.subscriber.username
        for one in list(running.router.sessions.values())
        if one.told["Framed-Pool"] == pools[owing[one.subscriber.username]]
    }
    return owing.keys() - right
