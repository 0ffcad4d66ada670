"""Counters: what is written, when, and that readers never see half of it."""

import json
import logging
from pathlib import Path

import pytest

from aaa.radius.counters import CounterReport, Counters


def read(folder: Path) -> dict[str, int]:
    counters: dict[str, int] = json.loads((folder / "counters" / "auth-0.json").read_text())["counters"]
    return counters


def test_the_file_follows_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    counters = Counters()
    report = CounterReport(counters, tmp_path, "auth", 0)
    report.tick(100.0)
    assert read(tmp_path) == {}
    counters.add("accept")
    counters.add("accept", 2)
    report.tick(100.9)
    assert read(tmp_path) == {}
    report.tick(101.0)
    assert read(tmp_path) == {"accept": 3}
    counters.add("drop-unknown-nas")
    report.close()
    assert read(tmp_path) == {"accept": 3, "drop-unknown-nas": 1}
    assert (counters["accept"], counters["never"]) == (3, 0)
    assert [file.name for file in (tmp_path / "counters").iterdir()] == ["auth-0.json"]


def test_the_log_has_them_once_a_minute_if_they_changed_and_when_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    counters = Counters()
    report = CounterReport(counters, tmp_path, "auth", 0)
    report.tick(100.0)
    counters.add("accept")
    for moment in (130.0, 159.9, 160.0, 221.0, 282.0):
        report.tick(moment)
    assert [record.getMessage() for record in caplog.records] == ["counters role=auth index=0 accept=1"]
    report.ask()
    report.tick(282.1)
    assert len(caplog.records) == 2


def test_a_file_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()
    report = CounterReport(counters, tmp_path, "auth", 0)
    (tmp_path / "counters").rmdir()
    counters.add("accept")
    report.tick(1.0)
    assert "auth-0.json" in caplog.text
