"""RFC 5080 section 2.2.2: duplicate detection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.radius.reply_cache import IN_PROGRESS, Key, ReplyCache

SECOND = 1_000_000
KEY: Key = (("192.0.2.1", 40000), 1 << 8 | 7)
ONE, TWO = b"1" * 16, b"2" * 16


def test_rfc5080_2_2_2_a_retransmission_gets_the_same_reply() -> None:
    cache = ReplyCache(10 * SECOND)
    assert cache.begin(KEY, ONE, 0) is None
    assert cache.begin(KEY, ONE, SECOND) == IN_PROGRESS
    cache.finish(KEY, ONE, b"reply")
    assert cache.begin(KEY, ONE, 9 * SECOND) == b"reply"
    assert cache.begin(KEY, ONE, 10 * SECOND - 1) == b"reply"
    assert cache.begin(KEY, ONE, 10 * SECOND) is None


def test_rfc5080_2_2_2_another_authenticator_is_a_new_request() -> None:
    cache = ReplyCache(10 * SECOND)
    cache.begin(KEY, ONE, 0)
    cache.finish(KEY, ONE, b"old")
    assert cache.begin(KEY, TWO, SECOND) is None
    assert cache.begin(KEY, TWO, SECOND) == IN_PROGRESS
    cache.finish(KEY, ONE, b"late reply to the old one")
    assert cache.begin(KEY, TWO, SECOND) == IN_PROGRESS
    cache.finish(KEY, TWO, b"new")
    # The old entry's end must not take the new one along.
    assert cache.begin(KEY, TWO, 10 * SECOND) == b"new"
    assert cache.begin(KEY, TWO, 11 * SECOND) is None


@pytest.mark.parametrize(
    "other",
    [
        (("192.0.2.2", 40000), 1 << 8 | 7),
        (("192.0.2.1", 40001), 1 << 8 | 7),
        (("192.0.2.1", 40000), 1 << 8 | 8),
        (("192.0.2.1", 40000), 4 << 8 | 7),
    ],
)
def test_rfc5080_2_2_2_address_port_identifier_and_code_tell_requests_apart(other: Key) -> None:
    cache = ReplyCache()
    cache.begin(KEY, ONE, 0)
    cache.finish(KEY, ONE, b"reply")
    assert cache.begin(other, ONE, 0) is None


def test_an_abandoned_request_is_tried_afresh() -> None:
    cache = ReplyCache()
    cache.begin(KEY, ONE, 0)
    cache.abandon(KEY, TWO)
    assert cache.begin(KEY, ONE, 0) == IN_PROGRESS
    cache.abandon(KEY, ONE)
    assert len(cache) == 0
    assert cache.begin(KEY, ONE, 0) is None
    cache.abandon(("elsewhere", 1), ONE)
    cache.finish(("elsewhere", 1), ONE, b"reply")
    assert len(cache) == 1


def test_it_is_bounded_and_counts_what_it_drops() -> None:
    cache = ReplyCache(10 * SECOND, max_entries=3)
    for number in range(5):
        assert cache.begin(("nas", number), ONE, number) is None
    assert len(cache) == 3
    assert cache.dropped == 2
    assert cache.begin(("nas", 4), ONE, 5) == IN_PROGRESS
    assert cache.begin(("nas", 0), ONE, 5) is None


def test_one_busy_key_cannot_grow_it() -> None:
    cache = ReplyCache(10 * SECOND, max_entries=3)
    for number in range(10):
        cache.begin(KEY, bytes((number,)) * 16, 0)
    assert len(cache) == 1
    assert cache.dropped == 0


def test_what_has_expired_makes_room_and_is_not_kept() -> None:
    cache = ReplyCache(10 * SECOND, max_entries=100)
    for number in range(100):
        cache.begin(("nas", number), ONE, 0)
    for number in range(40):
        cache.begin(("other", number), ONE, 10 * SECOND)
    assert len(cache) == 40
    assert cache.dropped == 0


@pytest.mark.parametrize(("lifetime", "size"), [(0, 1), (1, 0)])
def test_it_needs_a_lifetime_and_a_size(lifetime: int, size: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        ReplyCache(lifetime, size)


class Plain:
    """The same rules, with a list and no care for speed."""

    def __init__(self) -> None:
        self.seen: list[tuple[Key, bytes, int, bytes]] = []

    def begin(self, key: Key, authenticator: bytes, now: int) -> bytes | None:
        for at in range(len(self.seen) - 1, -1, -1):
            other, was, since, reply = self.seen[at]
            if other == key:
                if was == authenticator and since + 10 > now:
                    return reply
                break
        self.seen.append((key, authenticator, now, IN_PROGRESS))
        return None

    def finish(self, key: Key, authenticator: bytes, reply: bytes, now: int) -> None:
        for at in range(len(self.seen) - 1, -1, -1):
            if self.seen[at][0] == key:
                if self.seen[at][1] == authenticator and self.seen[at][2] + 10 > now:
                    self.seen[at] = (*self.seen[at][:3], reply)
                break


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 6), st.booleans()), max_size=60))
def test_it_agrees_with_a_plain_list(steps: list[tuple[int, int, int, bool]]) -> None:
    cache, plain, now = ReplyCache(10), Plain(), 0
    for number, (host, authenticator, wait, finish) in enumerate(steps):
        now += wait
        key: Key = (host, 1)
        word = bytes((authenticator,)) * 16
        answer = cache.begin(key, word, now)
        assert answer == plain.begin(key, word, now)
        if finish and answer is None:
            cache.finish(key, word, bytes((number,)))
            plain.finish(key, word, bytes((number,)), now)
