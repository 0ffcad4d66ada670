"""One role in one process, as the supervisor starts it: `python -m ledgate.role auth 0`, settings from the environment.

Logs to standard error, one line each; SIGTERM and SIGINT end it in good order. A role is imported only where it runs.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from aaa import clock
from aaa.domain.instant import stamp
from ledgate import config
from ledgate.config import Settings

ROLES: Final = ("replica", "auth", "acct", "engine")
"""In the order of their start."""
_DATABASE_EVERY: Final = 0.5  # seconds between looks for a database that is away


def processes(settings: Settings, role: str) -> int:
    """How many processes of a role there are."""
    return {"auth": settings.auth_processes, "acct": settings.acct_processes}.get(role, 1)


def serve(settings: Settings, role: str, index: int, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Run process `index` of a role until `stop` is set; `ready` is called once, when it serves."""
    if role == "replica":
        from aaa.store import replica_role

        replica_role.run(
            database_url=settings.database_url,
            state_dir=settings.state_dir,
            machine=settings.machine,
            stop=stop,
            ready=ready,
        )
    elif role == "auth":
        from aaa.radius import auth_role

        auth_role.run(
            database_url=settings.database_url,
            state_dir=settings.state_dir,
            key_file=settings.key_file,
            listen=settings.listen,
            port=settings.auth_port,
            index=index,
            processes=settings.auth_processes,
            reject_delay=settings.reject_delay,
            duplicate_window=settings.duplicate_window,
            login_lines=settings.login_lines,
            auth_log_rate=settings.auth_log_rate,
            stop=stop,
            ready=ready,
        )
    elif role == "acct":
        from aaa.radius import acct_role

        acct_role.run(
            database_url=settings.database_url,
            state_dir=settings.state_dir,
            key_file=settings.key_file,
            listen=settings.listen,
            port=settings.acct_port,
            index=index,
            processes=settings.acct_processes,
            duplicate_window=settings.duplicate_window,
            stop=stop,
            ready=ready,
        )
    elif role == "engine":
        from aaa.coa import engine

        engine.run(
            database_url=settings.database_url,
            state_dir=settings.state_dir,
            key_file=settings.key_file,
            machine=settings.machine,
            stop=stop,
            ready=ready,
            radius_ports=(settings.auth_port, settings.acct_port),
        )
    else:
        raise ValueError(f"{role}: no such role; there are {', '.join(ROLES)}")


def _await_schema(settings: Settings, stop: threading.Event) -> None:
    """Wait until the database answers, and has the schema of this version. Raises StaleSchema."""
    from sqlalchemy.exc import OperationalError

    from aaa.store.database import open_database
    from ledgate.migrate import require_current

    database = open_database(settings.database_url, pool_size=1)
    try:
        while not stop.is_set():
            try:
                require_current(database)
                return
            except OperationalError:
                stop.wait(_DATABASE_EVERY)
    finally:
        database.close()


def ready_file(settings: Settings, role: str, index: int) -> Path:
    """Where a process notes that it serves: its process id, as text."""
    return settings.state_dir / "run" / f"{role}-{index}"


def log_to_stderr(name: str) -> None:
    """Log lines of this process: time, level, `name`, message."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(name))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Their every job run and every look at the schema would be a line.
    for chatty in ("apscheduler", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Lines(logging.Formatter):
    def __init__(self, name: str) -> None:
        super().__init__(f"%(asctime)s {name} %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return stamp(clock.now())


def main(arguments: list[str]) -> int:
    """Entry of a role's process; returns its exit status: 2 for what a restart cannot cure."""
    from aaa.store.database import BadDatabaseUrl
    from aaa.store.replica_writer import ReplicaBusy
    from aaa.store.seal import KeyFileError
    from ledgate.migrate import StaleSchema

    role, index = arguments[0], int(arguments[1])
    log_to_stderr(f"{role}-{index}")
    log = logging.getLogger(__name__)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # for roles that have no counters to tell
    try:
        settings = config.load()
        if role != "auth":
            _await_schema(settings, stop)
        serve(settings, role, index, stop, partial(_note_ready, ready_file(settings, role, index)))
    except (config.BadSetting, BadDatabaseUrl, KeyFileError, StaleSchema) as error:
        log.error("%s", error)
        return 2
    except (OSError, ReplicaBusy) as error:
        log.error("%s", error)
        return 1
    return 0


def _note_ready(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{os.getpid()}\n")
    fresh.replace(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
