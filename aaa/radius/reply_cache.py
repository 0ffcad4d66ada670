"""Duplicate detection (RFC 5080 section 2.2.2): a retransmitted request gets the reply it already had, or none yet.

A request is the same when source address and port, Identifier, code and Request Authenticator are all equal. The same
key with another authenticator is a new request. Time is an argument: UTC microseconds, or any clock that only grows.
"""

from collections import deque
from typing import Final, final

# What `begin` returns for a duplicate whose first copy is still being worked on: drop it.
IN_PROGRESS: Final = b""

# The source address as the socket gives it, and (code << 8 | Identifier).
Key = tuple[object, int]


@final
class _Entry:
    __slots__ = ("authenticator", "expires", "key", "reply")

    def __init__(self, key: Key, authenticator: bytes, expires: int) -> None:
        self.key: Key = key
        self.authenticator: bytes = authenticator
        self.reply: bytes = IN_PROGRESS
        self.expires: int = expires


@final
class ReplyCache:
    """Replies of the last `lifetime_us` microseconds, at most `max_entries` of them, the oldest dropped first.

    `dropped` counts the entries that went before their time because the cache was full.
    """

    __slots__ = ("_entries", "_lifetime", "_max", "_order", "dropped")

    def __init__(self, lifetime_us: int = 10_000_000, max_entries: int = 65_536) -> None:
        if lifetime_us <= 0 or max_entries <= 0:
            raise ValueError("a reply cache needs a lifetime and a size above zero")
        self._lifetime: int = lifetime_us
        self._max: int = max_entries
        self._entries: dict[Key, _Entry] = {}
        self._order: deque[_Entry] = deque()
        self.dropped: int = 0

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, key: Key, authenticator: bytes, now: int) -> bytes | None:
        """None for a new request, now noted as in progress; IN_PROGRESS or the cached reply for a duplicate."""
        order = self._order
        while order and order[0].expires <= now:
            self._forget(order.popleft())
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator:
            return entry.reply
        if len(order) >= self._max:
            self._forget(order.popleft())
            self.dropped += 1
        entry = _Entry(key, authenticator, now + self._lifetime)
        self._entries[key] = entry
        order.append(entry)
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

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
