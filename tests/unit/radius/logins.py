"""A small world to log in to: routers, services and a replica in dictionaries."""

from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from aaa.domain.timeline import Reason, Segment, Timeline, Verdict, build, profile
from aaa.domain.usage import Quota
from aaa.radius import dictionary
from aaa.radius.access import Access, Answer
from aaa.radius.clients import Clients, Nas, parse_network
from aaa.radius.integrity import Secret, access_request, verify_reply
from aaa.radius.packet import (
    ACCESS_REQUEST,
    CALLING_STATION_ID,
    NAS_IDENTIFIER,
    USER_NAME,
    Packet,
    encode_attribute,
    parse,
)
from aaa.radius.peer import chap_attributes, mschap_attributes, mschapv2_attributes, pap_attributes
from aaa.radius.reply_cache import ReplyCache
from aaa.store.record import pack, profile_id, split_address

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_795_000_000 * SECOND
HORIZON = NOW + 35 * DAY
SECRET = Secret(b"testing123")
OLD_SECRET = Secret(b"the secret before")
HOST = "192.0.2.1"
NAMES = dictionary.load()
PLAN = profile([("Mikrotik-Rate-Limit", "20M/20M"), ("Framed-Pool", "pool1"), ("Acct-Interim-Interval", 300)])
PPP = NAMES.encode("Service-Type", "Framed-User") + NAMES.encode("Framed-Protocol", "PPP")
HOTSPOT = NAMES.encode("Mikrotik-Host-IP", "10.5.50.7")


def nas(
    name: str = "mt1",
    address: str = HOST,
    identifier: str | None = None,
    number: int = 1,
    secrets: tuple[Secret, ...] = (SECRET,),
    **more: str | bool,
) -> Nas:
    """A router; `more` are its policies."""
    return Nas(number, name, parse_network(address), identifier, secrets, **more)  # type: ignore[arg-type]


def always(verdict: Verdict = Verdict.ALLOW, attributes: object = PLAN, reason: Reason | None = None) -> Timeline:
    """One verdict up to the horizon."""
    return build([Segment(NOW - DAY, HORIZON, verdict, attributes, reason)])  # type: ignore[arg-type]


@dataclass
class World:
    """What an `Access` asks of its surroundings, and the `Access` itself."""

    routers: tuple[Nas, ...] = (nas(),)
    realms: dict[bytes, int] = field(default_factory=dict)
    hold_rejects: bool = False
    records: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    profiles: dict[int, bytes] = field(default_factory=dict)
    known: dict[tuple[int, bytes], int] = field(default_factory=dict)
    taken: list[tuple[int, int, bytes]] = field(default_factory=list)
    has_seats: bool = True
    serial: int = 0

    def __post_init__(self) -> None:
        self.access = Access(
            Clients(self.routers), self.realms, self, self, self, self, ReplyCache(), self.hold_rejects
        )

    # --- what Access asks for ---

    def find(self, username: bytes, visp_id: int | None) -> bytes | None:
        found = [
            record for (name, visp), record in self.records.items() if name == username and visp_id in (None, visp)
        ]
        return found[0] if len(found) == 1 else (b"" if found else None)

    def profile(self, profile_id: int) -> bytes | None:
        return self.profiles.get(profile_id)

    def unseal(self, table: str, column: str, row_id: int, sealed: bytes) -> bytes:
        assert (table, column) == ("service", "password")
        return sealed.removeprefix(b"sealed:%d:" % row_id)

    def take(self, service_id: int, limit: int, device: bytes, now: int) -> bool:
        self.taken.append((service_id, limit, device))
        return self.has_seats

    def flags(self, nas_id: int, identifier: bytes) -> int:
        return self.known.get((nas_id, identifier), 0)

    def learn(self, nas_id: int, identifier: bytes, flags: int) -> None:
        self.known[nas_id, identifier] = self.flags(nas_id, identifier) | flags

    # --- what tests do ---

    def add(
        self,
        username: str = "ali",
        password: str = "secret",
        timeline: Timeline | None = None,
        visp: int = 1,
        number: int = 7,
        version: int = 3,
        simultaneous_use: int = 0,
        caller_lock: str = "",
        mac_auth: bool = False,
        allowed_methods: int = 0,
        allowed_nas: tuple[str, ...] = (),
        quotas: tuple[Quota, ...] = (),
    ) -> None:
        """A service in the replica."""
        timeline = timeline or always()
        record, profiles = pack(
            number,
            version,
            timeline,
            sealed=b"sealed:%d:" % number + password.encode(),
            simultaneous_use=simultaneous_use,
            caller_lock=caller_lock,
            mac_auth=mac_auth,
            allowed_methods=allowed_methods,
            allowed_nas=allowed_nas,
            quotas=quotas,
        )
        self.records[username.encode(), visp] = record
        for name, pairs in profiles.items():
            self.profiles[name] = NAMES.encode_profile(pairs)

    def authenticator(self) -> bytes:
        """16 octets that no request has had."""
        self.serial += 1
        return md5(b"%d" % self.serial).digest()

    def request(
        self,
        username: bytes | str = b"ali",
        password: bytes | str = b"secret",
        method: str = "pap",
        *,
        secret: Secret = SECRET,
        signed: bool = True,
        calling: str = "",
        identifier: str = "",
        more: bytes = b"",
        code: int = ACCESS_REQUEST,
    ) -> bytes:
        """An Access-Request; `more` are further attributes, encoded."""
        name = username.encode() if isinstance(username, str) else username
        word = password.encode() if isinstance(password, str) else password
        authenticator = self.authenticator()
        attributes = encode_attribute(USER_NAME, name)
        if method == "pap":
            attributes += pap_attributes(word, secret, authenticator)
        elif method == "chap":
            attributes += chap_attributes(word, 5, self.authenticator())
        elif method == "mschap":
            attributes += mschap_attributes(word, 5, self.authenticator()[:8])
        elif method == "mschapv2":
            attributes += mschapv2_attributes(name, word, 5, self.authenticator(), self.authenticator())
        if calling:
            attributes += encode_attribute(CALLING_STATION_ID, calling.encode())
        if identifier:
            attributes += encode_attribute(NAS_IDENTIFIER, identifier.encode())
        data = access_request(self.serial & 255, authenticator, secret, attributes + more, code)
        return data if signed else unsigned(data)

    def send(self, data: bytes, host: str = HOST, now: int = NOW) -> Answer:
        """Hand over a datagram."""
        return self.access.receive(data, (host, 40_000), now, b"salt")

    def login(self, *args: Any, now: int = NOW, host: str = HOST, **options: Any) -> Answer:
        """`send` a `request`."""
        return self.send(self.request(*args, **options), host, now)


def unsigned(data: bytes) -> bytes:
    """The request without its leading Message-Authenticator."""
    body = data[20 + 18 :]
    return data[:2] + (20 + len(body)).to_bytes(2, "big") + data[4:20] + body


def told(reply: bytes) -> dict[str, list[str | int]]:
    """A reply's attributes for people, in order."""
    shown: dict[str, list[str | int]] = {}
    for name, value in NAMES.decode_all(parse(reply).attributes()):
        shown.setdefault(name, []).append(value)
    return shown


def is_true_reply(reply: bytes, request: bytes, secret: Secret = SECRET) -> bool:
    """Whether a router with `secret` would believe `reply`, Message-Authenticator first and right."""
    parsed = parse(reply)
    first = parsed.attributes()[0][0] if parsed.attributes() else 0
    asked: Packet = parse(request)
    return (
        first == 80 and parsed.identifier == asked.identifier and verify_reply(parsed, asked.authenticator, secret) == 1
    )


def name_of(attributes: object) -> int:
    """The id of a profile in a record."""
    return profile_id(split_address(attributes)[0])  # type: ignore[arg-type]
