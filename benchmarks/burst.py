"""Live sessions changed in bulk: CoA per second from rows to ACK stored, a mass change, and payments meanwhile.

The routers are fake and light (benchmarks.routers): what is measured is our engine with its PostgreSQL.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from aaa import clock
from aaa.coa import boundaries
from aaa.radius.packet import COA_REQUEST
from aaa.store import dialect, record
from aaa.store.database import Database, open_database
from aaa.store.queries import find_service
from aaa.store.tables import access, attempt, enforcement, job, nas, service, session
from benchmarks import population, processes, report, routers, server
from benchmarks.mass import _ledgate
from benchmarks.workloads import Bench
from billing import commands

ROUTERS: Final = 200
CHANGED: Final = 10_000
PAYING: Final = 400
_PAYMENTS_PER_SECOND: Final = 20.0
_GARDEN: Final = {"debit": {"restrict": {"rate_limit": "128k/128k"}}, "expire": "deny"}
_OWED: Final = 900_000
_PORT: Final = 3799


@dataclass(slots=True)
class Spent:
    """CPU seconds of the engine and of PostgreSQL."""

    engine: float
    database: float


def measure_burst(bench: Bench, changed: int, count: int) -> None:
    """Rows to ACKs, then a mass change through the recompile job with payments meanwhile."""
    result: dict[str, Any] = {"changed": changed, "routers": count, "paying": PAYING}
    with server.installed(changed) as installation, _routers(bench.work, count) as fake:
        _ledgate(installation, "load", _more(count), "--yes-cut", str(PAYING))
        database = open_database(installation.cluster.url("ledgate"))
        try:
            _go_live(database, count)
            result["rows"] = _rows(installation, database, changed)
            installation.cluster.settle("ledgate")
            result["change"] = _change(installation, database, changed, fake)
        finally:
            database.close()
    report.save(bench.results, "burst", result | {"claims": _claims(result)})


def _claims(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows, change, changed = result["rows"], result["change"], result["changed"]
    return [
        report.claim("CoA per second from rows to ACK stored", rows["per_second"], 2_000),
        report.claim("of these, CPU µs of the engine for each", rows["engine_us"], 600, False),
        report.claim("of these, CPU µs of PostgreSQL for each", rows["database_us"], 400, False),
        report.claim(
            f"seconds from the commit of a change for {changed:,} sessions on {result['routers']} routers"
            " to the last ACK",
            change["seconds"],
            30,
            False,
        ),
        report.claim(
            "p99 from a payment's commit to its CoA on the wire meanwhile, ms", change["p99_ms"], 1_000, False
        ),
    ]


def _rows(installation: server.Installation, database: Database, changed: int) -> dict[str, Any]:
    """Rows that wait in the database, then an engine."""
    _ledgate(installation, "load", _everybody("Idle-Timeout", 1_800))
    while boundaries.run(database, clock.now()):
        pass
    installation.cluster.settle("ledgate")
    waiting = _value(database, select(func.count()).select_from(enforcement))
    if waiting != changed:
        raise RuntimeError(f"{waiting} of {changed} sessions wait")
    acked = select(func.count()).select_from(attempt).where(attempt.c.result == "ack")
    first = select(func.min(attempt.c.at))
    spent = processes.cpu_seconds(installation.cluster.pid)
    starts = _starts(installation)
    with installation.serve("engine") as [pid]:
        _wait(lambda: _starts(installation) > starts, 60)
        engine = processes.cpu_seconds(pid)  # its imports; what it has told by now is little
        _wait(lambda: _value(database, acked) >= changed, 300)
        ended = clock.now()
        began = _value(database, first)
        engine = processes.cpu_seconds(pid) - engine
        spent = processes.cpu_seconds(installation.cluster.pid) - spent
    seconds = (ended - began) / clock.SECOND
    return {
        "seconds": seconds,
        "per_second": changed / seconds,
        "engine_us": engine / changed * 1e6,
        "database_us": spent / changed * 1e6,
    }


def _change(installation: server.Installation, database: Database, changed: int, fake: "Fake") -> dict[str, Any]:
    """One reply attribute more for everybody, while subscribers in debt pay."""
    before = _value(database, select(func.count()).select_from(attempt).where(attempt.c.result == "ack"))
    starts = _starts(installation)
    with installation.serve("engine") as [pid]:
        _wait(lambda: _starts(installation) > starts, 60)
        cpu = Spent(processes.cpu_seconds(pid), processes.cpu_seconds(installation.cluster.pid))
        paid: dict[str, int] = {}
        stop = threading.Event()
        payer = threading.Thread(target=_pay, args=(installation.cluster.url("ledgate"), paid, stop), name="payer")
        payer.start()
        try:
            [job_id] = _ledgate(installation, "load", _everybody("Port-Limit", 3))["jobs"]
            began = _value(database, select(job.c.created_at).where(job.c.id == job_id))
            mine = (
                select(func.count()).select_from(attempt).where(attempt.c.result == "ack", attempt.c.cause != "payment")
            )
            _wait(lambda: _value(database, mine) >= before + changed, 300)
            seconds = (clock.now() - began) / clock.SECOND
            lone = len(paid)
        finally:
            stop.set()
            payer.join()
        time.sleep(3)
        cpu = Spent(
            processes.cpu_seconds(pid) - cpu.engine, processes.cpu_seconds(installation.cluster.pid) - cpu.database
        )
    came = fake.came()
    waits = sorted((came[name][0] - at) / 1e3 for name, at in paid.items() if name in came)
    wrong = [name for name in paid if name in came and came[name][1] != COA_REQUEST]
    if len(waits) != len(paid) or wrong:
        raise RuntimeError(f"{len(paid)} paid, {len(waits)} were told so, {len(wrong)} of them not by CoA")
    return {
        "seconds": seconds,
        "payments": len(paid),
        "payments_meanwhile": lone,
        "p50_ms": waits[len(waits) // 2],
        "p99_ms": waits[min(len(waits) - 1, int(len(waits) * 0.99))],
        "most_ms": waits[-1],
        "engine_cpu_seconds": cpu.engine,
        "database_cpu_seconds": cpu.database,
    }


def _starts(installation: server.Installation) -> int:
    """How often an engine was ready by now."""
    log = installation.directory / "engine.log"
    return log.read_text().count("ledgate is ready") if log.exists() else 0


def _pay(url: str, paid: dict[str, int], stop: threading.Event) -> None:
    """Pay for one debtor after the other; notes when each payment was committed."""
    database = open_database(url)
    for number in range(PAYING):
        if stop.wait(1 / _PAYMENTS_PER_SECOND):
            break
        with database.read() as conn:
            ref = find_service(conn, debtor(number))
        commands.pay(database, ref, _OWED, external_id=f"burst-{number}", actor="bench", now=clock.now())
        paid[debtor(number)] = clock.now()
    database.close()


def debtor(number: int) -> str:
    """The login of somebody who is in the walled garden."""
    return f"debtor{number:05d}"


def _more(count: int) -> dict[str, Any]:
    """The routers, and those in debt."""
    secret = population.SECRET.decode()
    return {
        # of a plan of their own, which the mass change does not touch
        "plans": [
            {"name": "other20", "visp": server.VISP, "price": 400_000, "reply": {"Mikrotik-Rate-Limit": "9M/9M"}}
        ],
        "finish_rules": [{"name": "garden", **_GARDEN}],
        "params": [{"scope": "server", "name": "FinishRule", "value": "garden"}],
        "nas": [
            {"name": f"mt{number:04d}", "address": routers.address(number), "secret": secret, "coa_port": _PORT}
            for number in range(count)
        ],
        "subscribers": [
            {
                "username": debtor(number),
                "password": "secret",
                "visp": server.VISP,
                "plan": "other20",
                "balance": -_OWED,
            }
            for number in range(PAYING)
        ],
    }


def _everybody(name: str, value: int) -> dict[str, Any]:
    """A reply attribute of the plan, which RouterOS takes by CoA."""
    return {"params": [{"scope": f"plan:{population.PLAN}", "name": name, "value": value}]}


def _go_live(database: Database, count: int) -> None:
    """An open session of everybody, spread over the routers, as accounting would have written them."""
    now = clock.now()
    with database.write() as conn:
        boxes = conn.execute(select(nas.c.id, nas.c.address).where(nas.c.name.like("mt0%")).order_by(nas.c.name)).all()
        found = conn.execute(
            select(service.c.id, service.c.username, access.c.record, access.c.version)
            .join(access, access.c.service_id == service.c.id)
            .order_by(service.c.id)
        ).all()
        rows = []
        for number, row in enumerate(found):
            box = boxes[number % count]
            head = record.entry(row.record)
            step = record.step_at(row.record, head, now)
            rows.append(
                {
                    "key": row.id.to_bytes(16, "big"),
                    "nas_id": box.id,
                    "source": box.address,
                    "identifier": "",
                    "acct_session_id": f"{row.id:08x}",
                    "username": row.username,
                    "service_id": row.id,
                    "calling_station_id": population.mac(number),
                    "framed_protocol": "ppp",
                    "framed_ip": str(IPv4Address(population.address(number))),
                    "started_at": now,
                    "recorded_at": now,
                    "heard_at": now,
                    "interim": population.INTERIM_SECONDS,
                    "version": row.version,
                    "applied_profile": step.profile,
                    "applied_ip": step.framed_ip,
                    "applied_verdict": step.verdict,
                    "given_end": step.verdict_end or None,
                    "applied_at": now,
                }
            )
        dialect.insert_many(conn, session, rows)


class Fake:
    """The running routers."""

    def __init__(self, process: "subprocess.Popen[str]", file: Path) -> None:
        self._process = process
        self._file = file

    def came(self) -> dict[str, tuple[int, int]]:
        """When the first request of each user came, and its code."""
        self._file.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        _wait(self._file.exists, 10)
        lines = (line.split() for line in self._file.read_text().splitlines())
        return {name: (int(at), int(code)) for at, code, name in lines}


@contextmanager
def _routers(work: Path, count: int) -> Iterator[Fake]:
    file = work / "routers"
    command = [sys.executable, "-m", "benchmarks.routers", str(_PORT), str(count), str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the fake routers did not start")
        yield Fake(process, file)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _value(database: Database, statement: Any) -> Any:
    with database.read() as conn:
        return conn.execute(statement).scalar()


def _wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it is not done after {seconds} s")
        time.sleep(0.05)
