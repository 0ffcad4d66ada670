"""Who speaks to a router's API: for each of two works one process at a time, so that what it reads stays true until it
changes it (shell). `rules` are what every router has of ours, `lists` the entries of live sessions.
"""

from typing import Final, Literal

from sqlalchemy import or_

from aaa.clock import SECOND
from aaa.store.database import Database
from aaa.store.tables import router

Work = Literal["rules", "lists"]

_COLUMNS: Final = {
    "rules": (router.c.holder, router.c.held_until),
    "lists": (router.c.lists_holder, router.c.lists_held_until),
}


def take(db: Database, nas_id: int, work: Work, holder: str, now: int, seconds: int) -> bool:
    """Hold the work for so long, anew if it is held already; False if another holds it, or the router has no API."""
    by, until = _COLUMNS[work]
    held = router.update().where(router.c.nas_id == nas_id, or_(by == holder, until <= now))
    with db.write() as conn:
        return conn.execute(held.values({by: holder, until: now + seconds * SECOND})).rowcount == 1


def let_go(db: Database, nas_id: int, work: Work, holder: str) -> None:
    """Let another have it at once."""
    by, until = _COLUMNS[work]
    mine = router.update().where(router.c.nas_id == nas_id, by == holder)
    with db.write() as conn:
        conn.execute(mine.values({until: 0}))
