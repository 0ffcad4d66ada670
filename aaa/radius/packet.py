"""RADIUS packets as octets (RFC 2865 section 3): strict parsing in one pass, and encoding of attributes.

Nothing here knows a secret or a dictionary. `parse` proves the layout only; `aaa.radius.integrity` proves the origin.
"""

from typing import Final, final

ACCESS_REQUEST: Final = 1
ACCESS_ACCEPT: Final = 2
ACCESS_REJECT: Final = 3
ACCOUNTING_REQUEST: Final = 4
ACCOUNTING_RESPONSE: Final = 5
ACCESS_CHALLENGE: Final = 11
STATUS_SERVER: Final = 12
STATUS_CLIENT: Final = 13
DISCONNECT_REQUEST: Final = 40
DISCONNECT_ACK: Final = 41
DISCONNECT_NAK: Final = 42
COA_REQUEST: Final = 43
COA_ACK: Final = 44
COA_NAK: Final = 45

CODES: Final = frozenset((1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45))

USER_NAME: Final = 1
USER_PASSWORD: Final = 2
CHAP_PASSWORD: Final = 3
NAS_IP_ADDRESS: Final = 4
NAS_PORT: Final = 5
SERVICE_TYPE: Final = 6
FRAMED_PROTOCOL: Final = 7
FRAMED_IP_ADDRESS: Final = 8
REPLY_MESSAGE: Final = 18
STATE: Final = 24
CLASS: Final = 25
VENDOR_SPECIFIC: Final = 26
SESSION_TIMEOUT: Final = 27
CALLED_STATION_ID: Final = 30
CALLING_STATION_ID: Final = 31
NAS_IDENTIFIER: Final = 32
PROXY_STATE: Final = 33
ACCT_STATUS_TYPE: Final = 40
ACCT_DELAY_TIME: Final = 41
ACCT_INPUT_OCTETS: Final = 42
ACCT_OUTPUT_OCTETS: Final = 43
ACCT_SESSION_ID: Final = 44
ACCT_SESSION_TIME: Final = 46
ACCT_TERMINATE_CAUSE: Final = 49
ACCT_INPUT_GIGAWORDS: Final = 52
ACCT_OUTPUT_GIGAWORDS: Final = 53
EVENT_TIMESTAMP: Final = 55
CHAP_CHALLENGE: Final = 60
EAP_MESSAGE: Final = 79
MESSAGE_AUTHENTICATOR: Final = 80
ERROR_CAUSE: Final = 101

HEADER_LENGTH: Final = 20
MAX_LENGTH: Final = 4096
MAX_VALUE: Final = 253


class MalformedPacket(Exception):
    """A datagram that is not a RADIUS packet; it must be dropped without an answer.

    `cause` is fit for a counter: truncated, length, code, attribute-length, attribute-overrun, message-authenticator.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@final
class Packet:
    """One parsed packet. `data` holds exactly the octets that Length covers, `authenticator` 16 of them.

    `first` maps each attribute type to the value that came first, `repeated` holds the later ones as (type, value) in
    order; together they are every attribute. `ma_offset` is where the 16 octets of Message-Authenticator start in
    `data`, 0 if absent.
    """

    __slots__ = ("_vendors", "authenticator", "code", "data", "first", "identifier", "ma_offset", "repeated")

    def __init__(
        self,
        data: bytes,
        code: int,
        identifier: int,
        authenticator: bytes,
        first: dict[int, bytes],
        repeated: list[tuple[int, bytes]],
        ma_offset: int,
    ) -> None:
        self.data: bytes = data
        self.code: int = code
        self.identifier: int = identifier
        self.authenticator: bytes = authenticator
        self.first: dict[int, bytes] = first
        self.repeated: list[tuple[int, bytes]] = repeated
        self.ma_offset: int = ma_offset
        self._vendors: dict[tuple[int, int], list[bytes]] | None = None

    def __repr__(self) -> str:
        return f"Packet(code={self.code}, identifier={self.identifier}, length={len(self.data)})"

    def get(self, kind: int) -> bytes | None:
        """The first value of attribute type `kind`, or None."""
        return self.first.get(kind)

    def has(self, kind: int) -> bool:
        """Whether attribute type `kind` is present."""
        return kind in self.first

    def all(self, kind: int) -> list[bytes]:
        """Every value of attribute type `kind`, in packet order."""
        value = self.first.get(kind)
        if value is None:
            return []
        values = [value]
        for other, value in self.repeated:
            if other == kind:
                values.append(value)
        return values

    def attributes(self) -> list[tuple[int, bytes]]:
        """Every attribute as (type, value), in packet order."""
        data = self.data
        pairs: list[tuple[int, bytes]] = []
        at = HEADER_LENGTH
        end = len(data)
        while at < end:
            size = data[at + 1]
            pairs.append((data[at], data[at + 2 : at + size]))
            at += size
        return pairs

    def vendor(self, vendor: int, kind: int) -> bytes | None:
        """The first value of sub-attribute `kind` of `vendor` (RFC 2865 section 5.26 layout), or None."""
        values = self._vendor_values().get((vendor, kind))
        return values[0] if values is not None else None

    def vendor_all(self, vendor: int, kind: int) -> list[bytes]:
        """Every value of sub-attribute `kind` of `vendor`, in packet order."""
        values = self._vendor_values().get((vendor, kind))
        return list(values) if values is not None else []

    def _vendor_values(self) -> dict[tuple[int, int], list[bytes]]:
        found = self._vendors
        if found is None:
            found = {}
            if VENDOR_SPECIFIC in self.first:
                for value in self.all(VENDOR_SPECIFIC):
                    for vendor, kind, inner in split_vendor(value):
                        found.setdefault((vendor, kind), []).append(inner)
            self._vendors = found
        return found


def parse(data: bytes) -> Packet:
    """Parse one datagram, or raise MalformedPacket (RFC 2865 section 3).

    Octets beyond Length are padding and are ignored. Fewer octets than Length, an unknown Code, an attribute whose
    length is below 2 or runs over the end, and a Message-Authenticator that is repeated or not 18 octets long (RFC 2869
    section 5.14) are refused.
    """
    received = len(data)
    if received < HEADER_LENGTH:
        raise MalformedPacket("truncated")
    length = (data[2] << 8) | data[3]
    if length < HEADER_LENGTH or length > MAX_LENGTH:
        raise MalformedPacket("length")
    if received != length:
        if received < length:
            raise MalformedPacket("truncated")
        data = data[:length]
    code = data[0]
    if code not in CODES:
        raise MalformedPacket("code")
    first: dict[int, bytes] = {}
    repeated: list[tuple[int, bytes]] = []
    ma_offset = 0
    at = HEADER_LENGTH
    # The last octet at which an attribute can start and still have its length octet.
    last = length - 2
    while at <= last:
        kind = data[at]
        size = data[at + 1]
        if size < 2:
            raise MalformedPacket("attribute-length")
        end = at + size
        if end > length:
            raise MalformedPacket("attribute-overrun")
        if kind not in first:
            first[kind] = data[at + 2 : end]
            if kind == MESSAGE_AUTHENTICATOR:
                if size != 18:
                    raise MalformedPacket("message-authenticator")
                ma_offset = at + 2
        else:
            if kind == MESSAGE_AUTHENTICATOR:
                raise MalformedPacket("message-authenticator")
            repeated.append((kind, data[at + 2 : end]))
        at = end
    if at != length:
        raise MalformedPacket("attribute-overrun")
    return Packet(data, code, data[1], data[4:20], first, repeated, ma_offset)


def split_vendor(value: bytes) -> list[tuple[int, int, bytes]]:
    """Split a Vendor-Specific value into (vendor, type, value) sub-attributes (RFC 2865 section 5.26).

    A vendor may use another layout, so octets that do not fit this one exactly give no sub-attributes at all.
    """
    end = len(value)
    if end < 4:
        return []
    vendor = int.from_bytes(value[:4], "big")
    found: list[tuple[int, int, bytes]] = []
    at = 4
    while at < end:
        if end - at < 2:
            return []
        size = value[at + 1]
        if size < 2 or at + size > end:
            return []
        found.append((vendor, value[at], value[at + 2 : at + size]))
        at += size
    return found


def encode_attribute(kind: int, value: bytes) -> bytes:
    """One attribute as octets. Raises ValueError above 253 octets of value, or for a type outside 1..255."""
    if len(value) > MAX_VALUE:
        raise ValueError(f"attribute {kind}: {len(value)} octets do not fit, the most is {MAX_VALUE}")
    if kind < 1 or kind > 255:
        raise ValueError(f"attribute type {kind} is not in 1..255")
    return bytes((kind, len(value) + 2)) + value


def encode_vendor(vendor: int, kind: int, value: bytes) -> bytes:
    """One sub-attribute inside a Vendor-Specific of its own. Raises ValueError above 247 octets of value."""
    if len(value) > MAX_VALUE - 6:
        raise ValueError(f"attribute {kind} of vendor {vendor}: {len(value)} octets do not fit, the most is 247")
    if kind < 0 or kind > 255:
        raise ValueError(f"attribute type {kind} of vendor {vendor} is not in 0..255")
    return bytes((VENDOR_SPECIFIC, len(value) + 8)) + vendor.to_bytes(4, "big") + bytes((kind, len(value) + 2)) + value
