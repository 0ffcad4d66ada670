"""The whole server, each role in processes of its own, with a fake router at its door: to test what it promises."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aaa import clock
from aaa.radius.integrity import MA_INVALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import ACCOUNTING_REQUEST, parse
from aaa.radius.peer import pap_attributes
from aaa.store.database import open_database
from aaa.store.seal import open_keys
from ledgate.lab.nas import Change, Nas, Refused, Session, Subscriber
from ledgate.role import ROLES
from tests.integration.live_change import SECRET, Live
from tests.integration.serving import NAMES, Installation, installation, router, running, until

Pairs = tuple[tuple[str, object], ...]
Told = tuple[str, dict[str, Any]]

AUTH_PROCESSES = 3
PROMPTLY = 1.0
"""Seconds within which every auth process serves what was committed."""


class System(Live):
    """A running installation and its router, whose sessions it watches; another router stands for everybody else."""

    def __init__(self, made: Installation, address: str, identifier: str) -> None:
        self.made = made
        self.db = self.loads = open_database(made.database_url)
        self.url = made.database_url
        self.folder = made.state
        self.key_file = made.state / "keys"
        self.sealer = open_keys(self.key_file, self.key_file.exists())
        self.changes: list[Change] = []
        self.logins: list[Session | Refused] = []
        self.address = address
        self.router = self.fake_router(address, identifier)
        self._payments = 0
        self._granted = 0

    def fake_router(self, address: str, identifier: str) -> Nas:
        """A router of the lab, not listening yet; its changes and redials join the others'."""
        return Nas(
            ("127.0.0.1", self.made.auth_port),
            ("127.0.0.1", self.made.acct_port),
            SECRET,
            identifier=identifier,
            coa=(address, 0),
            on_change=self.changes.append,
            on_login=lambda _, outcome: self.logins.append(outcome),
        )

    def load(self, *subscribers: dict[str, Any], **sections: Any) -> None:
        super().load(*subscribers, **({"nas": [router("others", "127.0.0.1")]} | sections))

    def nas(self, **changes: Any) -> dict[str, Any]:
        named = {"name": self.router.identifier, "identifier": self.router.identifier, "address": self.address}
        return super().nas(**(named | changes))

    def granted(self, username: str, mac: str) -> Session:
        """A session on the router that was granted and has not told of its Start."""
        about: Pairs = (
            ("NAS-Identifier", self.router.identifier),
            ("Calling-Station-Id", mac),
            ("Framed-Protocol", "PPP"),
        )
        code, told = self.ask(username, more=about, source=self.address)
        assert code == "Access-Accept"
        self._granted += 1
        who = Subscriber(username, "secret", mac=mac)
        classes = (bytes.fromhex(told["Class"].removeprefix("0x")),)
        session = Session(who, f"99{self._granted:06x}", "10.99.0.1", told, classes, clock.monotonic())
        self.router.sessions[session.acct_session_id] = session
        return session

    def change_of(self, username: str, number: int = 0) -> Change:
        """The `number`th change that a subscriber's sessions met, once it came."""

        def found() -> list[Change]:
            return [one for one in self.changes if one.session and one.session.subscriber.username == username]

        until(lambda: len(found()) > number, f"change {number} of {username} reaches the router")
        return found()[number]

    def redial_of(self, username: str, number: int = 0) -> Session:
        """The `number`th session that a subscriber's modem dialled again after it was cut off."""

        def found() -> list[Session]:
            return [one for one in self.logins if isinstance(one, Session) and one.subscriber.username == username]

        until(lambda: len(found()) > number, f"redial {number} of {username}")
        return found()[number]

    def ask(
        self,
        username: str,
        password: str = "secret",
        process: int = 0,
        more: Pairs = (),
        *,
        secret: bytes = SECRET,
        source: str = "127.0.0.1",
        wait: float = 2.0,
    ) -> Told:
        """Log in by PAP at one of the auth processes, which the Identifier chooses; see `sent`."""
        key, authenticator = Secret(secret), secrets.token_bytes(16)
        attributes = NAMES.encode_profile([("User-Name", username), *more])
        attributes += pap_attributes(password.encode(), key, authenticator)
        data = access_request(process, authenticator, key, attributes)
        return self.sent(data, key, self.made.auth_port, source, wait)

    def report(
        self,
        *pairs: tuple[str, object],
        process: int = 0,
        secret: bytes = SECRET,
        source: str = "127.0.0.1",
        wait: float = 2.0,
    ) -> Told:
        """Send an accounting record to one of the acct processes; see `sent`."""
        data = signed_request(ACCOUNTING_REQUEST, process, Secret(secret), NAMES.encode_profile(pairs))
        return self.sent(data, Secret(secret), self.made.acct_port, source, wait)

    def sent(self, data: bytes, key: Secret, port: int, source: str, wait: float) -> Told:
        """Send one datagram once, from an address of this machine: the reply's code and attributes by name, the last of
        each; "" for silence."""
        server = "::1" if ":" in source else "127.0.0.1"
        octets = self.made.exchange(data, server=server, port=port, source=source, wait=wait)
        if not octets:
            return "", {}
        reply = parse(octets)
        assert verify_reply(reply, data[4:20], key) != MA_INVALID
        return _CODES[reply.code], dict(NAMES.decode_all(reply.attributes()))

    def everywhere(self, asked: Callable[[int], bool], what: str) -> float:
        """Wait until `asked(process)` is true of every auth process; the seconds that took."""
        began = time.monotonic()
        for process in range(AUTH_PROCESSES):
            until(partial(asked, process), f"{what} at process {process}")
        return time.monotonic() - began


_CODES = {2: "Access-Accept", 3: "Access-Reject", 5: "Accounting-Response"}


@contextmanager
def system(
    url: str,
    folder: Path,
    keys: Path | None = None,
    address: str = "127.0.0.1",
    identifier: str = "mt1",
    **settings: Any,
) -> Iterator[System]:
    """Run everything on a database; `keys` is another machine's key file, the rest is the router's."""
    made = installation(url, folder, **({"auth_processes": AUTH_PROCESSES} | settings))
    if keys is not None:
        shutil.copyfile(keys, made.state / "keys")
        (made.state / "keys").chmod(0o600)
    found = System(made, address, identifier)
    try:
        found.load()
        with running(made, *ROLES), found.router:
            yield found
    finally:
        found.db.close()
