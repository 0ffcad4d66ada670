"""The measurements: what runs against whom, in which order, and which claims the figures answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aaa.radius.packet import MESSAGE_AUTHENTICATOR
from benchmarks import generator, measure, packets, processes, replies, report
from benchmarks.generator import Load
from benchmarks.measure import Run, Side, Summary, summarise

OURS: Final = "ledgate"
FILES: Final = "freeradius-files"
SQL: Final = "freeradius-sql"

# In flight together 128 on eight sockets, 64 on one: enough to keep every worker busy, and what a socket buffer of
# default size holds.
SEVERAL: Final = (8, 16)
ONE: Final = (1, 64)
# All sessions of a network coming back at once, as after an outage.
BURST: Final = (8, 32)
# Records prepared per second of accounting runs, above what any side is expected to take.
ACCOUNTING_RATE: Final = 45_000


@dataclass(frozen=True, slots=True)
class Bench:
    """How long and how often; `work` holds programs and packet files, `results` gets the JSON."""

    runs: int
    seconds: float
    users: int
    work: Path
    results: Path

    def program(self) -> Path:
        """The compiled generator."""
        return generator.build(generator.SOURCE, self.work)

    def logins(self) -> Path:
        """The file of login requests, made once."""
        file = self.work / "logins"
        if not file.exists():
            # Twice the users: a packet comes again only after every other one was sent.
            packets.write(file, packets.logins(self.users), 2 * self.users)
        return file


def ceiling(bench: Bench) -> dict[str, Any]:
    """How fast the generator is against a responder that does nothing: it must not be what is measured."""
    program, log = bench.program(), bench.work / "responder.log"
    port = processes.free_port()
    responder = processes.start([str(generator.build(generator.RESPONDER, bench.work)), str(port)], log)
    try:
        processes.wait_answering(port, responder, log)
        side = Side("responder", port, port, responder.pid, None)
        result: dict[str, Any] = {}
        for sockets, window in (SEVERAL, ONE):
            load = Load(bench.seconds, sockets, window)
            runs = [measure.run(program, side, port, bench.logins(), load) for _ in range(bench.runs)]
            summary = summarise(runs)
            report.table(f"Generator alone, {_shape(load)}", [summary], "responder", "packets")
            result[f"{sockets}x{window}"] = report.plain([summary])
    finally:
        processes.stop(responder)
    report.save(bench.results, "ceiling", {"loads": result})
    return result


def login(bench: Bench, sides: Sequence[Side]) -> float:
    """Logins per second, closed loop, on several sockets and on one; the median of FILES on several, 0 if absent."""
    program, file = bench.program(), bench.logins()
    _check_replies(bench, program, file, sides)
    result: dict[str, Any] = {}
    claims = []
    several: dict[str, Summary] = {}
    for sockets, window in (SEVERAL, ONE):
        load = Load(bench.seconds, sockets, window)
        summaries = _interleaved(bench, program, file, sides, load)
        report.table(f"Logins, {_shape(load)}", summaries, FILES, "logins")
        result[f"{sockets}x{window}"] = report.plain(summaries)
        by_name = {summary.side: summary for summary in summaries}
        several = several or by_name
        for other, target in ((FILES, 1.3), (SQL, 20.0)):
            if OURS in by_name and other in by_name:
                ratio = by_name[OURS].rate / by_name[other].rate
                claims.append(report.claim(f"logins against {other}, {_shape(load)}", ratio, target))
    if len(sides) > 1:  # else it is only asked how fast one is
        report.save(bench.results, "login", {"loads": result, "claims": claims})
    return several[FILES].rate if FILES in several else 0.0


def latency(bench: Bench, sides: Sequence[Side], rate: float) -> None:
    """Latency at the same offered load for all, `rate` logins a second, open loop on several sockets."""
    program, file = bench.program(), bench.logins()
    load = Load(bench.seconds, *SEVERAL, rate)
    summaries = _interleaved(bench, program, file, sides, load)
    report.table(f"Latency at {rate:,.0f} logins/s offered", summaries, FILES, "logins")
    by_name = {summary.side: summary for summary in summaries}
    claims = []
    if OURS in by_name and FILES in by_name:
        ratio = by_name[OURS].p99_us / by_name[FILES].p99_us
        claims.append(report.claim("p99 against freeradius-files", ratio, 1.0, at_least=False))
    report.save(
        bench.results, "latency", {"loads": {f"{rate:,.0f} a second": report.plain(summaries)}, "claims": claims}
    )


def accounting(bench: Bench, sides: Sequence[Side]) -> None:
    """Durable accounting records per second. Every session is new to the side it is sent to."""
    program = bench.program()
    loads = (SEVERAL, ONE, BURST)
    total = int((len(loads) * bench.runs + 1) * bench.seconds * ACCOUNTING_RATE)
    files = {side.name: bench.work / f"accounting-{side.name}" for side in sides}
    for side in sides:
        packets.write(files[side.name], packets.accounting(bench.users, int(time.time()), side.classes), total)
    cursors = dict.fromkeys((side.name for side in sides), 0)
    result: dict[str, Any] = {}
    claims = []
    for sockets, window in loads:
        load = Load(bench.seconds, sockets, window)
        runs: dict[str, list[Run]] = {side.name: [] for side in sides}
        for _ in range(bench.runs):
            for side in sides:
                one = measure.run(program, side, side.acct_port, files[side.name], load, cursors[side.name], once=True)
                if one.raw["exhausted"]:
                    raise RuntimeError(f"{side.name} used up {total} accounting records: raise ACCOUNTING_RATE")
                cursors[side.name] = one.raw["next_chunk"]
                runs[side.name].append(one)
        summaries = [summarise(runs[side.name]) for side in sides]
        report.table(f"Durable accounting, {_shape(load)}", summaries, SQL, "records")
        result[f"{sockets}x{window}"] = report.plain(summaries)
        by_name = {summary.side: summary for summary in summaries}
        if OURS in by_name and SQL in by_name:
            ratio = by_name[OURS].rate / by_name[SQL].rate
            claims.append(report.claim(f"accounting against {SQL}, {_shape(load)}", ratio, 4.0))
    report.save(bench.results, "accounting", {"loads": result, "claims": claims})


def _shape(load: Load) -> str:
    return f"{load.sockets} socket{'s' if load.sockets > 1 else ''} × {load.window} in flight"


def _interleaved(bench: Bench, program: Path, file: Path, sides: Sequence[Side], load: Load) -> list[Summary]:
    """A B C A B C …: whatever else the machine does falls on all alike. The first round warms up and does not count."""
    runs: dict[str, list[Run]] = {side.name: [] for side in sides}
    for turn in range(bench.runs + 1):
        for side in sides:
            one = measure.run(program, side, side.auth_port, file, load if turn else replace(load, seconds=1))
            if turn:
                runs[side.name].append(one)
    return [summarise(runs[side.name]) for side in sides]


def _check_replies(bench: Bench, program: Path, file: Path, sides: Sequence[Side]) -> None:
    """Every side must tell the router the same, properly signed; ours with Message-Authenticator first."""
    requests = packets.read(file)
    dump = bench.work / "replies"
    for side in sides:
        measure.run(program, side, side.auth_port, file, Load(1, *SEVERAL), dump=dump)
        first = MESSAGE_AUTHENTICATOR if side.name == OURS else None
        count = replies.check_accepts(requests, dump, first)
        print(f"{side.name}: {count} replies decoded, all as they should be", flush=True)
