"""Schema migrations: Alembic, over the joined metadata of access and billing (shell)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from aaa.store.database import Database, open_database


class StaleSchema(RuntimeError):
    """The database is not at the schema this version needs; the message says which it has and what to run."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`, in one transaction."""
    db = open_database(url)
    try:
        with db.engine.begin() as conn:
            command.upgrade(_config(conn), revision)
    finally:
        db.close()


def wanted_revision() -> str:
    """The newest revision that this version knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def present_revision(db: Database) -> str | None:
    """The revision the database has; None if it was never migrated."""
    with db.read() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def is_empty(db: Database) -> bool:
    """Whether the database holds no table at all."""
    with db.read() as conn:
        return not inspect(conn).get_table_names()


def require_current(db: Database) -> None:
    """Raise StaleSchema unless the database has exactly the schema of this version."""
    present, wanted = present_revision(db), wanted_revision()
    if present != wanted:
        raise StaleSchema(
            f"the database has schema {present or 'none'}, this version of ledgate needs {wanted}: "
            "run `ledgate migrate` first"
        )
