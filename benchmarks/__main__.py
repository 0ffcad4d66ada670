"""`python -m benchmarks`: Ledgate beside FreeRADIUS, on this machine, in one run."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from aaa.radius import packet
from benchmarks import burst, freeradius, markdown, mass, million, server, workloads
from benchmarks.measure import Side
from benchmarks.workloads import FILES, OURS, SQL, Bench

SIDES = {OURS: server.running, FILES: freeradius.with_files, SQL: freeradius.with_sql}


@contextmanager
def started(names: tuple[str, ...], wanted: tuple[str, ...], users: int) -> Iterator[list[Side]]:
    """The servers of `wanted` that were asked for, all running side by side until the block ends."""
    with ExitStack() as stack:
        yield [stack.enter_context(SIDES[name](users)) for name in names if name in wanted]


@click.group(invoke_without_command=True)
@click.option("--runs", default=5, show_default=True, help="Interleaved runs of each server.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of one run.")
@click.option("--users", default=100_000, show_default=True, help="Subscribers.")
@click.option(
    "--side", "sides", multiple=True, type=click.Choice(list(SIDES)), help="Measure only this server; repeatable."
)
@click.option(
    "--results", default="var/bench", show_default=True, type=click.Path(path_type=Path), help="Where JSON goes."
)
@click.pass_context
def main(context: click.Context, runs: int, seconds: float, users: int, sides: tuple[str, ...], results: Path) -> None:
    """Measure Ledgate beside FreeRADIUS (`files`, and `sql` with PostgreSQL). Without a command: everything."""
    # Ended by a signal or not, servers and directories must go.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    click.echo(f"Ledgate's hot modules are {'compiled' if str(packet.__file__).endswith('.so') else 'not compiled'}")
    work = context.with_resource(tempfile.TemporaryDirectory(prefix="lgbench-", dir="/var/tmp"))
    context.obj = Bench(runs, seconds, users, Path(work), results), sides or tuple(SIDES)
    if context.invoked_subcommand is None:
        for command in (ceiling, everything, one_million):
            context.invoke(command)


@main.command()
@click.pass_obj
def ceiling(given: tuple[Bench, tuple[str, ...]]) -> None:
    """What the generator itself can do."""
    workloads.ceiling(given[0])


@main.command()
@click.pass_obj
def login(given: tuple[Bench, tuple[str, ...]]) -> None:
    """Logins per second."""
    bench, sides = given
    with started(sides, (OURS, FILES, SQL), bench.users) as running:
        workloads.login(bench, running)


@main.command()
@click.option("--rate", default=0.0, help="Logins offered per second; 0: half of what FreeRADIUS `files` can do.")
@click.pass_obj
def latency(given: tuple[Bench, tuple[str, ...]], rate: float) -> None:
    """Latency at equal offered load."""
    bench, sides = given
    with started(sides, (OURS, FILES), bench.users) as running:
        if rate == 0:
            rate = workloads.login(bench, [side for side in running if side.name == FILES]) / 2
        workloads.latency(bench, running, rate)


@main.command()
@click.pass_obj
def accounting(given: tuple[Bench, tuple[str, ...]]) -> None:
    """Durable accounting records per second."""
    bench, sides = given
    with started(sides, (OURS, SQL), bench.users) as running:
        workloads.accounting(bench, running)


@main.command("compare")
@click.pass_obj
def everything(given: tuple[Bench, tuple[str, ...]]) -> None:
    """Logins, latency and accounting with the same running servers."""
    bench, sides = given
    with started(sides, (OURS, FILES, SQL), bench.users) as running:
        maximum = workloads.login(bench, running)
        if maximum > 0:
            workloads.latency(bench, [side for side in running if side.name != SQL], maximum / 2)
        workloads.accounting(bench, [side for side in running if side.name != FILES])


@main.command("million")
@click.option("--services", default=1_000_000, show_default=True)
@click.pass_obj
def one_million(given: tuple[Bench, tuple[str, ...]], services: int) -> None:
    """One million services: load, replica, memory, restart without the database."""
    million.measure_million(given[0], services)


@main.command()
@click.pass_obj
def tables(given: tuple[Bench, tuple[str, ...]]) -> None:
    """Print what was measured last, in Markdown."""
    for line in markdown.tables(given[0].results):
        click.echo(line)


@main.command("mass")
@click.option("--services", default=100_000, show_default=True)
@click.pass_obj
def many_at_once(given: tuple[Bench, tuple[str, ...]], services: int) -> None:
    """A rule for all services in the background, and 10,000 that end at one instant, with logins meanwhile."""
    mass.measure_mass(given[0], services)


@main.command("burst")
@click.option("--sessions", default=burst.CHANGED, show_default=True)
@click.option("--routers", default=burst.ROUTERS, show_default=True)
@click.pass_obj
def live_changes(given: tuple[Bench, tuple[str, ...]], sessions: int, routers: int) -> None:
    """Live sessions changed by CoA: rows to ACKs, a mass change, and payments meanwhile."""
    burst.measure_burst(given[0], sessions, routers)


if __name__ == "__main__":
    main()
