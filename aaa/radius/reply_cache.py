"""Duplicate detection (RFC 5080 section 2.2.2): a retransmitted request gets the reply it already had, or none yet.

A request is the same when source address and port, Identifier, code and Request Authenticator are all equal. The same
key with another authenticator is a new request. Time is an argument: UTC microseconds, or any clock that only grows.
"""

from collections import OrderedDict
from typing import Final, final

# What `begin` returns for a duplicate whose first copy is still being worked on: drop it.
IN_PROGRESS: Final = b""

# New entries drop old ones: more than one each, so that the cache shrinks.
_EXPIRED_AT_ONCE: Final = 4

# The source address as the socket gives it, and (code << 8 | Identifier).
Key = tuple[object, int]


@final
class _Entry:
    __slots__ = ("authenticator", "expires", "reply")

    def __init__(self, authenticator: bytes, expires: int) -> None:
        self.authenticator: bytes = authenticator
        self.reply: bytes = IN_PROGRESS
        self.expires: int = expires


@final
class ReplyCache:
    """Replies of the last `lifetime_us` microseconds, at most `max_entries` of them, the oldest dropped first.

    A router's socket has 256 Identifiers, so a busy one uses the same few entries again and again.
    """

    __slots__ = ("_entries", "_lifetime", "_max", "dropped")

    def __init__(self, lifetime_us: int = 10_000_000, max_entries: int = 65_536) -> None:
        if lifetime_us <= 0 or max_entries <= 0:
            raise ValueError("a reply cache needs a lifetime and a size above zero")
        self._lifetime: int = lifetime_us
        self._max: int = max_entries
        # Oldest first.
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self.dropped: int = 0
        """How many entries were dropped before their time because the cache was full."""

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, key: Key, authenticator: bytes, now: int) -> bytes | None:
        """None for a new request, now noted as in progress; IN_PROGRESS or the cached reply for a duplicate."""
        entries = self._entries
        entry = entries.get(key)
        if entry is None:
            self._make_room(now)
            entries[key] = _Entry(authenticator, now + self._lifetime)
            return None
        if entry.authenticator == authenticator and entry.expires > now:
            return entry.reply
        entry.authenticator = authenticator
        entry.reply = IN_PROGRESS
        entry.expires = now + self._lifetime
        entries.move_to_end(key)
        return None

    def finish(self, key: Key, authenticator: bytes, reply: bytes) -> None:
        """Keep `reply` for retransmissions, unless a newer request has taken the key or the entry is gone."""
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator:
            entry.reply = reply

    def abandon(self, key: Key, authenticator: bytes) -> None:
        """Forget a request that gets no reply, so that its retransmission is tried afresh."""
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator:
            del self._entries[key]

    def _make_room(self, now: int) -> None:
        """Drop what has expired, a few at a time, and the oldest if there is no room for one more."""
        entries = self._entries
        for _ in range(_EXPIRED_AT_ONCE):
            if not entries:
                return
            oldest = next(iter(entries))
            if entries[oldest].expires > now:
                break
            del entries[oldest]
        if len(entries) >= self._max:
            entries.popitem(last=False)
            self.dropped += 1
