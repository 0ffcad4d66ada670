"""The installation's settings as stored: a row for each that is not at its default (shell)."""

from typing import Any

from sqlalchemy import Connection, select

from aaa.domain.settings import Settings
from aaa.store.tables import setting


def read_settings(conn: Connection) -> Settings:
    """What counts now."""
    stored: dict[str, Any] = {row.name: row.value for row in conn.execute(select(setting))}
    return Settings(**stored)
