"""Our codec and pyrad's read each other's packets alike."""

from collections import OrderedDict
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad import packet as oracle
from pyrad.dictionary import Dictionary as OracleDictionary

import dictionaries
from aaa.radius import dictionary, packet
from aaa.radius.concealment import hide_password, reveal
from aaa.radius.integrity import (
    MA_VALID,
    Secret,
    access_reply,
    access_request,
    accounting_reply,
    signed_request,
    verify_access_request,
    verify_reply,
    verify_signed_request,
)
from aaa.radius.mppe import decrypt_key, encrypt_key
from aaa.radius.packet import encode_attribute, encode_vendor, parse

NAMES = OracleDictionary(dictionaries.path())
OURS = dictionary.load()

secrets = st.binary(min_size=1, max_size=80)
authenticators = st.binary(min_size=16, max_size=16)
# 80 is added by the signer, 26 has its own strategy, pyrad joins the fragments of 79, and compares 33 with its own.
kinds = st.integers(1, 255).filter(lambda kind: kind not in (26, 33, 79, 80))
plain = st.tuples(kinds, st.binary(min_size=1, max_size=40))
vendor = st.tuples(st.integers(1, 0xFFFFFF), st.integers(1, 255), st.binary(min_size=1, max_size=40))
contents = st.lists(st.one_of(plain, vendor), max_size=20)


def encoded(pairs: list[Any]) -> bytes:
    return b"".join(encode_attribute(*one) if len(one) == 2 else encode_vendor(*one) for one in pairs)


def grouped(pairs: list[Any]) -> dict[Any, list[bytes]]:
    found: dict[Any, list[bytes]] = {}
    for *key, value in pairs:
        found.setdefault(key[0] if len(key) == 1 else tuple(key), []).append(value)
    return found


def as_oracle(data: bytes, secret: Secret, kind: type[Any]) -> Any:
    return kind(packet=data, secret=secret.value, dict=OracleDictionary())


@given(secrets, authenticators, st.integers(0, 255), contents)
def test_pyrad_reads_our_access_requests(key: bytes, authenticator: bytes, identifier: int, pairs: list[Any]) -> None:
    secret = Secret(key)
    data = access_request(identifier, authenticator, secret, encoded(pairs))
    theirs = as_oracle(data, secret, oracle.AuthPacket)
    assert theirs.verify_message_authenticator()
    read = {kind: theirs[kind] for kind in dict.keys(theirs) if kind != 80}
    assert read == grouped(pairs)


@given(secrets, st.integers(0, 255), contents)
def test_we_read_pyrads_access_requests(key: bytes, identifier: int, pairs: list[Any]) -> None:
    secret = Secret(key)
    theirs = oracle.AuthPacket(secret=key, id=identifier, dict=OracleDictionary())
    for kind, values in grouped(pairs).items():
        OrderedDict.__setitem__(theirs, kind, values)
    theirs.add_message_authenticator()
    ours = parse(theirs.RequestPacket())
    assert (ours.code, ours.identifier) == (packet.ACCESS_REQUEST, identifier)
    assert verify_access_request(ours, secret) == MA_VALID
    for sent, values in grouped(pairs).items():
        read = ours.vendor_all(*sent) if isinstance(sent, tuple) else ours.all(sent)
        assert read == values


@given(secrets, authenticators, contents, st.sampled_from([packet.ACCESS_ACCEPT, packet.ACCESS_REJECT]))
def test_pyrad_accepts_our_replies(key: bytes, authenticator: bytes, pairs: list[Any], code: int) -> None:
    secret = Secret(key)
    asked = access_request(7, authenticator, secret, encode_attribute(1, b"ali") + encode_attribute(33, b"proxy"))
    data = access_reply(code, parse(asked), secret, encoded(pairs))
    theirs = as_oracle(asked, secret, oracle.AuthPacket)
    reply = as_oracle(data, secret, oracle.Packet)
    assert theirs.VerifyReply(reply, data, enforce_ma=True)
    assert verify_reply(parse(data), authenticator, secret) == MA_VALID


@given(secrets, contents)
def test_pyrad_accepts_our_accounting(key: bytes, pairs: list[Any]) -> None:
    secret = Secret(key)
    data = signed_request(packet.ACCOUNTING_REQUEST, 7, secret, encoded(pairs))
    theirs = as_oracle(data, secret, oracle.AcctPacket)
    assert theirs.VerifyAcctRequest()
    assert theirs.verify_message_authenticator()
    answer = accounting_reply(parse(data), secret)
    assert theirs.VerifyReply(as_oracle(answer, secret, oracle.Packet), answer)


@pytest.mark.parametrize("code", [packet.COA_REQUEST, packet.DISCONNECT_REQUEST])
@given(key=secrets, pairs=contents)
def test_pyrad_and_we_agree_on_coa(code: int, key: bytes, pairs: list[Any]) -> None:
    secret = Secret(key)
    data = signed_request(code, 7, secret, encoded(pairs))
    theirs = as_oracle(data, secret, oracle.CoAPacket)
    assert theirs.VerifyCoARequest()
    assert theirs.verify_message_authenticator()
    made = oracle.CoAPacket(secret=key, id=9, code=code, dict=OracleDictionary())
    for kind, values in grouped(pairs).items():
        OrderedDict.__setitem__(made, kind, values)
    made.add_message_authenticator()
    assert verify_signed_request(parse(made.RequestPacket()), secret) == MA_VALID


@given(secrets, authenticators, st.binary(min_size=1, max_size=128).filter(lambda password: password[-1:] != b"\0"))
def test_rfc2865_5_2_pyrad_hides_passwords_alike(key: bytes, authenticator: bytes, password: bytes) -> None:
    theirs = oracle.AuthPacket(secret=key, authenticator=authenticator, dict=OracleDictionary())
    hidden = hide_password(password, Secret(key), authenticator)
    assert hidden == theirs.PwCrypt(password)
    assert reveal(hidden, Secret(key), authenticator).rstrip(b"\0") == password


@given(secrets, authenticators, st.binary(max_size=40), st.integers(0x8000, 0xFFFF))
def test_rfc2548_2_4_2_pyrad_salts_keys_alike(key: bytes, authenticator: bytes, plain_key: bytes, salt: int) -> None:
    secret = Secret(key)
    theirs = oracle.AuthPacket(secret=key, authenticator=authenticator, dict=OracleDictionary())
    assert theirs.SaltDecrypt(encrypt_key(plain_key, salt.to_bytes(2, "big"), secret, authenticator)) == plain_key
    assert decrypt_key(theirs.SaltCrypt(plain_key), secret, authenticator) == plain_key


VALUES = st.one_of(
    st.tuples(st.just("Session-Timeout"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("Framed-IP-Address"), st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n)))),
    st.tuples(st.just("Mikrotik-Rate-Limit"), st.text("0123456789kM/ ", min_size=1, max_size=60)),
    st.tuples(st.just("Service-Type"), st.sampled_from(["Framed-User", "Login-User"])),
    st.tuples(st.just("Framed-IPv6-Prefix"), st.integers(0, 128).map(lambda n: f"::/{n}")),
    st.tuples(st.just("NAS-IPv6-Address"), st.sampled_from(["::1", "2001:db8::ffff"])),
    st.tuples(st.just("Reply-Message"), st.text(min_size=1, max_size=60)),
    st.tuples(st.just("WISPr-Bandwidth-Max-Down"), st.integers(0, 2**32 - 1)),
)


@given(VALUES)
def test_pyrad_encodes_values_alike(pair: tuple[str, Any]) -> None:
    name, value = pair
    theirs = oracle.Packet(code=2, secret=b"x", dict=NAMES)
    theirs[name] = [value]
    octets = OURS.encode(name, value)
    read = oracle.Packet(packet=bytes((2, 0, 0, 20 + len(octets))) + bytes(16) + octets, secret=b"x", dict=NAMES)
    assert read[name] == theirs[name]
    if "Prefix" not in name:  # pyrad sends all 16 octets of a prefix, we what RFC 3162 section 2.3 asks for
        assert octets == theirs._PktEncodeAttributes()
