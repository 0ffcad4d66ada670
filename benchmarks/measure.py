"""One measured run of one server, and what several runs say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import generator, processes
from benchmarks.generator import Load


@dataclass(frozen=True, slots=True)
class Side:
    """A running server on 127.0.0.1; `pid` heads its processes, `database_pid` is the postmaster of its cluster.

    `classes` are the Class attributes of its Accepts by user number, which routers echo; empty if all are alike.
    """

    name: str
    auth_port: int
    acct_port: int
    pid: int
    database_pid: int | None
    classes: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One run: answers per second, CPU and latency in microseconds, and what the generator printed.

    `others` is the share of the machine (0 to 1) that other work took away: neither the server, its database nor the
    generator.
    """

    side: str
    rate: float
    server_cpu_us: float
    database_cpu_us: float | None
    latency_us: dict[str, float]
    resent: int
    lost: int
    others: float
    raw: dict[str, Any]


def run(
    program: Path,
    side: Side,
    port: int,
    file: Path,
    load: Load,
    first: int = 0,
    once: bool = False,
    dump: Path | None = None,
) -> Run:
    """Drive `side` once. Raises RuntimeError when nothing is answered or a reply has another code than expected."""
    server, database, busy, total = _cpu(side)
    raw = generator.drive(program, port, file, load, first, once, dump)
    after = _cpu(side)
    server, database, busy, total = after[0] - server, after[1] - database, after[2] - busy, after[3] - total
    answered = raw["answered"]
    if answered == 0 or raw["mismatched"]:
        raise RuntimeError(
            f"{side.name}: {answered} answers, codes {raw['codes']}, {raw['mismatched']} of them unexpected"
        )
    return Run(
        side=side.name,
        rate=raw["rate"],
        server_cpu_us=server * 1e6 / answered,
        database_cpu_us=None if side.database_pid is None else database * 1e6 / answered,
        latency_us=raw["latency_us"],
        resent=raw["retransmitted"],
        lost=raw["lost"],
        others=max(0.0, busy - server - database - raw["cpu"]) / total,
        raw=raw,
    )


def _cpu(side: Side) -> tuple[float, float, float, float]:
    """CPU seconds so far: of the server, its database, the whole machine at work, and at work or idle."""
    database = 0.0 if side.database_pid is None else processes.cpu_seconds(side.database_pid)
    return processes.cpu_seconds(side.pid), database, *processes.machine_seconds()


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians of the runs of one side; `lowest` and `highest` are of the rate, `resent` and `lost` count
    requests of all runs."""

    side: str
    rate: float
    lowest: float
    highest: float
    server_cpu_us: float
    database_cpu_us: float | None
    p50_us: float
    p99_us: float
    p999_us: float
    resent: int
    lost: int
    others: float


def summarise(runs: list[Run]) -> Summary:
    """The medians of several runs of one side."""
    rates = [one.rate for one in runs]
    database = [one.database_cpu_us for one in runs if one.database_cpu_us is not None]
    return Summary(
        side=runs[0].side,
        rate=median(rates),
        lowest=min(rates),
        highest=max(rates),
        server_cpu_us=median(one.server_cpu_us for one in runs),
        database_cpu_us=median(database) if database else None,
        p50_us=median(one.latency_us["p50"] for one in runs),
        p99_us=median(one.latency_us["p99"] for one in runs),
        p999_us=median(one.latency_us["p99.9"] for one in runs),
        resent=sum(one.resent for one in runs),
        lost=sum(one.lost for one in runs),
        others=median(one.others for one in runs),
    )
