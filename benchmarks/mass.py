"""Many subscribers changed at once: a rule for all of them in the background, and 10,000 who end at one instant.

While it goes on a subscriber logs in fifty times a second: nothing of this may keep him waiting.
"""

import json
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select

from aaa import clock
from aaa.domain.instant import iso
from aaa.radius.packet import ACCESS_ACCEPT
from aaa.store import dialect
from aaa.store.database import Database, open_database
from aaa.store.tables import access, attempt, enforcement, job, nas, service, session
from benchmarks import packets, population, processes, report, server
from benchmarks.workloads import Bench

ENDING: Final = 10_000
_AHEAD: Final = 120
"""Seconds from a file that ends subscribers to their end: time to load it."""


@dataclass(slots=True)
class Logins:
    """Latencies of one subscriber's logins, milliseconds, and how many were not answered within a second."""

    answered: list[float] = field(default_factory=list)
    lost: int = 0

    def told(self) -> dict[str, Any]:
        cuts = statistics.quantiles(self.answered, n=100)
        return {"logins": len(self.answered), "lost": self.lost, "p50_ms": cuts[49], "p99_ms": cuts[98]}


def measure_mass(bench: Bench, services: int) -> None:
    """The mass change, then the boundary; both with one service in ten online, whose router does not answer."""
    ending = min(ENDING, services // 10)
    result: dict[str, Any] = {"services": services, "ending": ending}
    with server.installed(services) as installation, installation.serve() as [pid]:
        installation.wait_accept(pid)
        database = open_database(installation.cluster.url("ledgate"))
        _make_live(database, ending)
        installation.cluster.settle("ledgate")
        result["change"] = change = _mass_change(installation, database, pid, services)
        result["boundary"] = boundary = _boundary(installation, database, ending)
        database.close()
    report.save(bench.results, "mass", result | {"claims": _claims(change, boundary, services, ending)})


def _claims(change: dict[str, Any], boundary: dict[str, Any], services: int, ending: int) -> list[dict[str, Any]]:
    return [
        report.claim(
            f"seconds from the commit of a rule for {services:,} services to the last of them",
            change["job_seconds"],
            60,
            False,
        ),
        report.claim("of these, CPU µs for each service, the database's too", change["cpu_us"], 1_200, False),
        report.claim("seconds to look at them all beforehand", change["preview_seconds"], 60, False),
        report.claim("p99 of a login meanwhile, ms", change["logins"]["p99_ms"], 50, False),
        report.claim("logins that were lost meanwhile", change["logins"]["lost"], 0, False),
        report.claim(
            f"seconds from an instant at which {ending:,} end to the last that is queued",
            boundary["queued_seconds"],
            30,
            False,
        ),
        report.claim("p99 of a login meanwhile, ms", boundary["logins"]["p99_ms"], 50, False),
    ]


def _mass_change(installation: server.Installation, database: Database, pid: int, services: int) -> dict[str, Any]:
    """One reply attribute more for everybody: every timeline is compiled, stored, and kept as history."""
    change = {"params": [{"scope": "server", "name": "Idle-Timeout", "value": 3_600}]}
    result: dict[str, Any] = {}
    with _logging_in(installation) as logins:
        began = time.monotonic()
        reached = _ledgate(installation, "preview", change)["reached"]
        result["preview_seconds"] = time.monotonic() - began
        if reached != services:
            raise RuntimeError(f"the preview saw {reached} of {services} services")
        spent = processes.cpu_seconds(pid) + processes.cpu_seconds(installation.cluster.pid)
        [job_id] = _ledgate(installation, "load", change)["jobs"]
        began = time.monotonic()
        _wait(lambda: _value(database, select(job.c.done_at).where(job.c.id == job_id)) is not None, 600)
        result["job_seconds"] = time.monotonic() - began
        spent = processes.cpu_seconds(pid) + processes.cpu_seconds(installation.cluster.pid) - spent
        # that of the load's own look is in the database's part; that of the logins is small beside it
        result["cpu_us"] = spent / services * 1e6
    changed = _value(database, select(func.count()).where(access.c.version == 2))
    if changed != services:
        raise RuntimeError(f"{changed} of {services} timelines changed")
    return result | {"logins": logins.told()}


def _boundary(installation: server.Installation, database: Database, ending: int) -> dict[str, Any]:
    """Subscribers online whose service ends at one instant."""
    end = (clock.now() // clock.SECOND + _AHEAD) * clock.SECOND
    subscribers = [{"username": population.username(number), "active_to": iso(end)} for number in range(ending)]
    _ledgate(installation, "load", {"subscribers": subscribers}, "--yes-cut", str(ending))
    if clock.now() >= end:
        raise RuntimeError(f"loading took longer than {_AHEAD} s: the boundary is over")
    with _logging_in(installation) as logins:
        undecided = select(func.count()).select_from(access).where(access.c.next_due <= end)
        _wait(lambda: clock.now() >= end, _AHEAD + 1)
        _wait(lambda: _value(database, undecided) == 0, 300)
        seconds = (clock.now() - end) / clock.SECOND
    waiting = select(enforcement.c.session_id).where(enforcement.c.cause == "boundary")
    told = select(attempt.c.session_id).where(attempt.c.cause == "boundary")
    queued = _value(database, select(func.count()).select_from(waiting.union(told).subquery()))
    if queued != ending:
        raise RuntimeError(f"{queued} of {ending} sessions were queued")
    return {"queued_seconds": seconds, "logins": logins.told()}


def _make_live(database: Database, count: int) -> None:
    """Open sessions of the first `count` subscribers, as accounting would have written them."""
    now = clock.now()
    with database.write() as conn:
        nas_id = conn.execute(select(nas.c.id)).scalar_one()
        ids = conn.execute(select(service.c.id, service.c.username).order_by(service.c.id).limit(count)).all()
        rows = [
            {
                "key": row.id.to_bytes(16, "big"),
                "nas_id": nas_id,
                "source": population.NAS_ADDRESS,
                "identifier": population.NAS_IDENTIFIER,
                "acct_session_id": f"{row.id:08x}",
                "username": row.username,
                "service_id": row.id,
                "started_at": now,
                "recorded_at": now,
                "heard_at": now,
                "interim": 86_400,
            }
            for row in ids
        ]
        dialect.insert_many(conn, session, rows)


def _ledgate(installation: server.Installation, command: str, document: dict[str, Any], *options: str) -> Any:
    """What `ledgate load` or `preview` prints of a document."""
    path = installation.directory / "change.json"
    path.write_text(json.dumps(document))
    done = subprocess.run(
        [str(server.COMMAND), command, str(path), "--json", *options],
        env=installation.environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ledgate {command} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


@contextmanager
def _logging_in(installation: server.Installation) -> Iterator[Logins]:
    """Log the last subscriber in, again and again, until the block ends."""
    logins, stop = Logins(), threading.Event()
    arguments = (installation.auth_port, installation.users - 1, logins, stop)
    thread = threading.Thread(target=_log_in, args=arguments, name="logins")
    thread.start()
    try:
        yield logins
    finally:
        stop.set()
        thread.join()


def _log_in(port: int, user: int, logins: Logins, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((population.NAS_ADDRESS, port))
            client.settimeout(1.0)
            began = time.monotonic()
            client.send(packets.login(user))
            try:
                accepted = client.recv(4096)[0] == ACCESS_ACCEPT
            except TimeoutError:
                logins.lost += 1
                continue
            if not accepted:
                raise RuntimeError("a login was refused")
            logins.answered.append((time.monotonic() - began) * 1e3)


def _value(database: Database, statement: Any) -> Any:
    with database.read() as conn:
        return conn.execute(statement).scalar()


def _wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it is not done after {seconds} s")
        time.sleep(0.1)
