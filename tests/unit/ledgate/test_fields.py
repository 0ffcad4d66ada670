"""Reading the values of a load file: what is taken, what is refused, and that a refusal tells no secret."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader, parse_instant

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("2026-11-01T00:00:00Z", "Asia/Tehran", 0),
        ("2026-11-01T00:00:00+03:30", "UTC", -3.5),
        ("2026-11-01T00:00:00", "Asia/Tehran", -3.5),
        ("2026-11-01", "Asia/Tehran", -3.5),
        ("2026-11-01", "America/New_York", 4),
        ("2026-11-01 12:00", "UTC", 12),
    ],
)
def test_an_instant_without_an_offset_counts_in_the_visps_zone(text: str, zone: str, hours: float) -> None:
    assert parse_instant(text, zone) == micros(MIDNIGHT) + int(hours * 3600) * 1_000_000


def test_an_instant_keeps_its_microseconds() -> None:
    assert parse_instant("2026-11-01T00:00:00.000001Z", "UTC") == micros(MIDNIGHT) + 1


@given(st.integers(0, 32_503_680_000 - 1))
def test_every_second_of_our_time_is_read_back(seconds: int) -> None:
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    assert parse_instant(text, "Asia/Tehran") == seconds * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "now", "1969-12-31T23:59:59Z", "3000-01-01", "9999-12-31", "2026-13-01", "0001-01-01"]
)
def test_what_is_no_instant_of_our_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text, "Asia/Tehran")
    with pytest.raises(BadLoad, match=r"^x\.at: "):
        fields.instant("Asia/Tehran")(text, "x.at")


GOOD: list[tuple[Callable[[Any, str], Any], Any, Any]] = [
    (fields.username, "علی@خانه", "علی@خانه"),
    (fields.username, "x" * 253, "x" * 253),
    (fields.password, "ب" * 64, "ب" * 64),
    (fields.whole(0, 5), 5, 5),
    (fields.switch, False, False),
    (fields.currency, "KWD", "KWD"),
    (fields.timezone, "Europe/Prague", "Europe/Prague"),
    (fields.mac_address, "aabb.ccdd.eeff", "AA:BB:CC:DD:EE:FF"),
    (fields.ipv4, "192.0.2.1", "192.0.2.1"),
    (fields.address, "2001:DB8:0::1", "2001:db8::1"),
    (fields.network, "2001:db8::/32", "2001:db8::/32"),
    (fields.network, "2001:db8::1/128", "2001:db8::1"),
    (fields.network, "::ffff:192.0.2.0/120", "192.0.2.0/24"),
]


@pytest.mark.parametrize(("read", "value", "found"), GOOD)
def test_a_value_is_taken(read: Callable[[Any, str], Any], value: Any, found: Any) -> None:
    assert read(value, "x") == found


BAD: list[tuple[Callable[[Any, str], Any], Any]] = [
    (fields.username, ""),
    (fields.username, "é" * 127),
    (fields.username, 7),
    (fields.username, "a\0b"),
    (fields.username, "a\ud800b"),
    (fields.password, "ب" * 65),
    (fields.name, "x" * 65),
    (fields.whole(0, 5), 6),
    (fields.whole(0, 5), True),
    (fields.whole(0, 5), 1.0),
    (fields.whole(0, 5), "1"),
    (fields.switch, 1),
    (fields.currency, "irr"),
    (fields.currency, "XQZ"),
    (fields.timezone, "../etc/passwd"),
    (fields.timezone, "Mars/Olympus"),
    (fields.mac_address, "aa:bb:cc:dd:ee:f"),
    (fields.mac_address, "gg:bb:cc:dd:ee:ff"),
    (fields.ipv4, "10.0.0.256"),
    (fields.ipv4, "10.0.0.01"),
    (fields.address, "10.0.0.0/8"),
    (fields.network, "10.0.0.1/8"),
    (fields.one_of("a", "b"), "c"),
    (fields.one_of("a", "b"), ["a"]),
]


@pytest.mark.parametrize(("read", "value"), BAD)
def test_a_bad_value_is_refused_with_its_path(read: Callable[[Any, str], Any], value: Any) -> None:
    with pytest.raises(BadLoad) as caught:
        read(value, "nas[3].key")
    assert caught.value.path == "nas[3].key" and str(caught.value).startswith("nas[3].key: ")


@given(st.text(min_size=6, max_size=20))
def test_no_refusal_of_a_password_repeats_it(text: str) -> None:
    for value in (text * 50, "\0" + text, text + "\ud800"):
        with pytest.raises(BadLoad) as caught:
            fields.password(value, "password")
        assert text not in str(caught.value)


def test_a_reader_takes_keys_and_refuses_those_it_does_not_know() -> None:
    reader = Reader({"name": "mt1", "port": None}, "nas[0]", ("name", "port", "secret"))
    assert reader.need("name", fields.name) == "mt1"
    assert reader.has("port") and reader.take("port", fields.whole(1, 9)) is None
    assert not reader.has("secret") and reader.take("secret", fields.name) is None
    with pytest.raises(BadLoad, match=r"^nas\[0\]\.secret: is missing$"):
        reader.need("secret", fields.name)
    with pytest.raises(BadLoad, match=r"^nas\[0\]\.port: must not be null$"):
        reader.need("port", fields.whole(1, 9))
    with pytest.raises(BadLoad, match=r"^nas\[0\]\.port: must not be null$"):
        reader.take("port", fields.whole(1, 9), null=False)
    with pytest.raises(BadLoad, match=r"^nas\[0\]\.prot: unknown key; known are name, port, secret$"):
        Reader({"prot": 1}, "nas[0]", ("name", "port", "secret"))
    with pytest.raises(BadLoad, match=r"^nas\[0\]: must be an object$"):
        Reader(["name"], "nas[0]", ("name",))
    with pytest.raises(BadLoad, match=r"^must be an object$"):
        Reader([], "", ("name",))
