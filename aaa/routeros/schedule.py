"""Visits to routers when they are due, several at once (shell).

A router becomes due when something changes that it is to hold, when it was not looked at for a while, and, while it
cannot be reached, at growing intervals: so one that was away gets its changes when it is back.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import or_, select

from aaa import clock
from aaa.routeros.visit import Visitor
from aaa.store.database import DATABASE_AWAY
from aaa.store.tables import nas, router

_log: Final = logging.getLogger(__name__)

AT_ONCE: Final = 8
_EVERY: Final = 0.5
_LONGEST_PAUSE: Final = 2.0


class Schedule:
    """Visits what is due from `start` to `stop`."""

    def __init__(self, visitor: Visitor, every: float = _EVERY) -> None:
        self._visitor = visitor
        self._every = every
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="router")
        self._thread = threading.Thread(target=self._run, name="routers")
        self._lock = threading.Lock()
        self._under_way: set[int] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the visits under way are over."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        away = 0
        while not self._stop.is_set():
            pause = self._every
            try:
                self._turn()
            except DATABASE_AWAY as error:
                away += 1
                if away == 1:
                    _log.warning("routers database=away error=%s", type(error).__name__)
                pause = min(_LONGEST_PAUSE, pause * 2.0 ** min(away, 3))
            except Exception:
                _log.exception("routers failed")
                pause = _LONGEST_PAUSE
            else:
                if away:
                    _log.warning("routers database=back after=%d attempts", away)
                away = 0
            self._stop.wait(pause)

    def _turn(self) -> None:
        now = clock.now()
        mine = self._visitor.holder
        due = (
            select(router.c.nas_id)
            .join(nas, nas.c.id == router.c.nas_id)
            .where(
                router.c.due_at <= now,
                or_(router.c.held_until <= now, router.c.holder == mine),
                router.c.state != "removed",
                nas.c.api_host.is_not(None),
                nas.c.removed.is_(False),
            )
            .order_by(router.c.due_at)
        )
        with self._visitor.db.read() as conn:
            found = conn.execute(due).scalars().all()
        with self._lock:
            fresh = [one for one in found if one not in self._under_way][: AT_ONCE - len(self._under_way)]
            self._under_way.update(fresh)
        for nas_id in fresh:
            self._pool.submit(self._visit, nas_id)

    def _visit(self, nas_id: int) -> None:
        try:
            self._visitor.visit(nas_id)
        except DATABASE_AWAY as error:
            _log.warning("router id=%d database=away error=%s", nas_id, type(error).__name__)
        except Exception:
            _log.exception("router id=%d failed", nas_id)
        finally:
            with self._lock:
                self._under_way.discard(nas_id)
