"""What a session was authorised with, carried in the Class attribute (RFC 2865 §5.25) and echoed in accounting."""

import struct
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct("!2sQIBqI")
_MAGIC: Final = b"LG"


class Authorisation(NamedTuple):
    """`end` is the verdict's end as given to the session, unix seconds; 0 if it was given none."""

    service_id: int
    version: int
    segment: int
    profile: int
    end: int

    def pack(self) -> bytes:
        """The value of a Class attribute, 27 octets."""
        return pack(self.service_id, self.version, self.segment, self.profile, self.end)


def pack(service_id: int, version: int, segment: int, profile: int, end: int) -> bytes:
    """The value of a Class attribute without an Authorisation around it: the login path has no time for one."""
    return _LAYOUT.pack(_MAGIC, service_id, version, segment, profile, end)


def unpack(value: bytes) -> Authorisation | None:
    """The authorisation in a Class value; None if the value is not one of ours."""
    if len(value) != _LAYOUT.size or value[:2] != _MAGIC:
        return None
    _, service_id, version, segment, profile, end = _LAYOUT.unpack(value)
    return Authorisation(service_id, version, segment, profile, end)
