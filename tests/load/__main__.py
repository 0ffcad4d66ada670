"""`python -m tests.load`: what takes too long for `make test`. Everything listens on this machine alone."""

import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks import postgresql
from ledgate.migrate import upgrade
from tests.integration.serving import Installation, document, installation, router, running, subscriber
from tests.load import chaos, mutants, payments, truth, year
from tests.load.storm import Storm, subscribers
from tests.load.unrest import Unrest

DATABASES = ("sqlite", "postgresql")
LONGEST_LOGIN_GAP = 3.0


@contextmanager
def database(kind: str) -> Iterator[tuple[str, Path, postgresql.Cluster | None]]:
    """A migrated database with durable settings: its URL, a folder for the installation, and the cluster if any."""
    with tempfile.TemporaryDirectory(prefix="ledgate-load-", dir="/var/tmp") as folder:
        if kind == "sqlite":
            url = f"sqlite:///{folder}/ledgate.sqlite"
            upgrade(url)
            yield url, Path(folder), None
        else:
            with postgresql.cluster() as cluster:
                cluster.create("ledgate")
                upgrade(cluster.url("ledgate"))
                yield cluster.url("ledgate"), Path(folder), cluster


@click.group(invoke_without_command=True)
@click.option("--seed", type=int, help="To repeat a run; by default another one each time.")
@click.pass_context
def main(context: click.Context, seed: int | None) -> None:
    """Attack and disturb a running server, and live a year. Without a command: everything."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    context.obj = secrets.randbelow(1 << 32) if seed is None else seed
    click.echo(f"seed={context.obj}")
    if context.invoked_subcommand is None:
        for command in (send_mutants, disturb, pay, disturb_live, trouble_routers, live_a_year):
            context.invoke(command)


@main.command("mutants")
@click.option("--count", default=2_000_000, show_default=True)
@click.pass_obj
def send_mutants(seed: int, count: int) -> None:
    """Damaged copies of signed requests: none accepted, none fatal, none uncounted."""
    with database("sqlite") as (url, folder, _):
        made = installation(url, folder, auth_processes=2, login_lines=False, auth_log_rate=0)
        strict = router("mt1", "127.0.0.1", require_message_authenticator="yes")
        made.load(document(nas=[strict], subscribers=[subscriber("ali")]))
        with running(made, "replica", "auth", "acct"):
            pids = [made.pid("auth", 0), made.pid("auth", 1), made.pid("acct")]
            tally = mutants.attack(made, {"auth": 2, "acct": 1}, count, seed)
            assert [made.pid("auth", 0), made.pid("auth", 1), made.pid("acct")] == pids, "a process died"
    assert (sum(tally.drops.values()), tally.kernel_drops) == (count, 0)
    assert tally.counted["status"] == tally.probes == sum(tally.counted.values()) - count
    for name, dropped in sorted(tally.drops.items()):
        click.echo(f"  {dropped:9,} {name}")
    click.echo(f"mutants: {count:,} sent, {count:,} dropped and counted; {tally.probes:,} probes, all answered")


@main.command("chaos")
@click.option("--seconds", default=180.0, show_default=True, help="On each database.")
@click.option("--users", default=300, show_default=True)
@click.option("--database", "kinds", multiple=True, type=click.Choice(DATABASES), default=DATABASES, show_default=True)
@click.pass_obj
def disturb(seed: int, seconds: float, users: int, kinds: tuple[str, ...]) -> None:
    """Kill -9 everything in turn under load, PostgreSQL too; every answered record must be there, once."""
    for kind in kinds:
        acct = 2 if kind == "postgresql" else 1
        processes = {"replica": 1, "auth": 4, "acct": acct, "engine": 1}
        with database(kind) as (url, folder, cluster):
            made = installation(url, folder, auth_processes=4, acct_processes=acct)
            people, names = subscribers(users)
            made.load(people)
            with running(made, *processes), Storm(made, names, seed) as storm:
                _disturb(made, cluster, processes, seed, seconds)
                storm.calm(120)
            click.echo(f"{kind}: {storm.told()}")
            found = truth.faults(url, storm.sessions)
            assert not found, "\n".join(found[:50])
            assert storm.refused == 0
            assert storm.longest_login_gap < LONGEST_LOGIN_GAP, f"{storm.longest_login_gap:.1f} s without a login"
            errors = [line for line in made.log.splitlines() if " ERROR " in line or line.startswith("Traceback")]
            assert not errors, "\n".join(errors[:20])
            click.echo(f"{kind}: every answered record is there, once")


def _disturb(
    made: Installation, cluster: postgresql.Cluster | None, processes: dict[str, int], seed: int, seconds: float
) -> None:
    chance = random.Random(seed)
    began = time.monotonic()
    for role, index in chaos.plan(processes, 10_000, seed):
        if time.monotonic() - began > seconds:
            return
        took = chaos.kill(made, role, index)
        click.echo(f"  {time.monotonic() - began:6.1f} s: killed {role}-{index}, back after {took:.1f} s")
        draw = chance.random()
        if draw < 0.15 and cluster is not None:
            cluster.crash()
            click.echo(f"  {time.monotonic() - began:6.1f} s: PostgreSQL was killed and is back")
        elif draw < 0.3:
            stopped = made.pid("replica")
            os.kill(stopped, signal.SIGSTOP)
            time.sleep(chance.uniform(1, 8))
            os.kill(stopped, signal.SIGCONT)
            click.echo(f"  {time.monotonic() - began:6.1f} s: the replica stood still for a while")


@main.command("live")
@click.option("--seconds", default=90.0, show_default=True, help="On each database.")
@click.option("--users", default=40, show_default=True)
@click.option("--database", "kinds", multiple=True, type=click.Choice(DATABASES), default=DATABASES, show_default=True)
@click.pass_obj
def disturb_live(seed: int, seconds: float, users: int, kinds: tuple[str, ...]) -> None:
    """Pay and charge while processes are killed: in the end every live session has what it should have."""
    for kind in kinds:
        processes = {"replica": 1, "auth": 2, "acct": 2 if kind == "postgresql" else 1, "engine": 1}
        with database(kind) as (url, folder, _):
            changes = payments.disturb(url, folder, processes, seconds, users, seed)
        click.echo(f"{kind}: the router met {changes} changes; every session has what it should have")


@main.command("routers")
@click.option("--seconds", default=120.0, show_default=True, help="On each database.")
@click.option("--each", default=30, show_default=True, help="Subscribers on each router.")
@click.option("--database", "kinds", multiple=True, type=click.Choice(DATABASES), default=DATABASES, show_default=True)
@click.pass_obj
def trouble_routers(seed: int, seconds: float, each: int, kinds: tuple[str, ...]) -> None:
    """Routers lose datagrams, lie, boot, cut their API off, engines are killed: in the end all is as it should be."""
    for kind in kinds:
        engines = 2 if kind == "postgresql" else 1
        with database(kind) as (url, folder, _), Unrest(url, folder, seed, each=each, engines=engines) as scene:
            scene.disturb(seconds, click.echo)
            began = time.monotonic()
            scene.calm()
            took = time.monotonic() - began
            assert not scene.unaccounted(), scene.unaccounted()
            click.echo(f"{kind}: all was right {took:.1f} s after the last misfortune; {scene.attempts():,} attempts")


@main.command("payments")
@click.option("--count", default=200, show_default=True)
@click.pass_obj
def pay(_seed: int, count: int) -> None:
    """Payments of subscribers who are online: how soon the router knows, and they are back."""
    with database("postgresql") as (url, folder, _):
        timed = payments.measure(url, folder, count)
    for what, values in (("the router has carried it out", timed.told), ("the redial is online", timed.restored)):
        middle, late = values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]
        click.echo(f"payments: {count}, {what}: median {middle:.1f} ms, p99 {late:.1f} ms, most {values[-1]:.1f} ms")


@main.command("year")
@click.option("--people", default=5_000, show_default=True)
@click.option("--changes", default=8_000, show_default=True, help="Of one subscriber each: payments, suspensions, …")
@click.option("--mass-changes", default=30, show_default=True, help="Of params, controls, plans and timezones.")
@click.pass_obj
def live_a_year(seed: int, people: int, changes: int, mass_changes: int) -> None:
    """Live a year on a virtual clock; every verdict is as a naive evaluator has it from the facts."""
    began = time.monotonic()
    with database("sqlite") as (url, _, _), year.unhurried(url) as opened:
        tally = year.simulate(opened, seed, people, changes, mass_changes)
    click.echo(f"year: {people:,} people in {time.monotonic() - began:.0f} s: {tally.told()}")


if __name__ == "__main__":
    main()
