"""pytest plugin: nothing is skipped silently, and the cheap tiers open no sockets."""

import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

SOCKETLESS_TIERS = ("unit", "protocol")


def _as_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason}\nA skipped test counts as a failure; only @pytest.mark.may_skip(reason) allows it."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure, unless the test is marked `may_skip` or is an expected failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("may_skip") is None:
        _as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips itself while it is imported."""
    report = yield
    if report.skipped:
        _as_failure(report)
    return report


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests under tests/unit and tests/protocol fail when they open a socket."""
    tier = Path(request.node.path).relative_to(request.config.rootpath).parts[1:2]
    if tier and tier[0] in SOCKETLESS_TIERS:

        def refuse(*_arguments: Any, **_options: Any) -> None:
            raise RuntimeError(f"tests/{tier[0]} opens no sockets: this test belongs in tests/integration")

        monkeypatch.setattr(socket.socket, "__init__", refuse)
