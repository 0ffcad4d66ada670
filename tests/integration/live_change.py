"""A whole live change in one process: a loaded database, a desk that answers RADIUS from it, the engine, a fake router.

The desk stands in for the auth and acct roles, which have tests of their own: it grants what the stored timeline says,
without looking at passwords, and commits every accounting record before it answers.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import select

from aaa import clock
from aaa.coa import engine
from aaa.domain.instant import iso
from aaa.domain.router import list_lever
from aaa.domain.timeline import Verdict
from aaa.radius.accounting import read_record
from aaa.radius.grant import accept_attributes, fit, session_kind
from aaa.radius.integrity import Secret, access_reply, accounting_reply
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_REQUEST, USER_NAME, Packet, parse
from aaa.store import record
from aaa.store.accounting import Accounting
from aaa.store.database import Database, open_database
from aaa.store.queries import ServiceRef, find_service
from aaa.store.seal import Sealer, open_keys
from aaa.store.tables import access, attempt, enforcement, nas, profile, session
from billing import commands
from ledgate.lab.nas import Change, Nas, Refused, Session, Subscriber
from ledgate.load import load
from tests.integration.ledger import extended

SECRET = b"testing123"
DEADLINE = 10.0


def until(true: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """The first true value of `true()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.005)


class Desk:
    """Answers logins and accounting on two ports of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._secret = Secret(SECRET)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="desk")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.address: tuple[str, int] = self._socket.getsockname()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                data, source = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            request = parse(data)
            answer = self._grant if request.code == ACCESS_REQUEST else self._count
            self._socket.sendto(answer(request), source)

    def _grant(self, request: Packet) -> bytes:
        now = clock.now()
        with self._db.read() as conn:
            ref = find_service(conn, (request.get(USER_NAME) or b"").decode())
            packed = conn.execute(select(access.c.record).where(access.c.service_id == ref.service_id)).scalar_one()
            head = record.entry(packed)
            step = record.step_at(packed, head, now)
            encoded = conn.execute(select(profile.c.encoded).where(profile.c.id == step.profile)).scalar_one()
            router = conn.execute(select(nas).where(nas.c.name == "mt1")).one()
        if step.verdict == Verdict.DENY:
            return access_reply(ACCESS_REJECT, request, self._secret, b"")
        kind = session_kind(request)
        fitted = fit(encoded, kind, list_lever(router.address_list_by, router.api_host) == "api")
        attributes = accept_attributes(fitted, kind, head, step, now, router.total_limit)
        return access_reply(ACCESS_ACCEPT, request, self._secret, attributes)

    def _count(self, request: Packet) -> bytes:
        now = clock.now()
        with self._db.read() as conn:
            router = conn.execute(select(nas).where(nas.c.name == "mt1")).one()
        by_api = list_lever(router.address_list_by, router.api_host) == "api"
        told = read_record(request, router.id, "127.0.0.1", now, lists_by_api=by_api)
        assert not Accounting(self._db).commit([told], now).poison  # type: ignore[list-item]
        return accounting_reply(request, self._secret)


class Live:
    """The whole scene."""

    def __init__(self, db: Database, url: str, folder: Path, desk: Desk, make: Callable[..., Nas]) -> None:
        self.db = db
        # As if it were a process of its own: where psycopg rolls back, it drops what accounting prepared there.
        self.loads = open_database(url)
        self.url = url
        self.folder = folder
        self.key_file = folder / "keys"
        self.sealer: Sealer = open_keys(self.key_file, False)
        self.changes: list[Change] = []
        self.logins: list[Session | Refused] = []
        self.router = make(
            desk.address,
            desk.address,
            SECRET,
            on_change=self.changes.append,
            on_login=lambda _, outcome: self.logins.append(outcome),
        )
        self._payments = 0

    def load(self, *subscribers: dict[str, Any], **sections: Any) -> None:
        """Load the scene's router, its policy and these subscribers, plan home20 unless they say another."""
        document: dict[str, list[dict[str, Any]]] = {
            "visps": [{"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran"}],
            "plans": [
                {"name": "home20", "visp": "tehran", "price": 400_000, "reply": HOME},
                {"name": "slow", "visp": "tehran", "price": 100_000, "reply": SLOW},
            ],
            "controls": [
                {"name": "home", "max_debt": 800_000, "max_delay": 30 * 86_400, "anchor": "last_payment"},
            ],
            "finish_rules": [{"name": "garden", "debit": {"restrict": GARDEN}, "expire": "deny"}],
            "params": [
                {"scope": "server", "name": "DebitControl", "value": "home"},
                {"scope": "server", "name": "FinishRule", "value": "garden"},
            ],
            "nas": [self.nas()],
            "subscribers": [
                {"password": "secret", "visp": "tehran", "plan": "home20", "last_payment": iso(clock.now()), **one}
                for one in subscribers
            ],
        }
        load(self.loads, extended(document, sections), self.sealer, actor="test", now=clock.now())

    def nas(self, **changes: Any) -> dict[str, Any]:
        """The scene's router as a load file has it."""
        known = {"name": "mt1", "address": "127.0.0.1", "identifier": "mt1", "secret": SECRET.decode()}
        return {**known, "coa_port": self.router.coa_port, **changes}

    def ref(self, username: str) -> ServiceRef:
        with self.db.read() as conn:
            return find_service(conn, username)

    def log_in(self, username: str, **more: Any) -> Session:
        outcome = self.router.login(Subscriber(username, "secret", **more))
        assert isinstance(outcome, Session)
        return outcome

    def pay(self, username: str, amount: int) -> int:
        """Post a payment; returns the instant it was committed."""
        self._payments += 1
        name = f"pay-{self._payments}"
        commands.pay(self.db, self.ref(username), amount, external_id=name, actor="test", now=clock.now())
        return clock.now()

    def charge(self, username: str, amount: int) -> None:
        now = clock.now()
        commands.charge(self.db, self.ref(username), amount, due_at=now, override=True, actor="test", now=now)

    def rows(self, table: Any, *where: Any) -> list[dict[str, Any]]:
        with self.db.read() as conn:
            statement = select(table).where(*where)
            return [dict(row) for row in conn.execute(statement).mappings()]

    def attempts(self) -> list[dict[str, Any]]:
        return sorted(self.rows(attempt), key=lambda row: int(row["id"]))

    def wishes(self) -> list[dict[str, Any]]:
        return self.rows(enforcement)

    def session_row(self, one: Session) -> dict[str, Any]:
        [row] = self.rows(session, session.c.acct_session_id == one.acct_session_id)
        return row

    def change(self, number: int = 0) -> Change:
        """The router's `number`th CoA or Disconnect, once it came."""
        until(lambda: len(self.changes) > number, f"change {number} reaches the router")
        return self.changes[number]

    @contextmanager
    def engine(self) -> Iterator[None]:
        """The engine at work, in this process."""
        stop, ready = threading.Event(), threading.Event()
        failed: list[BaseException] = []

        def work() -> None:
            try:
                engine.run(
                    database_url=self.url,
                    state_dir=self.folder,
                    key_file=self.key_file,
                    machine="here",
                    stop=stop,
                    ready=ready.set,
                )
            except BaseException as error:
                failed.append(error)
                raise

        thread = threading.Thread(target=work, name="engine")
        thread.start()
        try:
            until(lambda: ready.is_set() or failed, "the engine is ready")
            yield
        finally:
            stop.set()
            thread.join()
        assert not failed


HOME = {"Mikrotik-Rate-Limit": "20M/20M", "Framed-Pool": "pool1"}
SLOW = {"Mikrotik-Rate-Limit": "1M/1M", "Framed-Pool": "pool1"}
GARDEN = {"pool": "finish", "address_list": "overdue", "rate_limit": "128k/128k"}


@contextmanager
def scene(db: Database, url: str, folder: Path, make: Callable[..., Nas] = Nas) -> Iterator[Live]:
    """A scene without its engine; see `Live.engine`. `make` makes its router."""
    os.makedirs(folder, exist_ok=True)
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(db))
        live = Live(db, url, folder, desk, make)
        stack.callback(live.loads.close)
        stack.enter_context(live.router)
        yield live


def settled(live: Live) -> list[dict[str, Any]]:
    """The attempts, once nobody works on a wish any more."""
    until(lambda: live.attempts() and not [one for one in live.wishes() if one["claimed_until"]], "the wish is settled")
    return live.attempts()


def many(live: Live, count: int) -> list[Session]:
    live.load(*({"username": f"user{number}", "balance": -900_000} for number in range(count)))
    return [live.log_in(f"user{number}", mac=f"02:00:00:00:01:{number:02X}") for number in range(count)]
