"""`python -m benchmarks.codec`: our codec beside pyrad on one core, in one run.

One round is what a login costs besides the look-up: read a PAP Access-Request of 12 attributes and
Message-Authenticator, check that and the password, build an Access-Accept of 12 attributes. Rounds are interleaved; the
median counts.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from pyrad import packet as pyrad_packet
from pyrad.dictionary import Dictionary as PyradDictionary

import dictionaries
from aaa.radius import credentials, dictionary, packet, peer
from aaa.radius.integrity import MA_VALID, Secret, access_reply, access_request, verify_access_request, verify_reply

ROUNDS = 7
SECONDS = 0.4
SECRET = Secret(b"testing123")
PASSWORD = b"correct horse"
AUTHENTICATOR = bytes(range(16))
NAMES = dictionary.load()

REQUEST: list[tuple[str, object]] = [
    ("User-Name", "subscriber01234"),
    ("Service-Type", "Framed-User"),
    ("Framed-Protocol", "PPP"),
    ("NAS-Identifier", "mikrotik-pop-7"),
    ("NAS-IP-Address", "10.20.30.40"),
    ("NAS-Port", 15728640),
    ("NAS-Port-Type", "Ethernet"),
    ("NAS-Port-Id", "ether2"),
    ("Calling-Station-Id", "00:0C:29:11:22:33"),
    ("Called-Station-Id", "pppoe-service"),
    ("Acct-Session-Id", "81700001"),
]
REPLY: list[tuple[str, object]] = [
    ("Service-Type", "Framed-User"),
    ("Framed-Protocol", "PPP"),
    ("Framed-IP-Address", "100.64.7.9"),
    ("Framed-Pool", "pool1"),
    ("Session-Timeout", 86400),
    ("Idle-Timeout", 600),
    ("Acct-Interim-Interval", 300),
    ("Class", "0x4c470000000100000002"),
    ("Framed-Route", "10.1.0.0/24 100.64.7.9 1"),
    ("Mikrotik-Rate-Limit", "20M/20M"),
    ("Mikrotik-Address-List", "paid"),
    ("Mikrotik-Group", "home"),
]


def ours() -> Callable[[bytes], bytes]:
    """A login with our codec; the reply's attributes are encoded once, as a profile is."""
    attributes = NAMES.encode_profile(REPLY)

    def login(data: bytes) -> bytes:
        request = packet.parse(data)
        if verify_access_request(request, SECRET) != MA_VALID or not credentials.verify(request, SECRET, PASSWORD).ok:
            raise AssertionError("our codec refused the benchmark's own packet")
        return access_reply(packet.ACCESS_ACCEPT, request, SECRET, attributes)

    return login


def pyrads() -> Callable[[bytes], bytes]:
    """The same login with pyrad, used as its documentation shows."""
    names = PyradDictionary(dictionaries.path())
    pairs = [(name, bytes.fromhex(str(value)[2:]) if name == "Class" else value) for name, value in REPLY]

    def login(data: bytes) -> bytes:
        request = pyrad_packet.AuthPacket(packet=data, secret=SECRET.value, dict=names)
        # pyrad gives what the dictionary calls octets as they came.
        password = request.PwDecrypt(request["User-Password"][0])
        if not request.verify_message_authenticator() or password.encode() != PASSWORD:
            raise AssertionError("pyrad refused the benchmark's own packet")
        reply = request.CreateReply()
        reply.code = packet.ACCESS_ACCEPT
        for name, value in pairs:
            reply[name] = value
        reply.add_message_authenticator()
        octets: bytes = reply.ReplyPacket()
        return octets

    return login


def rate(work: Callable[[bytes], Any], data: bytes) -> float:
    """Calls of `work` per second of this process's CPU time."""
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < SECONDS:
        for _ in range(200):
            work(data)
        done += 200
    return done / spent


def main() -> None:
    """Print packets per second and how they compare."""
    login = peer.pap_attributes(PASSWORD, SECRET, AUTHENTICATOR)
    data = access_request(7, AUTHENTICATOR, SECRET, NAMES.encode_profile(REQUEST) + login)
    works: dict[str, Callable[[bytes], Any]] = {
        "pyrad, login": pyrads(),
        "ours, login": ours(),
        "ours, parse only": packet.parse,
    }
    for name in ("pyrad, login", "ours, login"):
        if verify_reply(packet.parse(works[name](data)), AUTHENTICATOR, SECRET) != MA_VALID:
            raise AssertionError(f"{name}: the reply's signature is wrong")
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            rates[name].append(rate(work, data))
    base = statistics.median(rates["pyrad, login"])
    compiled = "compiled" if str(packet.__file__).endswith(".so") else "pure Python"
    print(f"request {len(data)} octets, our modules {compiled}, median of {ROUNDS} runs of {SECONDS} s CPU")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(f"{name:18} {middle:9,.0f}/s  {1e6 / middle:6.2f} us  {middle / base:5.1f} x pyrad")


if __name__ == "__main__":
    main()
