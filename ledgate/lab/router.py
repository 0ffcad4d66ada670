"""A whole fake MikroTik (shell): RADIUS client, sessions, CoA, and the API in whose menus the sessions are seen.

Its devices dial in and keep dialling; sessions move octets at the rate that is applied, report them, and end when they
were told to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final, Self

from aaa import clock
from ledgate.lab.agenda import Agenda
from ledgate.lab.client import Address, NoAnswer
from ledgate.lab.nas import REDIAL_AFTER, Nas
from ledgate.lab.online import NEVER, Online
from ledgate.lab.pools import free_address, free_prefix
from ledgate.lab.rates import NAMES as RATE_NAMES
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.login import Method as LoginMethod
from ledgate.lab.routeros.login import User
from ledgate.lab.routeros.server import ApiEvent, ApiLoop, ApiServer
from ledgate.lab.routeros.tables import Row
from ledgate.lab.routeros.values import parse_time, version_of
from ledgate.lab.session import Change, Refused, Session, Subscriber
from ledgate.lab.showing import ADDRESS_LIST, Shown

_SWEEP: Final = 0.5
_DELEGATED: Final = "Delegated-IPv6-Prefix"


class Router(Nas):
    """The router. Use it as a context manager; its `subscribers` dial when it opens.

    `api_port` and `api_tls_port` are where the API listens (0: a free port, None: not at all; afterwards, the port).
    `interim`: seconds between interim records, whatever RADIUS says. `traffic`: the part of its rate that a session
    uses. `retry`: seconds after which a device that was refused dials again. `narrate` is given a line for each thing
    that happens. Routers of one process may share an `agenda` and an `api_loop`.
    """

    def __init__(
        self,
        auth: Address,
        acct: Address,
        secret: bytes,
        *,
        identifier: str = "mt1",
        coa: Address = ("127.0.0.1", 0),
        version: str = "7.16.2",
        subscribers: Sequence[Subscriber] = (),
        users: Iterable[User] = (User("ledgate", "ledgate"),),
        api_host: str = "127.0.0.1",
        api_port: int | None = 0,
        api_tls_port: int | None = None,
        api_login: LoginMethod = "plain",
        names: Mapping[str, Sequence[str]] | None = None,
        interim: float | None = None,
        traffic: float = 0.1,
        retry: float = 5.0,
        timeout: float = 1.0,
        seed: int | None = None,
        on_change: Callable[[Change], None] | None = None,
        on_login: Callable[[Subscriber, Session | Refused], None] | None = None,
        on_api: Callable[[ApiEvent], None] | None = None,
        narrate: Callable[[str], None] | None = None,
        agenda: Agenda | None = None,
        api_loop: ApiLoop | None = None,
    ) -> None:
        version_of(version)  # before anything is opened
        super().__init__(
            auth,
            acct,
            secret,
            identifier=identifier,
            coa=coa,
            on_change=on_change,
            on_login=on_login,
            timeout=timeout,
            seed=seed,
        )
        self.behaviour.redial = True
        self.subscribers = list(subscribers)
        self.traffic = traffic
        self.retry = retry
        self.device = Device(version, clock.now(), identity=identifier, names=names, behaviour=self.behaviour)
        self._interim = interim
        self._on_api = on_api
        self._narrate = narrate
        self._online: dict[str, tuple[Online, Shown]] = {}
        self._dialling: set[Subscriber] = set()
        self._off = False
        self._stack = ExitStack()
        self._agenda = agenda or Agenda()
        loop = api_loop or ApiLoop()
        self._own: list[Agenda | ApiLoop] = [] if agenda else [self._agenda]
        self._own += [] if api_loop else [loop]
        self.servers = [
            ApiServer(
                self.device,
                users,
                host=api_host,
                port=port,
                tls=tls,
                login=api_login,
                behaviour=self.behaviour,
                lock=self.lock,
                on_event=self._api_event,
                loop=loop,
            )
            for port, tls in ((api_port, False), (api_tls_port, True))
            if port is not None
        ]
        self._set_up(auth, acct, secret)

    @property
    def api_port(self) -> int:
        """Where the API listens in clear."""
        return next(server.port for server in self.servers if not server.tls)

    @property
    def api_tls_port(self) -> int:
        """Where the API listens by TLS."""
        return next(server.port for server in self.servers if server.tls)

    def __enter__(self) -> Self:
        try:
            for part in (*self._own, *self.servers):
                self._stack.enter_context(part)
            super().__enter__()
        except BaseException:
            self._stack.close()
            self._coa.close()
            raise
        self._start(self._come_up, self._boots)
        self._agenda.after(_SWEEP, self._sweep)
        return self

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self._stack.close()

    def dial(self, subscriber: Subscriber) -> None:
        """Let a device dial now, and go on until it is in; it is one of the router's from now on."""
        with self.lock:
            if subscriber not in self.subscribers:
                self.subscribers.append(subscriber)
            if subscriber in self._dialling:
                return
            self._dialling.add(subscriber)
        self._start(self._dial, subscriber)

    def reboot(self, seconds: float = 0.0) -> None:
        """Lose all sessions without a Stop, all that is not stored, and the API's connections; be gone for a while."""
        with self.lock:
            self._off = True
            for server in self.servers:
                server.off = True
                server.drop()
            for session in list(self.sessions.values()):
                del self.sessions[session.acct_session_id]
                self._ended_session(session)
            self._boots = (self._boots + 1) % 256
            self._began = 0
            self.device.restart(clock.now())
            boots = self._boots
        self._tell("reboot")
        self._agenda.after(seconds, self._come_up, boots)

    def _come_up(self, boots: int) -> None:
        with self.lock:
            if self._boots != boots:
                return  # it has been booted again since
            self._off = False
            for server in self.servers:
                server.off = False
        if self.behaviour.says_hello:
            with suppress(NoAnswer):
                self.boot()
        online = {session.subscriber for session in self.sessions.values()}
        for subscriber in list(self.subscribers):
            if subscriber not in online:
                self.dial(subscriber)

    def _dial(self, subscriber: Subscriber) -> None:
        if self._closing.is_set():
            return
        try:
            outcome = self.login(subscriber)
        except NoAnswer as error:
            self._tell(f"no answer {subscriber.username}: {error}")
            self._agenda.after(REDIAL_AFTER, self._dial, subscriber)
            return
        if isinstance(outcome, Refused):
            self._tell(f"reject    {subscriber.username}  {outcome.message}")
            self._agenda.after(self.retry, self._dial, subscriber)
        else:
            with self.lock:
                self._dialling.discard(subscriber)
                cut_off = outcome.acct_session_id not in self.sessions
            if cut_off:  # before we were done with dialling, so that nobody else dialled
                self._redial(subscriber)
            self._tell(f"accept    {subscriber.username}  {_spelled(outcome.told)}  address {outcome.framed_ip}")
        if self._on_login is not None:
            self._on_login(subscriber, outcome)

    def _redial(self, subscriber: Subscriber) -> None:
        with self.lock:
            if subscriber in self._dialling:
                return
            self._dialling.add(subscriber)
        self._agenda.after(REDIAL_AFTER, self._dial, subscriber)

    def _start(self, work: Callable[..., object], *arguments: object) -> None:
        self._agenda.after(0, work, *arguments)

    def _lost(self) -> bool:
        return self._off or super()._lost()

    def _takes_coa(self) -> bool:
        (incoming,) = self.device.tables["/radius/incoming"]
        return incoming.values["accept"] == "true"

    def _began_session(self, session: Session) -> None:
        self._give_of_pools(session)
        online = Online(session, self.traffic, self._interval_of(session))
        shown = Shown(self.device, session, clock.now(), lambda: self._meter(online))
        self._online[session.acct_session_id] = online, shown
        self._plan(online)

    def _changed_session(self, session: Session, changes: dict[str, Any]) -> None:
        online, shown = self._online[session.acct_session_id]
        online.settle(clock.monotonic())
        before = {name: session.told.get(name, "none") for name in changes}
        super()._changed_session(session, changes)
        if RATE_NAMES & changes.keys():
            shown.show_queue()
        if ADDRESS_LIST in changes:
            shown.show_lists(clock.now())
        if "Session-Timeout" in changes:
            from_start = self.behaviour.counts_timeout_from == "start"
            online.count_timeout(session.started if from_start else clock.monotonic())
        self._plan(online)
        what = ", ".join(f"{name} {before[name]} -> {value}" for name, value in changes.items())
        self._tell(f"coa       {session.subscriber.username}  {what}")

    def _ended_session(self, session: Session) -> None:
        online, shown = self._online.pop(session.acct_session_id)
        online.settle(clock.monotonic())
        online.turn += 1
        shown.take_away()
        moved = f"{session.seconds} s, up {session.up}, down {session.down}"
        self._tell(f"end       {session.subscriber.username}  {moved}")

    def _give_of_pools(self, session: Session) -> None:
        """What the server named a pool for, and no address: the router gives it, and tells in accounting."""
        told = session.told
        others = self.sessions.values()
        if "Framed-Pool" in told and "Framed-IP-Address" not in told and session.subscriber.access == "pppoe":
            taken = {other.framed_ip for other in others if other is not session}
            session.framed_ip = free_address(self.device, str(told["Framed-Pool"]), taken) or session.framed_ip
        if "Mikrotik-Delegated-IPv6-Pool" in told and _DELEGATED not in told:
            given = {prefix for other in others for prefix in other.words(_DELEGATED)}
            prefix = free_prefix(self.device, str(told["Mikrotik-Delegated-IPv6-Pool"]), given)
            if prefix is not None:
                told[_DELEGATED] = prefix

    def _interval_of(self, session: Session) -> float:
        """Seconds between interim records; what RADIUS says as 0 or not at all, `/ppp aaa` says."""
        if self._interim is not None:
            return self._interim or NEVER
        (settings,) = self.device.tables["/ppp/aaa"]
        own = parse_time(settings.values["interim-update"]) / clock.SECOND
        return float(session.told.get("Acct-Interim-Interval", 0)) or own or NEVER

    def _meter(self, online: Online) -> tuple[int, int, int, int | None]:
        now = clock.monotonic()
        up, down = online.counted(now)
        left = None if online.ends_at == NEVER else int(max(0.0, online.ends_at - now) * clock.SECOND)
        return up, down, int((now - online.session.started) * clock.SECOND), left

    def _plan(self, online: Online) -> None:
        """Put the session's next date on the agenda; an earlier one no longer counts."""
        online.turn += 1
        due = online.due()
        if due < NEVER:
            self._agenda.at(due, self._attend, online, online.turn)

    def _attend(self, online: Online, turn: int) -> None:
        """What a session's date was for: an end, or an interim record (which is also how a limit of volume ends it)."""
        session = online.session
        with self.lock:
            if online.turn != turn or self._closing.is_set():
                return
            now = clock.monotonic()
            online.settle(now)
            cause = online.ended(now)
            if cause:
                self._take(session)
            elif now >= online.next_interim:
                online.next_interim = now + online.interval
        if cause:
            self._cut(session, cause)
            return
        with suppress(NoAnswer):
            self.interim(session, session.up, session.down)
        with self.lock:
            if online.turn == turn:
                self._plan(online)

    def _removed(self, row: Row) -> None:
        """A row of an active list is taken away through the API: its session ends as by a Disconnect."""
        session = self.sessions.get(row.owner)
        if session is not None and self._take(session):
            self._start(self._cut, session)

    def _sweep(self) -> None:
        """Let address-list entries end in time, for those who listen."""
        with self.lock:
            self.device.expire(clock.now())
        if not self._closing.is_set():
            self._agenda.after(_SWEEP, self._sweep)

    def _set_up(self, auth: Address, acct: Address, secret: bytes) -> None:
        """The settings of a router that is a RADIUS client."""
        tables = self.device.tables
        server = {"service": "ppp,hotspot", "address": auth[0], "secret": secret.decode("utf-8", "replace")}
        ports = {"authentication-port": str(auth[1]), "accounting-port": str(acct[1])}
        tables["/radius"].append({**server, **ports, "timeout": "1s"})
        (incoming,) = tables["/radius/incoming"]
        tables["/radius/incoming"].change(incoming, {"accept": "true", "port": str(self.coa_port)})
        tables["/system/identity"].watchers.append(self._renamed)
        for path in ("/ppp/active", "/ip/hotspot/active", "/ip/hotspot/host"):
            self.device.hooks.removed[path] = self._removed
        self.device.hooks.reboot = lambda: self._start(self.reboot)

    def _renamed(self, row: Row, _gone: bool) -> None:
        """NAS-Identifier is the name in `/system identity`."""
        self.identifier = self._judge.identifier = row.values["name"]

    def _answered(self, change: Change) -> None:
        super()._answered(change)
        who = "nobody" if change.session is None else change.session.subscriber.username
        self._tell(f"{change.kind:10}{who}  {change.answer}")

    def _api_event(self, event: ApiEvent) -> None:
        self._tell(f"api       {event.user}  {event.kind} {event.what}".rstrip())
        if self._on_api is not None:
            self._on_api(event)

    def _tell(self, line: str) -> None:
        if self._narrate is not None:
            self._narrate(line)


def _spelled(told: Mapping[str, Any]) -> str:
    """What an Access-Accept said, for people: what a session is about."""
    names = (*sorted(RATE_NAMES), ADDRESS_LIST, "Session-Timeout", "Framed-Pool")
    return ", ".join(f"{name} {told[name]}" for name in names if name in told) or "no limit"
