"""Sessions and what accounting records make of them: a pure fold that counts every octet and every second once.

Routers send records late, twice, out of order, or not at all, and give the same Acct-Session-Id to several sessions. A
session is told by its key (source address, NAS-Identifier, Acct-Session-Id, User-Name) and by its derived start, within
`TOLERANCE`. Its counters only ever rise to the highest value a record has shown, and what they rise by is usage; so the
order and the number of the records do not matter. Instants are UTC microseconds.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from aaa.domain import mac
from aaa.domain.allowance import Watch
from aaa.domain.authorisation import Authorisation

# Acct-Status-Type (RFC 2866 section 5.1)
START: Final = 1
STOP: Final = 2
INTERIM: Final = 3
ON: Final = 7
OFF: Final = 8

# What closed a session. Stored: never rename.
BY_STOP: Final = "stop"
REPLACED: Final = "replaced"
REUSED: Final = "reused"
BY_NAS: Final = "nas"
STALE: Final = "stale"

SECOND: Final = 1_000_000
TOLERANCE: Final = 300 * SECOND


class Record(NamedTuple):
    """One accounting record, read.

    `seconds` is -1 if an Interim or Stop did not tell; `up` and `down` are octets from and to the subscriber;
    `started_at` is `event_at` less the session time. `key` tells sessions apart but for their start; on Accounting-On
    and Off it is empty. `lists_by_api`: the router's address-lists are kept over its API.
    """

    status: int
    key: bytes
    nas_id: int
    source: str
    identifier: str
    acct_session_id: str
    username: str
    calling_station_id: str
    called_station_id: str
    nas_port_id: str
    framed_protocol: str
    framed_ip: str | None
    framed_ipv6: str | None
    delegated_ipv6: str | None
    event_at: int
    started_at: int
    heard_at: int
    seconds: int
    up: int
    down: int
    terminate_cause: int | None
    authorisation: Authorisation | None
    lists_by_api: bool = False


class Usage(NamedTuple):
    """What a service used: octets and seconds that were not counted before, known at `at`."""

    service_id: int
    at: int
    up: int
    down: int
    seconds: int


class Session:
    """A session as stored, or about to be. `device` is the Calling-Station-Id in a form fit for comparison, or empty.

    What the fold did to it: `changed`; `readdressed`; `moved`, if it was opened, closed or reopened; `opened`, if it
    now is open and was not before, and then `others`, how many other devices of the service had a session open then.
    `watch`: what it was told to be left of its quotas, and had counted when it was read.
    """

    __slots__ = (
        "changed",
        "closed_at",
        "closed_by",
        "delegated_ipv6",
        "device",
        "down",
        "first",
        "framed_ip",
        "framed_ipv6",
        "heard_at",
        "id",
        "key",
        "moved",
        "opened",
        "others",
        "readdressed",
        "recorded_at",
        "seconds",
        "service_id",
        "started_at",
        "terminate_cause",
        "up",
        "watch",
    )

    def __init__(
        self,
        id: int | None,
        key: bytes,
        service_id: int | None,
        device: str,
        started_at: int,
        recorded_at: int,
        heard_at: int,
        seconds: int = 0,
        up: int = 0,
        down: int = 0,
        framed_ip: str | None = None,
        framed_ipv6: str | None = None,
        delegated_ipv6: str | None = None,
        closed_at: int | None = None,
        closed_by: str | None = None,
        terminate_cause: int | None = None,
    ) -> None:
        self.id = id
        self.key = key
        self.service_id = service_id
        self.device = device
        self.started_at = started_at
        self.recorded_at = recorded_at
        self.heard_at = heard_at
        self.seconds = seconds
        self.up = up
        self.down = down
        self.framed_ip = framed_ip
        self.framed_ipv6 = framed_ipv6
        self.delegated_ipv6 = delegated_ipv6
        self.closed_at = closed_at
        self.closed_by = closed_by
        self.terminate_cause = terminate_cause
        self.first: Record | None = None
        self.changed = False
        self.readdressed = False
        self.moved = False
        self.opened = False
        self.others = 0
        self.watch: Watch | None = None

    @property
    def last_second(self) -> int:
        """The instant up to which it is counted."""
        return self.started_at + self.seconds * SECOND


@lru_cache(maxsize=65_536)
def device_of(calling_station_id: str) -> str:
    """A Calling-Station-Id in a form fit for comparison: MAC addresses in one spelling; empty if it is empty."""
    return mac.normalise(calling_station_id) or calling_station_id


class Peer(NamedTuple):
    """An open session, as far as the other sessions of its service care."""

    key: bytes
    service_id: int
    device: str
    started_at: int


class Roll:
    """The sessions that a batch of records may touch, and what the records make of them.

    `sessions` are the stored ones with the records' keys, and the open ones of the records' devices; `peers` all open
    ones of the services in `services`, which maps the keys of records that may open or create a session to their
    service (None: nobody's). A record that would do so with another key changes nothing, and its key goes to
    `unprepared`: the batch has to be done again with that key in `services`.
    """

    __slots__ = ("_peers", "_rows", "_services", "made", "unprepared", "usage")

    def __init__(
        self, sessions: Iterable[Session], services: Mapping[bytes, int | None], peers: Iterable[Peer] = ()
    ) -> None:
        self._rows: dict[bytes, list[Session]] = {}
        for session in sessions:
            self._rows.setdefault(session.key, []).append(session)
        self._services = services
        self._peers: dict[int, dict[bytes, Peer]] = {}
        for peer in peers:
            self._peers.setdefault(peer.service_id, {})[peer.key] = peer
        self.made: list[Session] = []
        self.usage: list[Usage] = []
        self.unprepared: set[bytes] = set()

    def changed(self) -> list[Session]:
        """The stored sessions that are not as they were stored."""
        return [
            session for rows in self._rows.values() for session in rows if session.changed and session.id is not None
        ]

    def apply(self, record: Record) -> None:
        """Take in a Start, Interim-Update or Stop."""
        rows = self._rows.get(record.key)
        session = _match(rows, record) if rows else None
        if session is None:
            session = self._create(record, _open_row(rows) if rows else None)
            if session is None:
                return
        elif session.closed_at is None:
            self._count(session, record)
            if record.status == STOP:
                self._stop(session, record)
        else:
            self._count_late(session, record)
        if record.status == START and session.service_id is not None and session.device:
            self._replace(session)

    def _create(self, record: Record, current: Session | None) -> Session | None:
        """A session that only this record tells of; `current` is the open session of the same key, of another start."""
        if record.key not in self._services:
            self.unprepared.add(record.key)
            return None
        session = _first(record, self._services[record.key])
        self._rows.setdefault(record.key, []).append(session)
        self.made.append(session)
        self._count(session, record)
        superseded = current is not None and current.started_at > session.started_at
        if current is not None and not superseded:
            self._close(current, REUSED)
        if record.status == STOP:
            self._stop(session, record)
        elif superseded:
            self._close(session, REUSED)
        elif self._device_moved_on(session, record.event_at):
            self._close(session, REPLACED)
        else:
            self._open(session)
        return session

    def _count(self, session: Session, record: Record) -> None:
        """Raise the counters to the record's, and note the difference as usage."""
        seconds = record.seconds
        if seconds < 0:
            seconds = (record.event_at - session.started_at) // SECOND
        more_seconds = max(0, seconds - session.seconds)
        more_up = max(0, record.up - session.up)
        more_down = max(0, record.down - session.down)
        if more_seconds or more_up or more_down:
            session.seconds += more_seconds
            session.up += more_up
            session.down += more_down
            session.changed = True
            if session.service_id is not None:
                self.usage.append(Usage(session.service_id, record.event_at, more_up, more_down, more_seconds))
        if record.event_at > session.recorded_at and session.closed_at is None:
            session.recorded_at = record.event_at
            session.heard_at = record.heard_at
            session.changed = True
            self._readdress(session, record)

    def _readdress(self, session: Session, record: Record) -> None:
        """Take over addresses that were given after the start, as IPv6 prefixes are."""
        told = (record.framed_ip, record.framed_ipv6, record.delegated_ipv6)
        known = (session.framed_ip, session.framed_ipv6, session.delegated_ipv6)
        if told != known:
            merged = tuple([new or old for new, old in zip(told, known, strict=True)])
            if merged != known:
                session.framed_ip, session.framed_ipv6, session.delegated_ipv6 = merged
                session.readdressed = True

    def _count_late(self, session: Session, record: Record) -> None:
        """A record for a closed session raises its counters. Two reasons to take it for closed can be disproved by an
        interim of later: its silence, and that its router said to have started anew; some do so with sessions left.
        """
        if session.closed_by == STALE and record.status == STOP:
            self._count(session, record)
            self._stop(session, record)
            return
        newer = record.event_at > session.recorded_at and (record.seconds < 0 or record.seconds > session.seconds)
        if session.closed_by in (STALE, BY_NAS) and record.status == INTERIM and newer:
            if _open_row(self._rows[session.key]) is None:
                if session.key not in self._services:
                    self.unprepared.add(session.key)
                    return
                session.closed_at = session.closed_by = None
                self._count(session, record)
                self._open(session)
                return
        self._count(session, record)
        if session.closed_by != BY_STOP:
            session.closed_at = session.last_second

    def _open(self, session: Session) -> None:
        session.opened = session.moved = session.changed = True
        if session.service_id is not None:
            peers = self._peers.setdefault(session.service_id, {})
            devices = {peer.device.encode() or peer.key for peer in peers.values()}
            session.others = len(devices - {session.device.encode()})
            peers[session.key] = Peer(session.key, session.service_id, session.device, session.started_at)

    def _stop(self, session: Session, record: Record) -> None:
        self._close(session, BY_STOP)
        session.closed_at = record.event_at
        session.terminate_cause = record.terminate_cause

    def _close(self, session: Session, cause: str) -> None:
        session.closed_at = session.last_second
        session.closed_by = cause
        session.opened = False
        session.moved = session.changed = True
        if session.service_id is not None:
            self._peers.get(session.service_id, {}).pop(session.key, None)

    def _replace(self, session: Session) -> None:
        """Close the device's other sessions: it has started this one, so their Stops are lost.

        Not those that started later. The repeated Start of a session that has ended does not count against one that
        began in the same second.
        """
        assert session.service_id is not None
        before = session.started_at + (session.closed_at is None)
        for peer in list(self._peers.get(session.service_id, {}).values()):
            if peer.device == session.device and peer.key != session.key and peer.started_at < before:
                other = _open_row(self._rows.get(peer.key, ()))
                if other is not None:
                    self._close(other, REPLACED)

    def _device_moved_on(self, session: Session, event_at: int) -> bool:
        """Whether the same device has an open session that started after `event_at`."""
        if session.service_id is None or not session.device:
            return False
        peers = self._peers.get(session.service_id, {})
        return any(peer.device == session.device and peer.started_at > event_at for peer in peers.values())


def _first(record: Record, service_id: int | None) -> Session:
    session = Session(
        None,
        record.key,
        service_id,
        device_of(record.calling_station_id),
        record.started_at,
        record.event_at,
        record.heard_at,
        framed_ip=record.framed_ip,
        framed_ipv6=record.framed_ipv6,
        delegated_ipv6=record.delegated_ipv6,
    )
    session.first = record
    session.changed = True
    return session


def _open_row(rows: Iterable[Session]) -> Session | None:
    for session in rows:
        if session.closed_at is None:
            return session
    return None


def _match(rows: list[Session], record: Record) -> Session | None:
    """The session of the record's key that the record is about.

    A router that has restarted may give its ids again at once: a Start after what it ended is another session.
    """
    if record.status == START:
        rows = [one for one in rows if one.closed_by != BY_NAS or record.started_at <= one.last_second]
        if not rows:
            return None
    if record.seconds < 0:
        return _open_row(rows) or max(rows, key=_start)
    best: Session | None = None
    nearest = TOLERANCE
    for session in rows:
        distance = abs(session.started_at - record.started_at)
        if distance < nearest or (distance <= nearest and (best is None or best.closed_at is not None)):
            best = session
            nearest = distance
    if best is None and record.status != START:
        present = _open_row(rows)
        if present is not None and _goes_on(present, record):
            return present
    return best


def _goes_on(present: Session, record: Record) -> bool:
    """Whether a record that gives another start can only be about the open session all the same.

    No router has two sessions of one id at a time: what happened after the open one began is no earlier session's. And
    a router whose clock was put right tells another time of day, but goes on counting: by its arrival, the record fits.
    """
    if record.started_at < present.started_at <= record.event_at:
        return True
    distance = abs(present.started_at - (record.heard_at - record.seconds * SECOND))
    counts_on = record.seconds >= present.seconds and record.up >= present.up and record.down >= present.down
    return distance <= TOLERANCE and counts_on


def _start(session: Session) -> int:
    return session.started_at
