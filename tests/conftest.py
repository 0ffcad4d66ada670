"""What every tier uses: the run's own folder, the way examples are drawn, a shifted clock."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from tests import postgresql

pytest_plugins = ["pytester", "tests.strictness"]

# Shared cores make single examples slow at times. CI tries the same examples every time; other runs look for new ones.
hypothesis.settings.register_profile("ledgate", deadline=None, derandomize="CI" in os.environ, print_blob=True)
hypothesis.settings.load_profile("ledgate")


class Run(NamedTuple):
    """One pytest run: the folder its processes share, and the process whose end is the end of the run."""

    folder: Path
    owner: int


RUN = pytest.StashKey[Run]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run one folder, made by the first process and shared with its xdist workers."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        run = Run(Path(tempfile.mkdtemp(prefix="ledgate-tests-")), os.getpid())
        run.folder.chmod(0o711)  # user postgres passes through
    else:
        run = Run(Path(given["run_folder"]), given["run_owner"])
    config.stash[RUN] = run


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the run's folder is."""
    run = node.config.stash[RUN]
    node.workerinput.update(run_folder=str(run.folder), run_owner=run.owner)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's PostgreSQL and remove its folder, when the last worker has ended."""
    run = config.stash[RUN]
    if run.owner == os.getpid():
        postgresql.stop_shared_cluster(run.folder)
        shutil.rmtree(run.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """This pytest run."""
    return request.config.stash[RUN]


@pytest.fixture
def shifted_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`shifted_clock(seconds)`: `ledgate` processes started from now on have clocks that much ahead (or behind)."""

    def shift(seconds: float) -> None:
        monkeypatch.setenv("LEDGATE_TEST", "1")
        monkeypatch.setenv("LEDGATE_CLOCK_OFFSET", str(seconds))

    return shift
