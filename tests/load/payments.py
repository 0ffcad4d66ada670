"""From the commit of a payment to the router, and to the subscriber's new session."""

from dataclasses import dataclass
from pathlib import Path

from aaa import clock
from tests.integration.serving import until
from tests.integration.system import system

DEBT = 900_000


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
