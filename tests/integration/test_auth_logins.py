"""radclient against real processes, on both databases: who is let in, with what, and who is not."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa.radius.integrity import Secret, access_request
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCESS_REJECT,
    CALLING_STATION_ID,
    FRAMED_PROTOCOL,
    USER_NAME,
    encode_attribute,
    parse,
)
from aaa.radius.peer import mschapv2_attributes, pap_attributes, proves_password
from tests.integration.serving import (
    SECRET,
    Installation,
    document,
    installation,
    router,
    running,
    subscriber,
    until,
)

METHODS = {"pap": "User-Password", "chap": "CHAP-Password", "mschap": "MS-CHAP-Password"}
PPP = encode_attribute(FRAMED_PROTOCOL, b"\0\0\0\x01")
MAC = "02:AB:CD:EF:01:23"
SPELLINGS = [
    MAC,
    "02-AB-CD-EF-01-23",
    "02 AB CD EF 01 23",
    "02ABCDEF0123",
    "02ABCD:EF0123",
    "02ABCD-EF0123",
    "02AB:CDEF:0123",
]
DOCUMENT = document(
    visps=[
        {"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran", "realm": "tehran.example"},
        {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague", "realm": "brno.example"},
    ],
    nas=[
        router("four", "127.0.0.1", require_message_authenticator="no", limit_proxy_state="no"),
        router("six", "::1", secret="secret of six", require_message_authenticator="no"),
        router("strict", "127.0.0.2", require_message_authenticator="yes"),
        router("tower-a", "127.0.0.3", identifier="a", secret="secret of a"),
        router("tower-b", "127.0.0.3", identifier="b", secret="secret of b"),
    ],
    subscribers=[
        subscriber("paid"),
        subscriber("late", balance=-812000, last_payment="2026-11-01T00:00:00Z"),
        subscriber("gone", active_to="2026-01-01T00:00:00Z"),
        subscriber("both", "tehrani"),
        subscriber("both", "brnensky", visp="brno", plan=None),
        subscriber("locked", mac=MAC),
        subscriber("chapman"),
        subscriber("townsman"),
        subscriber(MAC, "not blank", mac_auth=True),
    ],
)
DOCUMENT["params"] = [
    *DOCUMENT["params"],
    {"scope": "user:chapman", "name": "allowed-methods", "value": ["chap", "mschap"]},
    {"scope": "user:townsman", "name": "allowed-nas", "value": ["tower-a", "six"]},
]


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """Two auth processes and a replica."""
    made = installation(database_url, tmp_path / "ledgate", auth_processes=2)
    made.load(DOCUMENT)
    with running(made, "replica", "auth") as installed:
        yield installed


def code(served: Installation, attributes: str, **more: str) -> str | None:
    reply = served.radclient(attributes, **more)  # type: ignore[arg-type]
    return None if reply is None else reply.code


def request(username: str, password: str = "secret", secret: str = SECRET, more: bytes = b"") -> bytes:
    """A signed PAP request."""
    authenticator = os.urandom(16)
    key = Secret(secret.encode())
    attributes = encode_attribute(USER_NAME, username.encode()) + pap_attributes(password.encode(), key, authenticator)
    return access_request(7, authenticator, key, attributes + more)


def _mschapv2(username: str, password: str) -> bytes:
    name, word = username.encode(), password.encode()
    proof = mschapv2_attributes(name, word, 1, os.urandom(16), os.urandom(16))
    return access_request(8, os.urandom(16), Secret(SECRET.encode()), encode_attribute(USER_NAME, name) + proof)


def test_logins_on_both_databases(served: Installation) -> None:
    for method, attribute in METHODS.items():
        assert code(served, f"User-Name=paid,{attribute}=secret") == "Access-Accept", method
        assert code(served, f"User-Name=paid,{attribute}=Secret") == "Access-Reject", method
        assert code(served, f"User-Name=nobody,{attribute}=secret") == "Access-Reject", method

    paid = served.radclient("User-Name=paid,User-Password=secret,Service-Type=Framed-User,Framed-Protocol=PPP")
    assert paid is not None
    assert next(iter(paid.attributes)) == "Message-Authenticator"
    assert paid.attributes["Framed-Pool"] == "pool1"
    assert paid.attributes["Mikrotik-Rate-Limit"] == "20M/20M"
    assert paid.attributes["Framed-Protocol"] == "PPP"
    assert int(paid.attributes["Acct-Interim-Interval"]) > 0

    late = served.radclient("User-Name=late,User-Password=secret")
    assert late is not None
    assert (late.code, late.attributes["Framed-Pool"]) == ("Access-Accept", "finish")
    assert late.attributes["Mikrotik-Address-List"] == "overdue"
    gone = served.radclient("User-Name=gone,MS-CHAP-Password=secret")
    assert gone is not None
    assert (gone.code, gone.attributes["Reply-Message"]) == (
        "Access-Reject",
        "Access is blocked: the service has expired.",
    )
    assert "E=649" in gone.attributes["MS-CHAP-Error"]

    # R1.4: allowed methods and routers.
    for method, attribute in METHODS.items():
        expected = "Access-Reject" if method == "pap" else "Access-Accept"
        assert code(served, f"User-Name=chapman,{attribute}=secret") == expected, method
    assert code(served, "User-Name=townsman,User-Password=secret") == "Access-Reject"

    # A realm chooses the VISP; without one the name must be unambiguous.
    assert code(served, "User-Name=both@tehran.example,User-Password=tehrani") == "Access-Accept"
    assert code(served, "User-Name=both@brno.example,User-Password=brnensky") == "Access-Accept"
    assert code(served, "User-Name=both@brno.example,User-Password=tehrani") == "Access-Reject"
    assert code(served, "User-Name=both,User-Password=tehrani") == "Access-Reject"

    log = served.log
    assert "login user=late nas=four result=accept verdict=restrict cause=debit" in log
    assert "debt=812000" in log
    assert "login user=chapman nas=four result=reject cause=allowed-methods method=pap" in log
    assert "login user=townsman nas=four result=reject cause=allowed-nas" in log
    assert "max_debt=800000" in log
    assert "scope=server" in log
    assert "login user=gone nas=four result=reject verdict=deny cause=expire" in log
    assert "testing123" not in log
    assert "tehrani" not in log

    # What no radclient can ask: MS-CHAPv2, and hotspot MAC authentication in MikroTik's seven formats.
    asked = _mschapv2("paid", "secret")
    answered = parse(served.exchange(asked))
    assert answered.code == ACCESS_ACCEPT
    assert proves_password(answered, parse(asked), b"secret")
    assert parse(served.exchange(_mschapv2("paid", "wrong"))).code == ACCESS_REJECT
    calling = encode_attribute(CALLING_STATION_ID, MAC.encode())
    for spelling in SPELLINGS:
        assert parse(served.exchange(request(spelling, "", more=calling))).code == ACCESS_ACCEPT, spelling
        assert parse(served.exchange(request(spelling, "", more=calling + PPP))).code == ACCESS_REJECT, spelling
    assert parse(served.exchange(request("locked", more=calling))).code == ACCESS_ACCEPT
    assert parse(served.exchange(request("locked", more=calling[:-1] + b"4"))).code == ACCESS_REJECT


def test_routers_and_their_secrets(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", auth_processes=2, listen="0.0.0.0,::")
    made.load(DOCUMENT)
    with running(made, "replica", "auth") as served:
        paid = "User-Name=paid,User-Password=secret"
        # IPv6, and a wildcard socket that answers from the address it was asked at.
        assert code(served, paid, server="::1", secret="secret of six") == "Access-Accept"
        assert code(served, "Message-Authenticator=0x00", command="status") == "Access-Accept"

        # Several routers behind one address, each with a secret of its own.
        for name in "ab":
            theirs = request("paid", secret=f"secret of {name}", more=encode_attribute(32, name.encode()))
            assert parse(_from("127.0.0.3", served.auth_port, theirs)).code == 2
        other = request("paid", secret="secret of a", more=encode_attribute(32, b"b"))
        assert _from("127.0.0.3", served.auth_port, other) == b""
        assert _from("127.0.0.3", served.auth_port, request("paid", secret="secret of a")) == b""

        # A router that must sign, and one that nobody knows.
        signed = request("paid")
        assert parse(_from("127.0.0.2", served.auth_port, signed)).code == 2
        unsigned = signed[:2] + (len(signed) - 18).to_bytes(2, "big") + signed[4:20] + signed[38:]
        assert _from("127.0.0.2", served.auth_port, unsigned) == b""
        assert _from("127.0.0.9", served.auth_port, signed) == b""
        assert _from("127.0.0.2", served.auth_port, signed[:-1]) == b""

        # Rotation: both secrets are good until the old one is taken away, within a second and without a restart.
        served.load({"nas": [router("strict", "127.0.0.2", secret="brand new", previous_secret=SECRET)]})
        new = request("paid", secret="brand new")
        until(lambda: _from("127.0.0.2", served.auth_port, new, 0.2), "the new secret", 3)
        assert _from("127.0.0.2", served.auth_port, request("late"))
        counted = until(lambda: _settled(served), "the counters")
    assert counted["drop-unknown-nas"] == 2
    assert counted["drop-message-authenticator-missing"] == 1
    assert counted["drop-malformed-truncated"] == 1
    assert counted["drop-message-authenticator-wrong"] >= 1
    assert "dropped cause=unknown-nas from=127.0.0.9 nas=unknown" in made.log


def _settled(served: Installation) -> dict[str, int]:
    counted = served.counters()
    return counted if counted.get("drop-malformed-truncated") else {}


def _from(address: str, port: int, data: bytes, wait: float = 0.5) -> bytes:
    """Send from one of this machine's loopback addresses; the reply must come from where it was sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.connect(("127.0.0.5", port))
        client.settimeout(wait)
        client.send(data)
        try:
            return client.recv(4096)
        except TimeoutError:
            return b""
