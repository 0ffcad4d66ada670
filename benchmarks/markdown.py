"""What was measured last, as the tables of docs/performance.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.workloads import FILES, SQL

HEAD = "| | a second | lowest to highest | ratio | CPU µs | database CPU µs | p50 ms | p99 ms | sent again | lost |"
RULE = "| --- |" + " ---: |" * 9
TITLES = {
    "ceiling": "Generator alone",
    "login": "Logins",
    "latency": "Logins at equal load",
    "accounting": "Accounting",
}


def tables(results: Path) -> Iterator[str]:
    """The lines, from the files that the measurements left in `results`."""
    for name, title in TITLES.items():
        path = results / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text())
            yield f"### {title}"
            yield f"\nMeasured {found['machine']['at'][:10]}.\n"
            for load, sides in found["loads"].items():
                yield from _table(load, sides)
            yield from (f"* {_claim(one)}" for one in found.get("claims", ()))
            yield ""


def _table(load: str, sides: list[dict[str, Any]]) -> Iterator[str]:
    rates = {side["side"]: side["rate"] for side in sides}
    base = next((rates[name] for name in (FILES, SQL) if name in rates), sides[0]["rate"])
    yield f"{_spelled(load)}:\n"
    yield HEAD
    yield RULE
    for side in sides:
        database = "–" if side["database_cpu_us"] is None else f"{side['database_cpu_us']:.0f}"
        cells = (
            f"`{side['side']}`", f"{side['rate']:,.0f}", f"{side['lowest']:,.0f} to {side['highest']:,.0f}",
            f"{side['rate'] / base:.2f}", f"{side['server_cpu_us']:.0f}", database,
            f"{side['p50_us'] / 1000:.2f}", f"{side['p99_us'] / 1000:.2f}", f"{side['resent']:,}", f"{side['lost']:,}",
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""


def _spelled(load: str) -> str:
    sockets, cross, each = load.partition("x")
    if not cross:
        return f"Offered {load}"
    return f"{sockets} socket{'' if sockets == '1' else 's'}, {each} requests in flight on each"


def _claim(one: dict[str, Any]) -> str:
    sign = "at least" if one["at_least"] else "at most"
    outcome = "met" if one["met"] else "missed"
    return f"{one['what']}: **{one['figure']:.2f}**; {outcome}, {sign} {one['target']:g} is wanted"
