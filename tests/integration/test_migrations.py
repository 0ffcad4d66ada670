"""Migrations from nothing, on both databases."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

import aaa.store.tables
import billing.tables
from aaa.domain.settings import DEFAULTS
from aaa.store import facts
from aaa.store.database import open_database
from aaa.store.settings import read_settings
from aaa.store.tables import control, feed_counter, param
from ledgate import migrate


def test_an_empty_database_is_migrated_to_exactly_the_tables_of_the_code(empty_database_url: str) -> None:
    db = open_database(empty_database_url)
    assert migrate.is_empty(db)
    with pytest.raises(migrate.StaleSchema, match=r"has schema none, .* needs \d+: run `ledgate migrate`"):
        migrate.require_current(db)
    migrate.upgrade(empty_database_url)
    migrate.require_current(db)
    assert not migrate.is_empty(db)
    with db.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        differences = compare_metadata(context, [aaa.store.tables.metadata, billing.tables.metadata])  # type: ignore[arg-type]
    db.close()
    assert differences == []


def test_r3_2_an_upgrade_brings_no_finish_rule_to_a_database_in_use(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0003")
    db = open_database(empty_database_url)
    with db.write() as conn:
        conn.execute(param.delete())
        conn.execute(control.delete())
    migrate.upgrade(empty_database_url)
    with db.read() as conn:
        assert conn.execute(select(control.c.name)).all() == []
        assert conn.execute(select(param.c.name)).all() == []
    db.close()


def test_r3_2_a_fresh_installation_has_the_walled_garden_at_server_scope(database_url: str) -> None:
    db = open_database(database_url)
    with db.read() as conn:
        rule = conn.execute(select(control).where(control.c.name == "walled-garden")).one()
        attached = conn.execute(select(param).where(param.c.name == "FinishRule")).one()
        epoch = conn.execute(select(feed_counter.c.epoch)).scalar_one()
    db.close()
    garden = {"restrict": {"address_list": "suspended"}}
    assert (rule.kind, rule.value) == ("FinishRule", {"suspended": garden, "traffic": garden, "expire": garden})
    assert (attached.level, attached.scope_id, attached.value) == ("server", 0, "walled-garden")
    assert epoch


def test_r6_2_accounts_of_before_have_billing_day_one_and_services_are_reminded(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0003")
    db = open_database(empty_database_url)
    with db.write() as conn:
        for statement in (
            "INSERT INTO visp (id, name, currency, timezone, feed) VALUES (1, 'tehran', 'IRR', 'Asia/Tehran', '1')",
            "INSERT INTO subscriber (id, visp_id, name) VALUES (1, 1, 'ali')",
            "INSERT INTO account (id, subscriber_id, visp_id, currency, dues) VALUES (1, 1, 1, 'IRR', '[]')",
            "INSERT INTO account (id, subscriber_id, visp_id, currency, dues) VALUES (2, 1, 1, 'IRR', '[]')",
            "INSERT INTO service (id, account_id, visp_id, username, password) VALUES (1, 1, 1, 'ali', 'x')",
        ):
            conn.execute(text(statement))
    migrate.upgrade(empty_database_url)
    with db.read() as conn:
        [found] = facts.read_services(conn, [1])
        assert read_settings(conn) == DEFAULTS
    db.close()
    one = found.service
    assert (one.billing_day, one.acknowledged_at, one.exempt_until, one.dont_show_overdue) == (1, None, None, False)
