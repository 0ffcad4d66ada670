"""Records for tests of sessions, and a summary of what they made."""

from collections.abc import Iterable

from aaa.domain.session import INTERIM, SECOND, START, Peer, Record, Roll, Session

T = 1_790_000_000 * SECOND
SERVICE = 7


def record(
    status: int,
    at: int,
    seconds: int = 0,
    up: int = 0,
    down: int = 0,
    *,
    key: bytes = b"k1",
    device: str = "02:00:00:00:00:01",
    framed_ip: str | None = "10.0.0.1",
    heard: int | None = None,
) -> Record:
    """A record of an event `at` seconds after T; it reaches us at once unless `heard` says when."""
    event_at = T + at * SECOND
    return Record(
        status=status,
        key=key,
        nas_id=1,
        source="192.0.2.1",
        identifier="mt1",
        acct_session_id=key.decode(),
        username="ali",
        calling_station_id=device,
        called_station_id="",
        nas_port_id="",
        framed_protocol="ppp",
        framed_ip=framed_ip,
        framed_ipv6=None,
        delegated_ipv6=None,
        event_at=event_at,
        started_at=event_at - max(seconds, 0) * SECOND,
        heard_at=T + (at if heard is None else heard) * SECOND,
        seconds=seconds,
        up=up,
        down=down,
        terminate_cause=None,
        authorisation=None,
    )


class Book:
    """Stores what rolls make of records, one roll for each batch, as the database does."""

    def __init__(self, service: int | None = SERVICE) -> None:
        self.rows: list[Session] = []
        self.used = [0, 0, 0]
        self.service = service

    def take(self, *records: Record) -> Roll:
        """One batch."""
        opening = {one.key for one in records if one.status == START}
        while True:
            services = dict.fromkeys(opening, self.service)
            peers = [
                Peer(row.key, row.service_id, row.device, row.started_at)
                for row in self.rows
                if row.closed_at is None and row.service_id is not None and services
            ]
            roll = Roll([copied(row) for row in self.rows], services, peers)
            for one in records:
                roll.apply(one)
            if not roll.unprepared:
                break
            opening |= roll.unprepared
        kept = {row.id: row for row in roll.changed()}
        self.rows = [kept.get(row.id, row) for row in self.rows]
        for row in roll.made:
            row.id = len(self.rows) + 1
            self.rows.append(row)
        for use in roll.usage:
            self.used[0] += use.up
            self.used[1] += use.down
            self.used[2] += use.seconds
        for key in {row.key for row in self.rows}:
            assert sum(1 for row in self.rows if row.key == key and row.closed_at is None) <= 1
        return roll

    def take_each(self, records: Iterable[Record]) -> None:
        """Every record a batch of its own."""
        for one in records:
            self.take(one)

    def one(self) -> Session:
        """The only session."""
        [row] = self.rows
        return row

    def close_stale(self) -> None:
        """What the job does to every open session."""
        for row in self.rows:
            if row.closed_at is None:
                row.closed_at, row.closed_by = row.last_second, "stale"


def copied(row: Session) -> Session:
    """The row as it would be read again."""
    return Session(
        row.id,
        row.key,
        row.service_id,
        row.device,
        row.started_at,
        row.recorded_at,
        row.heard_at,
        row.seconds,
        row.up,
        row.down,
        row.framed_ip,
        row.framed_ipv6,
        row.delegated_ipv6,
        row.closed_at,
        row.closed_by,
        row.terminate_cause,
    )


def life(key: bytes = b"k1", start: int = 0, *, device: str = "02:00:00:00:00:01") -> list[Record]:
    """A session's records: Start, three Interims, Stop: 1,000 seconds, 4,000 octets up, 40,000 down."""
    records = [record(START, start, key=key, device=device)]
    for passed in (250, 500, 750):
        records.append(record(INTERIM, start + passed, passed, 4 * passed, 40 * passed, key=key, device=device))
    records.append(record(2, start + 1000, 1000, 4000, 40000, key=key, device=device))
    return records
