"""The key file against the database."""

import pytest
from sqlalchemy import update

from aaa.store.database import Database
from aaa.store.seal import KeyFileError, Sealer, holds_sealed, verify
from aaa.store.tables import nas, service
from tests.integration.population import add_nas, add_service, add_visp

SEALER = Sealer([bytes(range(32))])
OTHER = Sealer([bytes(32)])


def test_whether_a_database_holds_anything_sealed(database: Database) -> None:
    with database.write() as conn:
        visp_id = add_visp(conn)
        assert not holds_sealed(conn)
        add_nas(conn)
        assert holds_sealed(conn)
        conn.execute(nas.delete())
        add_service(conn, visp_id, "ali", b"record")
        assert holds_sealed(conn)


def test_an_empty_database_fits_any_key(database: Database) -> None:
    with database.read() as conn:
        verify(OTHER, conn)


@pytest.mark.parametrize("place", ["service", "nas"])
def test_a_key_file_that_does_not_fit_is_refused(database: Database, place: str) -> None:
    with database.write() as conn:
        visp_id = add_visp(conn)
        for name in ("first", "second"):
            service_id = add_service(conn, visp_id, name, b"record")
            sealed = SEALER.seal("service", "password", service_id, b"hello")
            conn.execute(update(service).where(service.c.id == service_id).values(password=sealed))
            nas_id = add_nas(conn, name)
            sealed = SEALER.seal("nas", "secret", nas_id, b"testing123")
            conn.execute(update(nas).where(nas.c.id == nas_id).values(secret=sealed))
        verify(SEALER, conn)
        with pytest.raises(KeyFileError, match="does not fit the database"):
            verify(OTHER, conn)
        # The newest row alone is sealed with another key: noticed as well.
        if place == "service":
            conn.execute(
                update(service)
                .where(service.c.id == service_id)
                .values(password=OTHER.seal("service", "password", service_id, b"hello"))
            )
        else:
            conn.execute(
                update(nas).where(nas.c.id == nas_id).values(secret=OTHER.seal("nas", "secret", nas_id, b"testing123"))
            )
        with pytest.raises(KeyFileError, match=rf"{place}\.(password|secret) of row \d+ is sealed with key"):
            verify(SEALER, conn)
