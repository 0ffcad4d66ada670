"""From a datagram on the accounting port to a record, or to the reason why there is none (RFC 2866, RFC 5997). Pure.

A record is answered only after it was stored, by `Intake.settle`; until then its retransmissions are dropped.
"""

from typing import Final, NamedTuple, final

from aaa.domain.session import Record
from aaa.radius.accounting import Malformed, read_record
from aaa.radius.clients import Clients, Nas
from aaa.radius.integrity import (
    MA_INVALID,
    MA_VALID,
    OversizePacket,
    Secret,
    access_reply,
    accounting_reply,
    verify_access_request,
    verify_signed_request,
)
from aaa.radius.packet import (
    ACCOUNTING_REQUEST,
    ACCOUNTING_RESPONSE,
    NAS_IDENTIFIER,
    STATUS_SERVER,
    MalformedPacket,
    Packet,
    parse,
)
from aaa.radius.reply_cache import Key, ReplyCache

_CODES: Final = frozenset((ACCOUNTING_REQUEST, STATUS_SERVER))


class Drop(NamedTuple):
    """No answer, and why; `nas` as far as it is known."""

    cause: str
    nas: Nas | None


class Duplicate(NamedTuple):
    """A retransmission of what was answered before."""

    reply: bytes


class Status(NamedTuple):
    """A Status-Server request; `reply` is true only while records can be stored."""

    reply: bytes


class Pending(NamedTuple):
    """A record to be stored; settle or abandon it afterwards."""

    record: Record
    request: Packet
    secret: Secret
    key: Key


@final
class Intake:
    """The accounting of one process. `cache` holds the replies of late, for retransmissions."""

    def __init__(self, clients: Clients, cache: ReplyCache) -> None:
        self._clients = clients
        self._cache = cache

    def know(self, clients: Clients) -> None:
        """Go on with other routers."""
        self._clients = clients

    def receive(self, data: bytes, source: tuple[object, ...], now: int) -> Pending | Duplicate | Status | Drop:
        """Read one datagram from `source`, whose first item is the textual address, at `now` (UTC microseconds)."""
        try:
            request = parse(data)
        except MalformedPacket as fault:
            return Drop("malformed-" + fault.cause, None)
        if request.code not in _CODES:
            return Drop("unexpected-code", None)
        host = str(source[0]).partition("%")[0]
        nas = self._clients.match(host, request.first.get(NAS_IDENTIFIER))
        if nas is None:
            return Drop("unknown-nas", None)
        if request.code == STATUS_SERVER:
            return _status(request, nas)
        secret = _signed_with(request, nas)
        if secret is None:
            return Drop("authenticator-wrong", nas)
        key: Key = (source, request.code << 8 | request.identifier)
        known = self._cache.begin(key, request.authenticator, now)
        if known is not None:
            return Duplicate(known) if known else Drop("in-progress", nas)
        record = read_record(request, nas.id, host, now, nas.octets == "client", nas.lists_by_api)
        if isinstance(record, Malformed):
            self._cache.abandon(key, request.authenticator)
            return Drop("record-" + record.cause, nas)
        return Pending(record, request, secret, key)

    def settle(self, pending: Pending) -> bytes | None:
        """The reply to a record that is stored; None if it cannot be sent, its Proxy-States being too long."""
        try:
            reply = accounting_reply(pending.request, pending.secret)
        except OversizePacket:
            self.abandon(pending)
            return None
        self._cache.finish(pending.key, pending.request.authenticator, reply)
        return reply

    def abandon(self, pending: Pending) -> None:
        """A record could not be stored: its retransmission is tried afresh."""
        self._cache.abandon(pending.key, pending.request.authenticator)


def _signed_with(request: Packet, nas: Nas) -> Secret | None:
    """The secret of the router's that signed an Accounting-Request; two are good during a rotation."""
    for secret in nas.secrets:
        if verify_signed_request(request, secret) != MA_INVALID:
            return secret
    return None


def _status(request: Packet, nas: Nas) -> Status | Drop:
    """RFC 5997: only Message-Authenticator tells that it is no forgery."""
    if not request.ma_offset:
        return Drop("message-authenticator-missing", nas)
    for secret in nas.secrets:
        if verify_access_request(request, secret) == MA_VALID:
            try:
                return Status(access_reply(ACCOUNTING_RESPONSE, request, secret, b""))
            except OversizePacket:
                return Drop("reply-oversize", nas)
    return Drop("message-authenticator-wrong", nas)
