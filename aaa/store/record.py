"""The access record: one service's credentials and timeline in the very bytes that the replica holds and auth reads.
Pure.

Layout, big-endian: header, sealed password, caller-id lock, the routers allowed (only where such a list is set: its
size, then names with NULs between), quotas (likewise only where there are any: how many, then each in a fixed size),
segments of a fixed size, reasons as JSON, deflated. Profiles are named by id; a
service's own Framed-IP-Address rides in the segment instead, so that services with static addresses share profiles.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, final

from aaa.domain.allowance import KINDS
from aaa.domain.timeline import Cause, Profile, Reason, Segment, Timeline, Verdict
from aaa.domain.usage import Quota

FORMAT: Final = 3
_OLDEST: Final = 1
"""Format 1 says nothing of methods and routers: all are allowed. Its reasons are not deflated. Neither 1 nor 2 has
quotas."""
# format, flags, service, version, simultaneous use, size of sealed, size of caller lock, segments, horizon
_HEADER: Final = struct.Struct("!BBQIHHBBq")
_SEGMENT: Final = struct.Struct("!qqBqIH")  # start, verdict end, verdict, profile, framed ip, reason + 1
_INSTANT: Final = struct.Struct("!q")
_SIZE: Final = struct.Struct("!H")
_QUOTA: Final = struct.Struct("!BqqIIqq")  # kind, start, end, since day, until day, limit, used
# Flags: a bit, four bits of aaa.domain.method, three bits.
_MAC_AUTH: Final = 1
_METHODS_SHIFT: Final = 1
_METHODS: Final = 15
_HAS_NAS: Final = 32
_LEARNS_CALLER: Final = 64
_HAS_QUOTAS: Final = 128
_FRAMED_IP: Final = "Framed-IP-Address"
HOLD_LEASE: Final = 3 * 3_600_000_000
"""While cuts are held, no session is given an end sooner than this for a step that is held, microseconds."""
# What reasons are mostly made of, the commonest last: a machine holds a million of them in memory, and with this each
# takes a third. Part of the format: it is never changed. The small window keeps the compressor's own memory small.
_COMMON: Final = (
    b'unregisteredmonthlyweeklyyearlyprofile1uploaddownload["login_time","daily 00:00-24:00mon-fri"]["limit_seconds",'
    b'["match","any"]["exempt_until_at",["promise_until_at",["every_days",1],["after_days",0],["least",null],["days",14]'
    b'["oldest_due_at",["overdue",["policy","["suspended","visp:plan:class:center:reseller:login-time["time",["traffic",'
    b'[["policy","fup"],["level",1],["direction","total"],["limit_octets",100000000000],["reduce",null],["period_end_at",'
    b'["reason","non_payer"],["from_at",null],["to_at",null],["repeat","none"]]["expire","user:",[["active_to_at",'
    b'[["debit","server",[["control","],["currency",""],["debt",],["limit","max_debt"],["max_debt",'
    b'["limit","max_delay"],["max_delay",2592000],["clock_start_at",1800000],["deadline_at",180000000000]]]]'
)
_RAW_DEFLATE: Final = -10


class UnknownFormat(ValueError):
    """A record was written by another version of the product."""


@final
class Step:
    """The segment in force as a login needs it. `verdict_end` is in UTC microseconds, 0 if the verdict holds to the
    horizon; `framed_ip` is an IPv4 address as an integer, 0 for none; `reason` an index for `reasons`, -1 for none.
    """

    __slots__ = ("framed_ip", "position", "profile", "reason", "start", "verdict", "verdict_end")

    def __init__(
        self, position: int, start: int, verdict_end: int, verdict: int, profile: int, framed_ip: int, reason: int
    ) -> None:
        self.position = position
        self.start = start
        self.verdict_end = verdict_end
        self.verdict = verdict
        self.profile = profile
        self.framed_ip = framed_ip
        self.reason = reason


@final
class Entry:
    """The head of a record. `caller_lock` is a normalised MAC or empty; `simultaneous_use` 0 means no limit.
    `allowed_methods` are bits of aaa.domain.method, 0 for any; `allowed_nas` names of routers with NULs between, empty
    for any. With `learns_caller` the first device that logs in is to become the caller lock. `quotas` are for `quotas`,
    empty for none.

    It and Step are plain classes, not tuples: one of each is made for every login, and compiled they cost next to none.
    """

    __slots__ = (
        "allowed_methods",
        "allowed_nas",
        "caller_lock",
        "horizon",
        "learns_caller",
        "mac_auth",
        "quotas",
        "sealed",
        "segments",
        "segments_at",
        "service_id",
        "simultaneous_use",
        "version",
    )

    def __init__(
        self,
        service_id: int,
        version: int,
        simultaneous_use: int,
        mac_auth: bool,
        sealed: bytes,
        caller_lock: str,
        segments: int,
        horizon: int,
        segments_at: int,
        allowed_methods: int,
        allowed_nas: bytes,
        learns_caller: bool,
        quotas: bytes,
    ) -> None:
        self.service_id = service_id
        self.version = version
        self.simultaneous_use = simultaneous_use
        self.mac_auth = mac_auth
        self.sealed = sealed
        self.caller_lock = caller_lock
        self.segments = segments
        self.horizon = horizon
        self.segments_at = segments_at
        self.allowed_methods = allowed_methods
        self.allowed_nas = allowed_nas
        self.learns_caller = learns_caller
        self.quotas = quotas


_spell: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@lru_cache(maxsize=4096)
def profile_id(profile: Profile) -> int:
    """A profile's name: the first eight octets of the SHA-256 of its canonical JSON, as a signed integer."""
    return int.from_bytes(sha256(profile_json(profile).encode()).digest()[:8], "big", signed=True)


def profile_json(profile: Profile) -> str:
    """A profile as canonical JSON: `[[name, value], …]`."""
    return _spell(profile)


def profile_from_json(text: str) -> Profile:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in json.loads(text))


def split_address(profile: Profile) -> tuple[Profile, int]:
    """The profile without its Framed-IP-Address, and that address as an integer. 0: there was none to take out (0.0.0.0
    stays in the profile).
    """
    for name, value in profile:
        if name == _FRAMED_IP and isinstance(value, str):
            first, second, third, fourth = value.split(".")
            address = int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)
            if address:
                return tuple([pair for pair in profile if pair[0] != _FRAMED_IP]), address
    return profile, 0


def join_address(profile: Profile, address: int) -> Profile:
    """The inverse of `split_address`."""
    if not address:
        return profile
    dotted = ".".join(str(octet) for octet in address.to_bytes(4, "big"))
    return tuple(sorted((*profile, (_FRAMED_IP, dotted))))


def pack(
    service_id: int,
    version: int,
    timeline: Timeline,
    *,
    sealed: bytes,
    simultaneous_use: int = 0,
    caller_lock: str = "",
    mac_auth: bool = False,
    allowed_methods: int = 0,
    allowed_nas: tuple[str, ...] = (),
    learns_caller: bool = False,
    quotas: tuple[Quota, ...] = (),
) -> tuple[bytes, dict[int, Profile]]:
    """The record, and the profiles that its segments name."""
    profiles: dict[int, Profile] = {}
    reasons: list[Any] = []
    packed: list[bytes] = []
    for index, segment in enumerate(timeline.segments):
        shared, address = split_address(segment.profile)
        name = profile_id(shared)
        profiles[name] = shared
        reason = 0
        if segment.reason is not None:
            spelled = [segment.reason.cause.value, segment.reason.scope, segment.reason.figures]
            if spelled not in reasons:
                reasons.append(spelled)
            reason = reasons.index(spelled) + 1
        end = timeline.verdict_end(index) or 0
        packed.append(_SEGMENT.pack(segment.start, end, segment.verdict, name, address, reason))
    lock = caller_lock.encode()
    flags = (_MAC_AUTH if mac_auth else 0) | allowed_methods << _METHODS_SHIFT
    if learns_caller:
        flags |= _LEARNS_CALLER
    routers = b""
    if allowed_nas:
        flags |= _HAS_NAS
        listed = "\0".join(allowed_nas).encode()
        routers = _SIZE.pack(len(listed)) + listed
    limits = b""
    if quotas:
        flags |= _HAS_QUOTAS
        limits = bytes((len(quotas),)) + _packed_quotas(quotas)
    header = _HEADER.pack(
        FORMAT,
        flags,
        service_id,
        version,
        simultaneous_use,
        len(sealed),
        len(lock),
        len(packed),
        timeline.horizon,
    )
    tail = _deflated(_spell(reasons).encode()) if reasons else b""
    return b"".join((header, sealed, lock, routers, limits, *packed, tail)), profiles


def entry(record: bytes) -> Entry:
    """Decode the head of a record; raises UnknownFormat."""
    written, flags, service_id, version, limit, sealed_size, lock_size, count, horizon = _HEADER.unpack_from(record)
    if written > FORMAT or written < _OLDEST:
        raise UnknownFormat(f"access record of format {written}, this version reads {_OLDEST} to {FORMAT}")
    lock_at = _HEADER.size + sealed_size
    lock_end = segments_at = lock_at + lock_size
    allowed_nas = b""
    if flags & _HAS_NAS:
        listed_at = lock_end + _SIZE.size
        segments_at = listed_at + int(_SIZE.unpack_from(record, lock_end)[0])
        allowed_nas = record[listed_at:segments_at]
    limits = b""
    if flags & _HAS_QUOTAS:
        limits_at = segments_at + 1
        segments_at = limits_at + record[segments_at] * _QUOTA.size
        limits = record[limits_at:segments_at]
    return Entry(
        service_id,
        version,
        limit,
        bool(flags & _MAC_AUTH),
        record[_HEADER.size : lock_at],
        record[lock_at:lock_end].decode() if lock_size else "",
        count,
        horizon,
        segments_at,
        flags >> _METHODS_SHIFT & _METHODS,
        allowed_nas,
        bool(flags & _LEARNS_CALLER),
        limits,
    )


def quotas(head: Entry) -> list[Quota]:
    """Every quota of a record, in order."""
    found: list[Quota] = []
    for at in range(0, len(head.quotas), _QUOTA.size):
        kind, start, end, since_day, until_day, limit, used = _QUOTA.unpack_from(head.quotas, at)
        found.append(Quota(KINDS[kind], start, end, since_day, until_day, limit, used))
    return found


def refreshed(stored: bytes, fresh: bytes) -> bytes | None:
    """`stored` with what `fresh`, which it agrees with, says of the use of its quotas; None: it says so already."""
    head = entry(stored)
    if not head.quotas:
        return None
    known = {(one.kind, one.start): one.used for one in quotas(entry(fresh))}
    now = _packed_quotas(one._replace(used=known.get((one.kind, one.start), one.used)) for one in quotas(head))
    if now == head.quotas:
        return None
    begin = head.segments_at - len(now)
    return stored[:begin] + now + stored[head.segments_at :]


def _packed_quotas(those: Iterable[Quota]) -> bytes:
    return b"".join([_QUOTA.pack(KINDS.index(one.kind), *one[1:]) for one in those])


def _deflated(octets: bytes) -> bytes:
    made = zlib.compressobj(6, zlib.DEFLATED, _RAW_DEFLATE, 1, zlib.Z_DEFAULT_STRATEGY, _COMMON)
    return made.compress(octets) + made.flush()


def step_at(record: bytes, head: Entry, now: int) -> Step:
    """The segment that holds `now`; before the first segment the first, past the horizon the last."""
    low, high, size = 0, head.segments, _SEGMENT.size
    while high - low > 1:
        middle = (low + high) >> 1
        if _INSTANT.unpack_from(record, head.segments_at + middle * size)[0] <= now:
            low = middle
        else:
            high = middle
    return step(record, head, low)


def step_held(record: bytes, head: Entry, now: int, since: int) -> Step:
    """The segment that counts at `now` while cuts are held since `since` (R8.4): the one that held then, if that of
    `now` is worse. Its end, if it is soon and only for the worse, is put off to HOLD_LEASE from `now`.

    Whichever way the clock went, what lifts acts as it comes.
    """
    here, there = step_at(record, head, now), step_at(record, head, since)
    if there.verdict < here.verdict:
        here = there
    end = here.verdict_end
    if end > since and end < now + HOLD_LEASE and step_at(record, head, end).verdict > here.verdict:
        here.verdict_end = now + HOLD_LEASE
    return here


def step(record: bytes, head: Entry, index: int) -> Step:
    """Segment `index` of a record."""
    start, end, verdict, profile, address, reason = _SEGMENT.unpack_from(
        record, head.segments_at + index * _SEGMENT.size
    )
    return Step(index, start, end, verdict, profile, address, reason - 1)


def reasons(record: bytes, head: Entry) -> list[Reason]:
    """Every reason that the record's segments refer to."""
    tail = _tail(record, head)
    if not tail:
        return []
    if record[0] >= 2:
        tail = zlib.decompressobj(_RAW_DEFLATE, _COMMON).decompress(tail)
    return [
        Reason(Cause(cause), tuple((name, figure) for name, figure in figures), scope)
        for cause, scope, figures in json.loads(tail)
    ]


def timeline(record: bytes, profiles: dict[int, Profile]) -> Timeline:
    """The whole timeline of a record; `profiles` maps the ids it names to what they mean."""
    head = entry(record)
    known = reasons(record, head)
    steps = [step(record, head, index) for index in range(head.segments)]
    ends = [following.start for following in steps[1:]] + [head.horizon]
    return Timeline(
        tuple(
            Segment(
                here.start,
                end,
                Verdict(here.verdict),
                join_address(profiles[here.profile], here.framed_ip),
                known[here.reason] if here.reason >= 0 else None,
            )
            for here, end in zip(steps, ends, strict=True)
        )
    )


def agrees(stored: bytes, fresh: bytes, now: int) -> bool:
    """Whether `stored` already says from `now` to its own horizon what `fresh` says, whatever their versions, and
    whatever was used of a quota.
    """
    old, new = entry(stored), entry(fresh)
    if _limits(old) != _limits(new):
        return False
    horizon = min(old.horizon, new.horizon)
    if old.quotas != new.quotas and _quotas_from(old, now, horizon) != _quotas_from(new, now, horizon):
        return False
    before, after = _from(stored, old, now, horizon), _from(fresh, new, now, horizon)
    if len(before) != len(after):
        return False
    same_reasons = _tail(stored, old) == _tail(fresh, new)
    for index, here in enumerate(before):
        there = after[index]
        if here[:4] != there[:4] or (same_reasons and here[4] != there[4]):
            return False
    if same_reasons:
        return True  # no reason needs to be decoded, which costs more than all the rest
    known, wanted = reasons(stored, old), reasons(fresh, new)
    for index, here in enumerate(before):
        if _reason(known, here[4]) != _reason(wanted, after[index][4]):
            return False
    return True


def _reason(known: list[Reason], index: int) -> Reason | None:
    return known[index] if index >= 0 else None


def _tail(record: bytes, head: Entry) -> bytes:
    """The reasons as they are stored."""
    return record[head.segments_at + head.segments * _SEGMENT.size :]


def _limits(head: Entry) -> tuple[int, int, bool, bytes, str, int, bytes, bool]:
    return (
        head.service_id,
        head.simultaneous_use,
        head.mac_auth,
        head.sealed,
        head.caller_lock,
        head.allowed_methods,
        head.allowed_nas,
        head.learns_caller,
    )


def _quotas_from(head: Entry, now: int, horizon: int) -> list[tuple[str, int, int, int]]:
    """(kind, beginning, end, limit) of each quota in [now, horizon)."""
    return [(one.kind, one.start, one.end, one.limit) for one in quotas(head) if one.end > now and one.start < horizon]


def _from(record: bytes, head: Entry, now: int, horizon: int) -> list[tuple[int, int, int, int, int]]:
    """(beginning, verdict, profile, address, index of the reason or -1) of each segment in [now, horizon)."""
    steps = []
    for index in range(step_at(record, head, now).position, head.segments):
        here = step(record, head, index)
        if here.start < horizon:
            steps.append((max(here.start, now), here.verdict, here.profile, here.framed_ip, here.reason))
    return steps
