"""Datagrams on the accounting port (RFC 2866, RFC 5080, RFC 5997)."""

from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.session import SECOND
from aaa.radius.clients import Clients, Nas, parse_network
from aaa.radius.intake import Drop, Duplicate, Intake, Pending, Status
from aaa.radius.integrity import MA_ABSENT, MA_VALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import (
    ACCESS_REQUEST,
    ACCOUNTING_REQUEST,
    ACCOUNTING_RESPONSE,
    PROXY_STATE,
    STATUS_SERVER,
    encode_attribute,
    parse,
)
from aaa.radius.reply_cache import ReplyCache

NOW = 1_790_000_000 * SECOND
OLD, NEW, OTHER = Secret(b"old secret"), Secret(b"new secret"), Secret(b"other secret")
FROM = ("192.0.2.1", 40000)
START = encode_attribute(40, b"\0\0\0\1") + encode_attribute(44, b"80000001") + encode_attribute(1, b"ali")


def intake() -> Intake:
    routers = [
        Nas(1, "mt1", parse_network("192.0.2.1"), None, (NEW, OLD)),
        Nas(2, "mt2", parse_network("192.0.2.1"), "mt2", (OTHER,), octets="client"),
        Nas(3, "mt6", parse_network("fe80::/64"), None, (NEW,)),
    ]
    return Intake(Clients(routers), ReplyCache())


def signed(secret: Secret = NEW, attributes: bytes = START, *, identifier: int = 7, ma: bool = False) -> bytes:
    return signed_request(ACCOUNTING_REQUEST, identifier, secret, attributes, message_authenticator=ma)


def pending(taken: object) -> Pending:
    assert isinstance(taken, Pending)
    return taken


def test_a_record_is_answered_once_it_is_settled() -> None:
    desk = intake()
    taken = pending(desk.receive(signed(), FROM, NOW))
    assert (taken.record.nas_id, taken.record.source, taken.record.username) == (1, "192.0.2.1", "ali")
    assert desk.receive(signed(), FROM, NOW) == Drop("in-progress", desk._clients.nas[0])
    reply = desk.settle(taken)
    assert reply is not None
    assert parse(reply).code == ACCOUNTING_RESPONSE
    assert verify_reply(parse(reply), parse(signed()).authenticator, NEW) == MA_ABSENT
    assert desk.receive(signed(), FROM, NOW) == Duplicate(reply)


def test_an_abandoned_record_is_tried_afresh() -> None:
    desk = intake()
    desk.abandon(pending(desk.receive(signed(), FROM, NOW)))
    pending(desk.receive(signed(), FROM, NOW))


def test_both_secrets_are_good_during_a_rotation_and_the_reply_is_signed_with_the_one_used() -> None:
    for secret in (OLD, NEW):
        for ma in (False, True):
            desk = intake()
            reply = desk.settle(pending(desk.receive(signed(secret, ma=ma), FROM, NOW)))
            assert reply is not None
            assert verify_reply(parse(reply), parse(signed(secret, ma=ma)).authenticator, secret) == MA_ABSENT


def test_routers_behind_one_address_are_told_apart_by_identifier() -> None:
    attributes = START + encode_attribute(32, b"mt2") + encode_attribute(42, b"\0\0\0\5")
    taken = pending(intake().receive(signed(OTHER, attributes), FROM, NOW))
    assert (taken.record.nas_id, taken.record.up, taken.record.down) == (2, 0, 5)
    assert isinstance(intake().receive(signed(NEW, attributes), FROM, NOW), Drop)


def test_a_zone_is_no_part_of_the_address() -> None:
    taken = pending(intake().receive(signed(), ("fe80::1%eth0", 40000, 0, 2), NOW))
    assert taken.record.source == "fe80::1"


def test_what_is_dropped_and_why() -> None:
    desk = intake()
    first = desk._clients.nas[0]
    assert desk.receive(b"\4", FROM, NOW) == Drop("malformed-truncated", None)
    assert desk.receive(signed(), ("192.0.2.9", 40000), NOW) == Drop("unknown-nas", None)
    assert desk.receive(signed(OTHER), FROM, NOW) == Drop("authenticator-wrong", first)
    login = access_request(1, bytes(16), NEW, b"", ACCESS_REQUEST)
    assert desk.receive(login, FROM, NOW) == Drop("unexpected-code", None)
    nameless = signed(attributes=encode_attribute(40, b"\0\0\0\1"))
    assert desk.receive(nameless, FROM, NOW) == Drop("record-session-id-missing", first)
    assert desk.receive(nameless, FROM, NOW) == Drop("record-session-id-missing", first)


def test_a_wrong_message_authenticator_is_dropped_though_the_authenticator_is_right() -> None:
    wrong = START + encode_attribute(80, bytes(16))
    taken = intake().receive(signed(attributes=wrong), FROM, NOW)
    assert isinstance(taken, Drop)
    assert taken.cause == "authenticator-wrong"


def test_rfc2865_5_33_proxy_states_are_echoed_in_order() -> None:
    states = [b"first", b"second", b"first"]
    attributes = START + b"".join(encode_attribute(PROXY_STATE, state) for state in states)
    desk = intake()
    reply = desk.settle(pending(desk.receive(signed(attributes=attributes), FROM, NOW)))
    assert reply is not None
    assert parse(reply).all(PROXY_STATE) == states


def test_rfc5997_4_2_status_server_gets_an_accounting_response() -> None:
    ask = access_request(9, bytes(range(16)), OLD, b"", STATUS_SERVER)
    taken = intake().receive(ask, FROM, NOW)
    assert isinstance(taken, Status)
    assert parse(taken.reply).code == ACCOUNTING_RESPONSE
    assert verify_reply(parse(taken.reply), bytes(range(16)), OLD) == MA_VALID


def test_rfc5997_3_status_server_needs_message_authenticator() -> None:
    bare = bytes((STATUS_SERVER, 9, 0, 20)) + bytes(16)
    taken = intake().receive(bare, FROM, NOW)
    assert isinstance(taken, Drop)
    assert taken.cause == "message-authenticator-missing"
    forged = intake().receive(access_request(9, bytes(16), OTHER, b"", STATUS_SERVER), FROM, NOW)
    assert isinstance(forged, Drop)
    assert forged.cause == "message-authenticator-wrong"


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 2))
def test_no_mutant_is_taken(at: int, flip: int, cut: int) -> None:
    data = bytearray(signed(ma=True))
    data[at % len(data)] ^= flip
    taken = intake().receive(bytes(data[: len(data) - cut]), FROM, NOW)
    assert isinstance(taken, Drop)
