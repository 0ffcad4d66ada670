"""Routers that lose datagrams, lie, boot and cut their API off, engines that are killed, and an operator at work.

In the end every live session and every list entry is what it should be, and nothing of anybody else's was touched.

What should be is asked of the stored timelines; how it comes onto routers is not. Everything follows a seed.
"""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self

from sqlalchemy import func, select

from aaa import clock
from aaa.commands import suspensions
from aaa.domain.suspension import Suspension
from aaa.domain.timeline import Cause, Segment, Verdict
from aaa.store.database import Database, open_database
from aaa.store.queries import ServiceRef, find_service
from aaa.store.tables import attempt, enforcement, session
from aaa.store.timelines import read_timeline
from billing import commands as billing
from ledgate.lab.agenda import Agenda
from ledgate.lab.router import Router
from ledgate.lab.routeros.commands import Sentence, run
from ledgate.lab.routeros.login import User
from ledgate.lab.routeros.server import ApiLoop
from ledgate.lab.session import Change, Session, Subscriber
from tests.integration.serving import SECRET, Installation, document, installation, running, until
from tests.load import chaos

DEBT: Final = 900_000
LISTS: Final = "/ip/firewall/address-list"
RULES: Final = ("/ip/firewall/filter", "/ip/firewall/nat", LISTS)
CALM_SECONDS: Final = 240.0
"""A router that was silent is left in peace for minutes, and an ACK is believed until an interim disproves it."""
INTERIM: Final = 2.0

Fault = Literal["drop", "lie", "reboot", "api", "none"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A router of the scene: what is special about it, which RouterOS it runs, and whether we know its API."""

    name: str
    fault: Fault
    version: str = "7.16.2"
    api: bool = True


KINDS: Final = (
    Kind("drops", "drop"),
    Kind("boots", "reboot", "6.49.10"),
    Kind("cut", "api"),
    Kind("liar", "lie"),
    Kind("plain", "drop", api=False),
)


class Unrest:
    """The scene. Use it as a context manager: then everything runs, and everybody is online."""

    def __init__(
        self,
        url: str,
        folder: Path,
        seed: int,
        *,
        each: int,
        engines: int,
        kinds: Sequence[Kind] = KINDS,
        acct: int = 1,
    ) -> None:
        self.chance = random.Random(seed)
        self.kinds = kinds
        self.made: Installation = installation(url, folder / "one", auth_processes=2, acct_processes=acct)
        self.engines = [self.made, *(installation(url, folder / f"engine{one}") for one in range(1, engines))]
        self.db: Database = open_database(url)
        self.names = {kind.name: [f"{kind.name}{number}" for number in range(each)] for kind in kinds}
        self.owing: set[str] = set()
        self.suspended: set[str] = set()
        self.refs: dict[str, ServiceRef] = {}
        self.routers: dict[str, Router] = {}
        self.told: set[tuple[str, str]] = set()
        self.foreign: dict[tuple[str, str], list[dict[str, str]]] = {}
        self._stack = ExitStack()
        self._paid = 0

    def __enter__(self) -> Self:
        self._stack.callback(self.db.close)
        agenda, loop = self._stack.enter_context(Agenda()), self._stack.enter_context(ApiLoop())
        try:
            for number, kind in enumerate(self.kinds):
                self.routers[kind.name] = router = self._router(number, kind, agenda, loop)
                self._stack.enter_context(router)
                self._be_lived_in(kind, router)
            self.made.load(self._document())
            with self.db.read() as conn:
                self.refs = {name: find_service(conn, name) for names in self.names.values() for name in names}
            for made in self.engines[1:]:
                shutil.copy(self.made.state / "keys", made.state / "keys")
            self._stack.enter_context(running(self.made, "replica", "auth", "acct", "engine"))
            for made in self.engines[1:]:
                self._stack.enter_context(running(made, "engine"))
            for number, kind in enumerate(self.kinds):
                for at, name in enumerate(self.names[kind.name]):
                    mac = f"02:00:00:00:{number:02X}:{at:02X}"
                    self.routers[kind.name].dial(Subscriber(name, "secret", mac=mac))
            until(
                lambda: sum(len(one.sessions) for one in self.routers.values()) == len(self.refs), "all are online", 60
            )
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def disturb(self, seconds: float, say: Callable[[str], None] = print) -> None:
        """Misfortunes and changes, for so long."""
        began = time.monotonic()
        next_kill = began + self.chance.uniform(1, 4)
        for kind in self.kinds:
            behaviour = self.routers[kind.name].behaviour
            behaviour.drop = 0.3 if kind.fault == "drop" else 0.0
            behaviour.lie = "both" if kind.fault == "lie" else "no"
        while time.monotonic() - began < seconds:
            for name in self.chance.sample(sorted(self.refs), 3):
                self._change(name)
            self._misfortune()
            if time.monotonic() >= next_kill:
                victim = self.chance.randrange(len(self.engines))
                took = chaos.kill(self.engines[victim], "engine", 0)
                say(f"  {time.monotonic() - began:5.1f} s: killed engine-{victim}, back after {took:.1f} s")
                next_kill = time.monotonic() + self.chance.uniform(1, 6)
            time.sleep(self.chance.uniform(0.05, 0.4))

    def calm(self, seconds: float = CALM_SECONDS) -> None:
        """The misfortunes end; all is right in time, or fails with what is not."""
        for router in self.routers.values():
            router.behaviour.drop = 0.0
            router.behaviour.lie = "no"
            router.behaviour.api_down = False
        deadline = time.monotonic() + seconds
        while wrong := self.wrong():
            assert time.monotonic() < deadline, "\n".join(wrong[:30])
            time.sleep(0.25)

    def wrong(self) -> list[str]:
        """What is not as it should be."""
        now = clock.now()
        found: list[str] = []
        with self.db.read() as conn:
            segments = {name: self._segment(conn, name, now) for name in self.refs}
            waiting = conn.execute(
                select(func.count()).select_from(enforcement).where(enforcement.c.not_before <= now + clock.SECOND)
            ).scalar_one()
        for kind in self.kinds:
            router = self.routers[kind.name]
            with router.lock:
                sessions = {one.subscriber.username: one for one in router.sessions.values()}
                listed = self._listed(router)
            for name in self.names[kind.name]:
                found += _faults(name, segments[name], sessions.get(name), kind.api)
            wanted = {
                (one, session.framed_ip)
                for name, session in sessions.items()
                for one in _lists(segments[name])
                if kind.api
            }
            found += [f"{kind.name}: {place} is on {one}" for one, place in sorted(listed - wanted)]
            found += [f"{kind.name}: {place} is not on {one}" for one, place in sorted(wanted - listed)]
            found += [
                f"{kind.name}: foreign rows of {menu} changed" for menu in RULES if not self._untouched(kind, menu)
            ]
        return found or ([f"{waiting} wishes are due"] if waiting else [])

    def unaccounted(self) -> set[tuple[str, str]]:
        """Sessions, by router and id, that were told something of which no attempt is stored."""
        stored = select(session.c.identifier, session.c.acct_session_id).join(
            attempt, attempt.c.session_id == session.c.id
        )
        with self.db.read() as conn:
            known = {(row.identifier, row.acct_session_id) for row in conn.execute(stored)}
        return self.told - known

    def attempts(self) -> int:
        """How many are stored."""
        with self.db.read() as conn:
            return int(conn.execute(select(func.count()).select_from(attempt)).scalar_one())

    def _change(self, name: str) -> None:
        """Of a subscriber: a debt, its payment, a suspension, its end."""
        ref, now = self.refs[name], clock.now()
        if self.chance.random() < 0.25:
            if name in self.suspended:
                suspensions.unsuspend(self.db, ref.service_id, ref.account_id, actor="unrest", now=now)
            else:
                whole = Suspension("unregistered", now, None)
                suspensions.suspend(self.db, ref.service_id, ref.account_id, whole, actor="unrest", now=now)
            self.suspended ^= {name}
        elif name in self.owing:
            self._paid += 1
            billing.pay(self.db, ref, DEBT, external_id=f"p{self._paid}", actor="unrest", now=now)
            self.owing.discard(name)
        else:
            billing.charge(self.db, ref, DEBT, due_at=now, override=True, actor="unrest", now=now)
            self.owing.add(name)

    def _misfortune(self) -> None:
        kind = self.chance.choice(self.kinds)
        router, draw = self.routers[kind.name], self.chance.random()
        if kind.fault == "reboot" and draw < 0.15:
            router.reboot(self.chance.uniform(0, 2))
        elif kind.fault == "api" and draw < 0.3:
            router.behaviour.api_down = not router.behaviour.api_down
        elif kind.api and draw > 0.95:
            self._meddle(router)

    def _meddle(self, router: Router) -> None:
        """Somebody removes an entry of ours by hand."""
        with router.lock:
            ours = [row for row in router.device.tables[LISTS] if _is_ours(row.values)]
            if ours:
                router.device.tables[LISTS].remove(self.chance.choice(ours))

    def _router(self, number: int, kind: Kind, agenda: Agenda, loop: ApiLoop) -> Router:
        return Router(
            ("127.0.0.1", self.made.auth_port),
            ("127.0.0.1", self.made.acct_port),
            SECRET.encode(),
            identifier=kind.name,
            coa=(f"127.0.1.{number + 1}", 0),
            version=kind.version,
            users=(User("ledgate", "secret"),),
            interim=INTERIM,
            traffic=0.9,
            retry=1.0,
            seed=self.chance.randrange(1 << 30),
            agenda=agenda,
            api_loop=loop,
            on_change=partial(self._note, kind.name),
        )

    def _note(self, router: str, change: Change) -> None:
        if change.session is not None:
            self.told.add((router, change.session.acct_session_id))

    def _be_lived_in(self, kind: Kind, router: Router) -> None:
        """What an operator has on such a router."""
        passes = {"chain": "forward", "connection-state": "established,related"}
        rows: list[tuple[str, dict[str, str]]] = [
            ("/ip/firewall/filter", {**passes, "action": "fasttrack-connection"}),
            ("/ip/firewall/filter", {**passes, "action": "accept"}),
            ("/ip/firewall/filter", {"chain": "input", "action": "drop", "protocol": "udp", "dst-port": "53"}),
            ("/ip/firewall/nat", {"chain": "srcnat", "action": "masquerade"}),
            (LISTS, {"list": "garden", "address": "10.250.0.1", "comment": "the office"}),
            (LISTS, {"list": "mine", "address": "10.250.0.0/24", "comment": "ledgate is not mine"}),
        ]
        with router.lock:
            for menu, values in rows:
                run(router.device, Sentence(menu, "add", values), clock.now())
            self.foreign |= {(kind.name, menu): self._foreign(router, menu) for menu in RULES}

    def _foreign(self, router: Router, menu: str) -> list[dict[str, str]]:
        return [dict(row.values) for row in router.device.tables[menu] if not row.owner and not _is_ours(row.values)]

    def _untouched(self, kind: Kind, menu: str) -> bool:
        router = self.routers[kind.name]
        with router.lock:
            return self._foreign(router, menu) == self.foreign[kind.name, menu]

    def _listed(self, router: Router) -> set[tuple[str, str]]:
        """Our entries of sessions."""
        rows = [row.values for row in router.device.tables[LISTS] if not row.owner]
        return {(row["list"], row["address"]) for row in rows if row.get("comment", "").startswith("ledgate:s")}

    def _segment(self, conn: Any, name: str, now: int) -> Segment:
        found = read_timeline(conn, self.refs[name].service_id)
        assert found is not None
        return found[0].at(now)

    def _document(self) -> dict[str, Any]:
        nas: list[dict[str, Any]] = []
        for number, kind in enumerate(self.kinds):
            router = self.routers[kind.name]
            api = {"host": "127.0.0.1", "port": router.api_port, "user": "ledgate", "password": "secret"}
            about = {"name": kind.name, "address": f"127.0.1.{number + 1}", "identifier": kind.name, "secret": SECRET}
            nas.append({**about, "coa_port": router.coa_port, **({"api": api} if kind.api else {})})
        slow = {"restrict": {"address_list": "garden", "rate_limit": "128k/128k"}}
        held = {"restrict": {"address_list": "held", "rate_limit": "64k/64k"}}
        people = [
            {"username": name, "password": "secret", "visp": "tehran", "plan": "home20"}
            for names in self.names.values()
            for name in names
        ]
        rule = {"name": "garden", "debit": slow, "suspended": {"*": held}, "expire": "deny"}
        plans = [{"name": "home20", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": "20M/20M"}}]
        settings = {"server_ip": "192.0.2.80", "router_radius": False, "router_check_minutes": 1}
        return document(nas=nas, subscribers=people, plans=plans, finish_rules=[rule]) | {"settings": settings}


def _is_ours(values: dict[str, str]) -> bool:
    return values.get("comment", "").startswith("ledgate:")


def _lists(segment: Segment) -> list[str]:
    """The lists that a segment puts an address onto."""
    if segment.verdict is Verdict.DENY:
        return []
    told = dict(segment.profile).get("Mikrotik-Address-List", ())
    names = [str(one) for one in told] if isinstance(told, tuple) else [str(told)]
    if segment.reason is not None and segment.reason.cause is Cause.OVERDUE:
        names.append("ledgate-overdue")
    return names


def _faults(name: str, segment: Segment, session: Session | None, api: bool) -> list[str]:
    """What is wrong with a subscriber's session."""
    if segment.verdict is Verdict.DENY:
        return [f"{name} is online"] if session is not None else []
    if session is None:
        return [f"{name} is not online"]
    wanted = dict(segment.profile)
    found = []
    if session.told.get("Mikrotik-Rate-Limit") != wanted.get("Mikrotik-Rate-Limit"):
        told = session.told.get("Mikrotik-Rate-Limit")
        found.append(f"{name} has rate {told}, not {wanted.get('Mikrotik-Rate-Limit')}")
    lists = session.words("Mikrotik-Address-List") if "Mikrotik-Address-List" in session.told else []
    if lists != ([] if api else _lists(segment)):
        found.append(f"{name} was told lists {lists}")
    return found
