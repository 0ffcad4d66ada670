"""Tables for the eye, JSON for the record."""

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Summary


def table(title: str, summaries: list[Summary], base: str, unit: str) -> None:
    """Print the sides of one measurement.

    `ratio` is the rate as a multiple of `base`'s, `others` the share of the machine that was spent on anything else.
    """
    shown = Table(title=title, title_justify="left")
    for heading in (
        "server",
        f"{unit}/s",
        "lowest–highest",
        "CPU µs",
        "db CPU µs",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "ratio",
        "resent",
        "lost",
        "others",
    ):
        shown.add_column(heading, justify="left" if heading == "server" else "right")
    by_name = {summary.side: summary for summary in summaries}
    for summary in summaries:
        database = "–" if summary.database_cpu_us is None else f"{summary.database_cpu_us:.1f}"
        ratio = f"{summary.rate / by_name[base].rate:.2f}" if base in by_name else "–"
        shown.add_row(
            summary.side, f"{summary.rate:,.0f}", f"{summary.lowest:,.0f}–{summary.highest:,.0f}",
            f"{summary.server_cpu_us:.1f}", database, f"{summary.p50_us / 1000:.2f}", f"{summary.p99_us / 1000:.2f}",
            f"{summary.p999_us / 1000:.2f}", ratio, str(summary.resent),
            str(summary.lost), f"{summary.others:.0%}",
        )  # fmt: skip
    # Wide enough for every column, even where the output is no terminal.
    Console(width=150).print(shown)


def claim(what: str, figure: float, target: float, at_least: bool = True) -> dict[str, Any]:
    """Print whether a figure meets its target, and give it back for the record."""
    met = figure >= target if at_least else figure <= target
    sign = "≥" if at_least else "≤"
    print(f"{'met   ' if met else 'MISSED'} {what}: {figure:.2f} ({sign} {target:g})", flush=True)
    return {"what": what, "figure": figure, "target": target, "at_least": at_least, "met": met}


def machine() -> dict[str, Any]:
    """Where the figures were measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "model": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def plain(summaries: list[Summary]) -> list[dict[str, Any]]:
    """Summaries as JSON takes them."""
    return [asdict(summary) for summary in summaries]


def save(directory: Path, name: str, content: dict[str, Any]) -> Path:
    """Write one measurement to `directory`; the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n")
    return path
