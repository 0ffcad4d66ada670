"""A service, a router and accounting records for the tests of the store, and what the store has made of them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from aaa.domain.authorisation import Authorisation
from aaa.domain.session import SECOND, START, Record
from aaa.domain.timeline import Segment, Timeline, Verdict, profile
from aaa.radius.accounting import session_key
from aaa.store import record as access_record
from aaa.store import tables
from aaa.store.accounting import Accounting, BatchResult
from aaa.store.database import Database
from tests.integration import population
from tests.integration.population import NOW

HOUR = 3600 * SECOND
DEVICE = "02:00:00:00:00:01"
OTHER_DEVICE = "02:00:00:00:00:02"
ALLOWED = profile([("Acct-Interim-Interval", 600), ("Framed-IP-Address", "10.9.9.9"), ("Framed-Pool", "pool1")])
CUT_AT = NOW + HOUR


def timeline() -> Timeline:
    """Allowed until an hour from NOW, then denied."""
    return Timeline(
        (
            Segment(NOW - HOUR, CUT_AT, Verdict.ALLOW, ALLOWED),
            Segment(CUT_AT, NOW + 800 * HOUR, Verdict.DENY, ()),
        )
    )


@dataclass
class World:
    """A database with one VISP, one router and the service `ali`."""

    db: Database
    visp: int
    nas: int
    service: int
    profile: int
    accounting: Accounting

    @classmethod
    def make(cls, db: Database, simultaneous_use: int = 0, learns_caller: bool = False) -> "World":
        with db.write() as conn:
            visp = population.add_visp(conn, "tehran", "tehran.example")
            nas = population.add_nas(conn, "mt1", address="192.0.2.1")
            service = population.add_service(conn, visp, "ali", b"")
            packed, profiles = access_record.pack(
                service,
                3,
                timeline(),
                sealed=b"sealed",
                simultaneous_use=simultaneous_use,
                learns_caller=learns_caller,
            )
            population.set_access(conn, service, record=packed, version=3)
            for name, pairs in profiles.items():
                row = {"id": name, "attributes": access_record.profile_json(pairs), "encoded": b""}
                conn.execute(insert(tables.profile).values(row))
        return cls(db, visp, nas, service, next(iter(profiles)), Accounting(db))

    def granted(self, version: int = 3, segment: int = 0) -> Authorisation:
        """What the Class of ali's sessions says."""
        return Authorisation(self.service, version, segment, self.profile, CUT_AT // SECOND)

    def record(
        self,
        status: int,
        at: int = 0,
        seconds: int = 0,
        up: int = 0,
        down: int = 0,
        *,
        session: str = "80000001",
        device: str = DEVICE,
        username: str = "ali",
        identifier: str = "mt1",
        source: str = "192.0.2.1",
        authorisation: Authorisation | bool | None = True,
        **more: Any,
    ) -> Record:
        """A record of an event `at` seconds after NOW, heard at once, with ali's Class unless told otherwise."""
        event_at = NOW + at * SECOND
        values: dict[str, Any] = {
            "status": status,
            "key": session_key(source.encode(), identifier.encode(), session.encode(), username.encode()),
            "nas_id": self.nas,
            "source": source,
            "identifier": identifier,
            "acct_session_id": session,
            "username": username,
            "calling_station_id": device,
            "called_station_id": "pppoe-in",
            "nas_port_id": "ether2",
            "framed_protocol": "ppp",
            "framed_ip": "10.0.0.1",
            "framed_ipv6": None,
            "delegated_ipv6": None,
            "event_at": event_at,
            "started_at": event_at - seconds * SECOND,
            "heard_at": event_at,
            "seconds": seconds,
            "up": up,
            "down": down,
            "terminate_cause": None,
            "authorisation": self.granted() if authorisation is True else authorisation,
        }
        return Record(**(values | more))

    def start(self, at: int = 0, **more: Any) -> Record:
        return self.record(START, at, **more)

    def commit(self, *records: Record, now: int | None = None) -> BatchResult:
        """One batch; `now` is when the last record was heard, unless given."""
        result = self.accounting.commit(records, records[-1].heard_at if now is None else now)
        assert result.stored == len(records), result
        return result

    def sessions(self) -> list[Any]:
        """Every session, in the order they began."""
        with self.db.read() as conn:
            return list(
                conn.execute(
                    select(tables.session).order_by(tables.session.c.started_at, tables.session.c.acct_session_id)
                ).all()
            )

    def usage(self) -> dict[int, tuple[int, int, int]]:
        """day -> octets up, octets down, seconds, of ali."""
        day = tables.usage_day
        with self.db.read() as conn:
            return {row.day: (row.up, row.down, row.seconds) for row in conn.execute(select(day))}

    def wishes(self) -> list[Any]:
        """Enforcement rows by session."""
        with self.db.read() as conn:
            return list(conn.execute(select(tables.enforcement).order_by(tables.enforcement.c.session_id)).all())

    def contact(self) -> Any:
        """When the router was heard."""
        with self.db.read() as conn:
            return conn.execute(select(tables.nas_contact)).one()

    def change(self, version: int) -> None:
        """Ali's access is changed: a new version with the same timeline."""
        packed, _ = access_record.pack(self.service, version, timeline(), sealed=b"sealed")
        with self.db.write() as conn:
            population.set_access(conn, self.service, record=packed, version=version)

    def forget_wishes(self) -> None:
        """The engine has done its work."""
        with self.db.write() as conn:
            conn.execute(tables.enforcement.delete())

    def age(self, **values: Any) -> None:
        """Set columns of the router's contact."""
        with self.db.write() as conn:
            conn.execute(update(tables.nas_contact).values(values))
