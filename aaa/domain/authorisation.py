"""What a session was authorised with, carried in the Class attribute (RFC 2865 §5.25) and echoed in accounting."""

import struct
from typing import Final, NamedTuple

from aaa.domain.allowance import KINDS, UNLIMITED, Allowance

_LAYOUT: Final = struct.Struct("!2sQIBqI")
_ALLOWED: Final = struct.Struct("!QBI")  # octets, their kind, seconds; only where something was allowed
_MAGIC: Final = b"LG"
_SIZES: Final = (_LAYOUT.size, _LAYOUT.size + _ALLOWED.size)
# What the database can hold: a Class may come from anybody who knows a router's secret.
_MOST: Final = (1 << 63) - 1
_MOST_SECONDS: Final = (1 << 31) - 1


class Authorisation(NamedTuple):
    """`end` is the verdict's end as given to the session, unix seconds; 0 if it was given none. `allowed` is what was
    left of its quotas, as far as it was told."""

    service_id: int
    version: int
    segment: int
    profile: int
    end: int
    allowed: Allowance = UNLIMITED

    def pack(self) -> bytes:
        """The value of a Class attribute, 27 octets; 40 with an allowance."""
        return pack(self.service_id, self.version, self.segment, self.profile, self.end, self.allowed)


def pack(service_id: int, version: int, segment: int, profile: int, end: int, allowed: Allowance = UNLIMITED) -> bytes:
    """The value of a Class attribute without an Authorisation around it: the login path has no time for one."""
    packed = _LAYOUT.pack(_MAGIC, service_id, version, segment, profile, end)
    if allowed.octets or allowed.seconds:
        packed += _ALLOWED.pack(allowed.octets, KINDS.index(allowed.kind), allowed.seconds)
    return packed


def unpack(value: bytes) -> Authorisation | None:
    """The authorisation in a Class value; None if the value is not one of ours."""
    if len(value) not in _SIZES or value[:2] != _MAGIC:
        return None
    _, service_id, version, segment, profile, end = _LAYOUT.unpack_from(value)
    allowed = UNLIMITED
    if len(value) > _LAYOUT.size:
        octets, kind, seconds = _ALLOWED.unpack_from(value, _LAYOUT.size)
        if kind >= len(KINDS):
            return None
        allowed = Allowance(min(octets, _MOST), KINDS[kind], min(seconds, _MOST_SECONDS))
    return Authorisation(service_id, version, segment, profile, end, allowed)
