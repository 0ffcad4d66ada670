"""Accounting-Requests read as records (RFC 2866, RFC 2869, RFC 3162)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.authorisation import Authorisation
from aaa.domain.session import INTERIM, OFF, ON, SECOND, START, STOP, TOLERANCE, Record
from aaa.radius.accounting import Malformed, read_record, session_key
from aaa.radius.integrity import Secret, signed_request
from aaa.radius.packet import ACCOUNTING_REQUEST, encode_attribute, parse

NOW = 1_790_000_000 * SECOND
SECRET = Secret(b"testing123")


def text(kind: int, value: str) -> bytes:
    return encode_attribute(kind, value.encode())


def number(kind: int, value: int) -> bytes:
    return encode_attribute(kind, value.to_bytes(4, "big"))


def read(*attributes: bytes, now: int = NOW, client_octets: bool = False) -> Record | Malformed:
    data = signed_request(ACCOUNTING_REQUEST, 1, SECRET, b"".join(attributes))
    return read_record(parse(data), 5, "192.0.2.1", now, client_octets)


def good(*attributes: bytes, now: int = NOW, client_octets: bool = False) -> Record:
    found = read(text(44, "80000001"), text(1, "ali"), *attributes, now=now, client_octets=client_octets)
    assert isinstance(found, Record)
    return found


def test_a_whole_record() -> None:
    granted = Authorisation(7, 3, 1, -5, 1_790_003_600)
    found = good(
        number(40, STOP),
        text(32, "mt1"),
        text(31, "02:00:00:00:00:01"),
        text(30, "pppoe-in"),
        text(87, "ether2"),
        number(7, 1),
        encode_attribute(8, bytes((10, 0, 0, 9))),
        encode_attribute(25, granted.pack()),
        number(46, 600),
        number(42, 1000),
        number(43, 2000),
        number(49, 2),
        number(55, NOW // SECOND - 10),
    )
    assert found == Record(
        status=STOP,
        key=session_key(b"192.0.2.1", b"mt1", b"80000001", b"ali"),
        nas_id=5,
        source="192.0.2.1",
        identifier="mt1",
        acct_session_id="80000001",
        username="ali",
        calling_station_id="02:00:00:00:00:01",
        called_station_id="pppoe-in",
        nas_port_id="ether2",
        framed_protocol="ppp",
        framed_ip="10.0.0.9",
        framed_ipv6=None,
        delegated_ipv6=None,
        event_at=NOW - 10 * SECOND,
        started_at=NOW - 610 * SECOND,
        heard_at=NOW,
        seconds=600,
        up=1000,
        down=2000,
        terminate_cause=2,
        authorisation=granted,
    )


def test_rfc2866_5_3_input_is_the_subscribers_upload_unless_the_router_counts_as_a_client() -> None:
    counters = (number(40, INTERIM), number(46, 1), number(42, 10), number(43, 20))
    assert (good(*counters).up, good(*counters).down) == (10, 20)
    swapped = good(*counters, client_octets=True)
    assert (swapped.up, swapped.down) == (20, 10)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_rfc2869_5_1_gigawords(up: int, down: int) -> None:
    found = good(
        number(40, INTERIM),
        number(42, up & 0xFFFFFFFF),
        number(52, up >> 32),
        number(43, down & 0xFFFFFFFF),
        number(53, down >> 32),
    )
    assert (found.up, found.down) == (up, down)


def test_more_octets_than_the_store_can_count_are_refused() -> None:
    assert read(text(44, "1"), number(40, STOP), number(52, 0x80000000)) == Malformed("octets")


def test_rfc2866_5_2_delay_is_taken_off_the_arrival() -> None:
    found = good(number(40, INTERIM), number(46, 300), number(41, 30))
    assert (found.event_at, found.started_at, found.heard_at) == (NOW - 30 * SECOND, NOW - 330 * SECOND, NOW)


@pytest.mark.parametrize(
    ("ahead", "believed"),
    [
        (0, True),
        (TOLERANCE // SECOND, True),
        (TOLERANCE // SECOND + 1, False),
        (-86_400, True),
        (-86_401, False),
        (-1_700_000_000, False),
    ],
)
def test_rfc2869_5_3_event_timestamp_is_believed_while_sane(ahead: int, believed: bool) -> None:
    reached = NOW - 30 * SECOND
    found = good(number(40, START), number(41, 30), number(55, reached // SECOND + ahead))
    assert found.event_at == (reached + ahead * SECOND if believed else reached)


def test_a_start_began_at_its_event_and_other_records_may_not_say_how_long() -> None:
    assert (good(number(40, START)).seconds, good(number(40, START)).started_at) == (0, NOW)
    assert good(number(40, INTERIM)).seconds == -1


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ([text(44, "1")], "status-type-missing"),
        ([number(40, 9), text(44, "1")], "status-type-unknown"),
        ([number(40, START)], "session-id-missing"),
        ([number(40, START), text(44, "")], "session-id-missing"),
        ([encode_attribute(40, b"\1"), text(44, "1")], "integer"),
        ([number(40, STOP), text(44, "1"), encode_attribute(46, b"\0\1")], "integer"),
        ([number(40, STOP), text(44, "1"), encode_attribute(42, bytes(8))], "integer"),
        ([number(40, STOP), text(44, "1"), encode_attribute(55, bytes(5))], "integer"),
    ],
)
def test_records_that_cannot_be_used(attributes: list[bytes], cause: str) -> None:
    assert read(*attributes) == Malformed(cause)


@pytest.mark.parametrize("status", [ON, OFF])
def test_on_and_off_need_no_session_id_and_have_no_key(status: int) -> None:
    found = read(number(40, status), text(32, "mt1"))
    assert isinstance(found, Record)
    assert (found.status, found.key, found.identifier) == (status, b"", "mt1")


def test_rfc3162_2_3_ipv6() -> None:
    prefix = bytes((0, 64)) + bytes.fromhex("20010db800010002")
    found = good(number(40, INTERIM), encode_attribute(97, prefix), encode_attribute(123, b"\0\x38" + prefix[2:9]))
    assert (found.framed_ipv6, found.delegated_ipv6) == ("2001:db8:1:2::/64", "2001:db8:1::/56")
    address = bytes.fromhex("20010db8000000000000000000000005")
    assert good(number(40, INTERIM), encode_attribute(97, prefix), encode_attribute(168, address)).framed_ipv6 == (
        "2001:db8::5"
    )


def test_addresses_that_make_no_sense_count_for_nothing() -> None:
    found = good(
        number(40, INTERIM),
        encode_attribute(8, b"\1\2\3"),
        encode_attribute(97, b"\0\x81" + bytes(16)),
        encode_attribute(123, b"\0"),
        encode_attribute(168, bytes(15)),
    )
    assert (found.framed_ip, found.framed_ipv6, found.delegated_ipv6) == (None, None, None)


def test_our_class_is_found_among_others() -> None:
    granted = Authorisation(7, 3, 1, 5, 0)
    foreign = encode_attribute(25, b"another server's")
    assert good(number(40, START), foreign, encode_attribute(25, granted.pack())).authorisation == granted
    assert good(number(40, START), foreign).authorisation is None


def test_every_octet_string_becomes_text_that_databases_take() -> None:
    found = good(number(40, START), encode_attribute(31, b"\xff\0" + b"\xfe" * 251))
    assert found.calling_station_id.startswith("\\xff\\x00\\xfe")
    assert len(found.calling_station_id) == 253


@given(st.lists(st.binary(max_size=6), min_size=4, max_size=4), st.lists(st.binary(max_size=6), min_size=4, max_size=4))
def test_keys_differ_wherever_a_part_differs(one: list[bytes], other: list[bytes]) -> None:
    assert (session_key(*one) == session_key(*other)) == (one == other)


READ = [1, 8, 25, 31, 32, 40, 41, 42, 44, 46, 52, 55, 97, 123, 168]


@given(st.lists(st.tuples(st.sampled_from(READ), st.binary(max_size=40))))
def test_no_attributes_raise(pairs: list[tuple[int, bytes]]) -> None:
    found = read(*[encode_attribute(kind, value) for kind, value in pairs])
    assert isinstance(found, Record | Malformed)
