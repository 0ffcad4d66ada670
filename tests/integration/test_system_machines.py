"""Two machines on one PostgreSQL: what one is told, the other serves; a race between them is settled by accounting."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.serving import until
from tests.integration.system import PROMPTLY, System, system

ALI, VALI = "ali", "vali"
A, B = "02:00:00:00:00:0A", "02:00:00:00:00:0B"


@pytest.fixture
def machines(postgresql_url: str, tmp_path: Path) -> Iterator[tuple[System, System]]:
    """Two state directories, so two replicas and two sets of reservations; the keys are the same."""
    few: dict[str, Any] = {"auth_processes": 1, "acct_processes": 1}
    with system(postgresql_url, tmp_path / "one", **few) as one:
        there: dict[str, Any] = {"keys": one.key_file, "address": "127.0.0.2", "identifier": "mt2"}
        with system(postgresql_url, tmp_path / "two", **there, **few) as two:
            yield one, two


def let_in(machine: System, name: str, device: str) -> bool:
    return machine.ask(name, more=(("Calling-Station-Id", device),))[0] == "Access-Accept"


def test_simultaneous_use_across_machines(machines: tuple[System, System]) -> None:
    one, two = machines
    limits = [{"scope": f"user:{name}", "name": "simultaneous-use", "value": 1} for name in (ALI, VALI)]
    one.load({"username": ALI}, {"username": VALI}, params=limits)
    until(partial(let_in, two, ALI, A), "the other machine knows him")

    # In turn: the second machine knows of the first one's session, and of its end.
    first = one.log_in(ALI, mac=A)
    until(lambda: not let_in(two, ALI, B), "the other machine knows of the session", PROMPTLY)
    one.router.hang_up(first)

    # At once: neither machine knows of the other's login. Accounting sees both sessions, and the newcomer must go.
    early, late = one.granted(VALI, A), two.granted(VALI, B)
    one.router.account(early, "Start")
    two.router.account(late, "Start")
    change = until(lambda: two.changes and two.changes[0], "the newcomer is told")
    assert (change.kind, change.session, change.answer) == ("disconnect", late, "ack")
    assert not one.changes
