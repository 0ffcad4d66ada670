"""One million services: how long they take to load, what they weigh, and how soon logins work without a database."""

import time
from pathlib import Path
from typing import Any

from benchmarks import measure, packets, processes, report, server
from benchmarks.generator import Load
from benchmarks.measure import Side
from benchmarks.workloads import SEVERAL, Bench


def measure_million(bench: Bench, services: int) -> None:
    """Load, serve every subscriber once, weigh; then stop database and server, start the server alone, and log in."""
    file = bench.work / f"logins-{services}"
    packets.write(file, packets.logins(services), services)
    result: dict[str, Any] = {"services": services}
    with server.installed(services) as installation:
        result["load_seconds"] = installation.load_seconds
        with installation.serve("replica", "auth") as pids:
            result["first_replica_seconds"] = installation.wait_accept(pids[1], "auth")
            side = Side("ledgate", installation.auth_port, installation.acct_port, pids[1], None)
            # Every subscriber logs in once, so that every page of the replica a login needs is mapped.
            run = measure.run(
                bench.program(), side, side.auth_port, file, Load(600, *SEVERAL), once=True,
            )  # fmt: skip
            result["logins_per_second"] = run.rate
            result["replica_bytes"] = _replica_bytes(installation.directory)
            members = [member for pid in pids for member in processes.tree(pid)]
            result["pss_bytes"] = processes.pss_bytes(members)
        installation.cluster.stop()
        began = time.monotonic()
        with installation.serve() as pids:
            installation.wait_accept(pids[0])
            result["ready_seconds"] = time.monotonic() - began
    for name, value in result.items():
        print(f"{name}: {value:,.1f}" if isinstance(value, float) else f"{name}: {value:,}")
    claims = [
        report.claim("PSS of auth and replica processes, MB", result["pss_bytes"] / 1e6, 700, at_least=False),
        report.claim(
            "seconds to the first Accept after a restart without the database", result["ready_seconds"], 5, False
        ),
    ]
    report.save(bench.results, "million", {**result, "claims": claims})


def _replica_bytes(directory: Path) -> int:
    """What the replica takes on disk: its file is sparse, so blocks are counted, not its length."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.suffix in (".mdb", ".lmdb")]
    if not files:
        raise RuntimeError(f"there is no replica file below {directory}")
    return sum(path.stat().st_blocks * 512 for path in files)
