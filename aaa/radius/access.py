"""From a datagram to the reply of an Access-Request or Status-Server (RFC 2865, RFC 5997). Pure; the login path.

`Access.receive` takes the octets, where they came from and the time; it gives the reply and what to tell the operator.
Everything it needs to know it asks of the values it was built with: routers, replica, keys. No SQL and no policy code.
"""

from typing import Final, Protocol, final

from aaa.domain import mac
from aaa.domain.instant import iso
from aaa.domain.method import BITS
from aaa.radius import credentials
from aaa.radius.clients import Clients, Nas, is_address
from aaa.radius.credentials import CredentialResult
from aaa.radius.grant import PPP as PPP_SESSION
from aaa.radius.grant import Wardrobe, accept_attributes, session_kind
from aaa.radius.integrity import OversizePacket, Secret, access_reply
from aaa.radius.login_line import word
from aaa.radius.origin import Gate, Learnt, Origin
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCESS_REJECT,
    ACCESS_REQUEST,
    CALLING_STATION_ID,
    EAP_MESSAGE,
    FRAMED_IP_ADDRESS,
    MAX_VALUE,
    NAS_IDENTIFIER,
    REPLY_MESSAGE,
    SERVICE_TYPE,
    STATUS_SERVER,
    USER_NAME,
    MalformedPacket,
    Packet,
    encode_attribute,
    parse,
)
from aaa.radius.reply_cache import Key, ReplyCache
from aaa.store.record import Entry, Step, entry, reasons, step_at, step_held

DROP: Final = 0
ACCEPT: Final = 1
REJECT: Final = 2
STATUS: Final = 3
DUPLICATE: Final = 4

_DENY: Final = 2
_AUTHORIZE_ONLY: Final = b"\0\0\0\x11"  # RFC 5176 section 3.2
_LOGIN: Final = b"\0\0\0\x01"
_ADMINISTRATION: Final = frozenset((b"\0\0\0\x06", b"\0\0\0\x07"))  # RFC 2865 section 5.6
_STRANGER: Final = b"a password that no service has"

# What the subscriber reads; by cause. It must not tell whether the name or the password was wrong.
_WRONG: Final = b"Wrong user name or password."
_MESSAGES: Final = {
    "unknown-user": _WRONG,
    "wrong-password": _WRONG,
    "no-password": b"No password was given.",
    "lm-only": b"This server needs an NT response: turn LAN Manager authentication off.",
    "no-username": b"No user name was given.",
    "ambiguous-name": b"Several providers have this user name: add yours, as in name@realm.",
    "eap": b"EAP is not supported here: use PAP, CHAP or MS-CHAP.",
    "authorize-only": b"Authorize-Only is not supported here.",
    "administration": b"This login is for the network, not for the router itself.",
    "caller-id": b"This login is bound to another device.",
    "allowed-methods": b"This login needs another authentication method.",
    "allowed-nas": b"This login is not allowed at this place.",
    "simultaneous-use": b"This login is already in use.",
    "suspended": b"Access is blocked: the service is suspended.",
    "debit": b"Access is blocked: the account is in debt. Please pay to go on.",
    "expire": b"Access is blocked: the service has expired.",
    "traffic": b"Access is blocked: the data limit is used up.",
    "time": b"Access is blocked: the time limit is used up.",
    "login-time": b"Access is not allowed at this hour.",
}
_BLOCKED: Final = b"Access is blocked."


class View(Protocol):
    """The replica as logins see it; see aaa.store.replica."""

    def find(self, username: bytes, visp_id: int | None) -> bytes | None:
        """The record of a name in one VISP, or in any; None if there is none, empty if several VISPs have it."""

    def profile(self, profile_id: int) -> bytes | None:
        """Encoded reply attributes."""


class Keys(Protocol):
    """What opens sealed passwords; see aaa.store.seal."""

    def unseal(self, table: str, column: str, row_id: int, sealed: bytes) -> bytes:
        """The plain octets."""


class Seats(Protocol):
    """Who is using a service now, for services with a limit on simultaneous use."""

    def take(self, service_id: int, limit: int, device: bytes, now: int) -> bool:
        """Hold a seat for `device` (Calling-Station-Id; empty: unknown) if one is free, or is its own."""


@final
class Answer:
    """What came of one datagram.

    `kind` is DROP, ACCEPT, REJECT, STATUS or DUPLICATE; `reply` the octets to send, empty for none. `cause` is a word:
    why it was dropped, rejected or restricted, else empty; `detail` the cause's figures and the scope of its rule.
    `nas`, `username`, `calling` and `verdict` (of Verdict; -1: none was reached) are for the log; `past_horizon` says
    that the timeline had run out. `key` and `request` name it for `Access.release`.
    """

    __slots__ = (
        "calling",
        "cause",
        "detail",
        "key",
        "kind",
        "nas",
        "past_horizon",
        "reply",
        "request",
        "service_id",
        "username",
        "verdict",
    )

    def __init__(self, kind: int, cause: str, nas: Nas | None) -> None:
        self.kind: int = kind
        self.cause: str = cause
        self.nas: Nas | None = nas
        self.reply: bytes = b""
        self.detail: str = ""
        self.username: bytes = b""
        self.calling: bytes = b""
        self.service_id: int = 0
        self.verdict: int = -1
        self.past_horizon: bool = False
        self.key: Key = ("", 0)
        self.request: bytes = b""


@final
class Access:
    """One process's logins. `realms` maps realms, in lower case, to VISP ids.

    With `hold_rejects` an Access-Reject is not yet its request's answer when `receive` returns it: retransmissions are
    dropped until `release`. `held_since` is the instant since which cuts are held (R8.4), UTC microseconds, 0 if they
    are not.
    """

    __slots__ = (
        "_cache",
        "_clients",
        "_gate",
        "_hold_rejects",
        "_keys",
        "_realms",
        "_seats",
        "_view",
        "_wardrobe",
        "held_since",
    )

    def __init__(
        self,
        clients: Clients,
        realms: dict[bytes, int],
        view: View,
        keys: Keys,
        seats: Seats,
        learnt: Learnt,
        cache: ReplyCache,
        hold_rejects: bool,
    ) -> None:
        self._clients = clients
        self._realms = realms
        self._view = view
        self._keys = keys
        self._seats = seats
        self._gate = Gate(learnt)
        self._cache = cache
        self._wardrobe = Wardrobe()
        self._hold_rejects = hold_rejects
        self.held_since: int = 0

    def know(self, clients: Clients, realms: dict[bytes, int]) -> None:
        """Go on with other routers and realms."""
        self._clients = clients
        self._realms = realms

    def receive(self, data: bytes, source: tuple[object, ...], now: int, salts: bytes) -> Answer:
        """Answer one datagram from `source`, whose first item is the textual address, at `now` (UTC microseconds).

        `salts` is 4 random octets of its own. Raises what `Keys.unseal` raises, and UnknownFormat.
        """
        try:
            request = parse(data)
        except MalformedPacket as fault:
            return Answer(DROP, "malformed-" + fault.cause, None)
        if request.code != ACCESS_REQUEST and request.code != STATUS_SERVER:
            return Answer(DROP, "unexpected-code", None)
        host = str(source[0])
        nas = self._clients.match(host, request.first.get(NAS_IDENTIFIER))
        if nas is None:
            return Answer(DROP, "unknown-nas", None)
        origin = self._gate.check(request, nas, host)
        if origin.refusal:
            return Answer(DROP, origin.refusal, nas)
        if request.code == STATUS_SERVER:
            answer = Answer(STATUS, "", nas)
            answer.reply = access_reply(ACCESS_ACCEPT, request, origin.secret, b"")
            return answer
        # A duplicate is the same octets: a request altered on its way must not be given the reply of the true one.
        key: Key = (source, request.code << 8 | request.identifier)
        known = self._cache.begin(key, request.data, now)
        if known is not None:
            answer = Answer(DUPLICATE if known else DROP, "" if known else "in-progress", nas)
            answer.reply = known
            return answer
        try:
            answer = self._decide(request, nas, host, origin, now, salts)
        except Exception:
            self._cache.abandon(key, request.data)
            raise
        answer.key = key
        answer.request = request.data
        if answer.kind == DROP:
            self._cache.abandon(key, request.data)
        elif not (self._hold_rejects and answer.kind == REJECT):
            self._cache.finish(key, request.data, answer.reply)
        return answer

    def release(self, answer: Answer) -> None:
        """A held reject is being sent: from now on it is what retransmissions get."""
        self._cache.finish(answer.key, answer.request, answer.reply)

    def _decide(self, request: Packet, nas: Nas, host: str, origin: Origin, now: int, salts: bytes) -> Answer:
        first = request.first
        answer = Answer(ACCEPT, "", nas)
        answer.username = first.get(USER_NAME, b"")
        answer.calling = first.get(CALLING_STATION_ID, b"")
        if EAP_MESSAGE in first:
            return _reject(answer, request, origin.secret, "eap")
        if first.get(SERVICE_TYPE) == _AUTHORIZE_ONLY:
            return _reject(answer, request, origin.secret, "authorize-only")
        if _is_administration(request):
            return _reject(answer, request, origin.secret, "administration")
        if not answer.username:
            return _reject(answer, request, origin.secret, "no-username")
        kind = session_kind(request)
        record = self._find(request, kind)
        if not record:
            # The work of a wrong password, so that time does not tell which names exist.
            credentials.verify(request, origin.secret, _STRANGER)
            cause = "unknown-user" if record is None else "ambiguous-name"
            return _reject(answer, request, origin.secret, cause)
        head = entry(record)
        answer.service_id = head.service_id
        password = self._keys.unseal("service", "password", head.service_id, head.sealed)
        secret = origin.secret
        result = credentials.verify(request, secret, password)
        blank = not result.ok and head.mac_auth and _is_mac_login(request, secret, kind)
        for other in origin.others:
            # During a rotation, a PAP password that fits tells which secret the router has.
            if not result.ok and not blank and result.method == credentials.PAP:
                tried = credentials.verify(request, other, password)
                blank = not tried.ok and head.mac_auth and _is_mac_login(request, other, kind)
                if tried.ok or blank:
                    result, secret = tried, other
        if not result.ok and not blank:
            return _reject(answer, request, secret, _CREDENTIAL_CAUSES.get(result.cause, "wrong-password"), result)
        if result.ok and result.method == credentials.PAP and not origin.proven:
            self._gate.prove(request, nas, host, secret)
        if head.caller_lock and _caller(request) != head.caller_lock:
            answer.detail = f"locked_to={head.caller_lock}"
            return _reject(answer, request, secret, "caller-id", result)
        if head.allowed_nas and nas.name.encode() not in head.allowed_nas.split(b"\0"):
            return _reject(answer, request, secret, "allowed-nas", result)
        # A login by MAC address proves no password; `mac_auth` alone allows it.
        if head.allowed_methods and not blank and not head.allowed_methods & BITS[result.method]:
            answer.detail = f"method={result.method}"
            return _reject(answer, request, secret, "allowed-methods", result)
        return self._verdict(answer, request, record, head, secret, result, kind, now, salts)

    def _verdict(
        self,
        answer: Answer,
        request: Packet,
        record: bytes,
        head: Entry,
        secret: Secret,
        result: CredentialResult,
        kind: int,
        now: int,
        salts: bytes,
    ) -> Answer:
        since = self.held_since
        step = step_held(record, head, now, since) if since else step_at(record, head, now)
        answer.verdict = step.verdict
        answer.past_horizon = now >= head.horizon
        if step.reason >= 0:
            _explain(answer, record, head, step)
        if step.verdict == _DENY:
            return _reject(answer, request, secret, answer.cause or "denied", result)
        if head.simultaneous_use and not self._seats.take(head.service_id, head.simultaneous_use, answer.calling, now):
            answer.detail = f"limit={head.simultaneous_use}"
            return _reject(answer, request, secret, "simultaneous-use", result)
        encoded = self._view.profile(step.profile)
        if encoded is None:
            answer.kind = DROP
            answer.cause = "profile-missing"
            return answer
        nas = answer.nas
        fitted = self._wardrobe.fitted(encoded, kind, nas is not None and nas.lists_by_api)
        attributes = accept_attributes(fitted, kind, head, step, now, nas is not None and nas.total_limit)
        if result.ok and result.method != credentials.PAP:
            attributes += credentials.accept_attributes(request, secret, result, salts)
        try:
            answer.reply = access_reply(ACCESS_ACCEPT, request, secret, attributes)
        except OversizePacket:
            answer.kind = DROP
            answer.cause = "reply-oversize"
        return answer

    def _find(self, request: Packet, kind: int) -> bytes | None:
        r"""The record that User-Name stands for; empty if several VISPs have it, None if none has.

        What follows the last @ chooses the VISP if it is a VISP's realm, else it belongs to the name. MS-CHAP peers may
        put DOMAIN\ before the name. A hotspot may spell a MAC address otherwise than the operator did.
        """
        name = request.first[USER_NAME]
        if b"\\" in name and credentials.method(request) in (credentials.MSCHAP, credentials.MSCHAPV2):
            name = credentials.bare_username(name)
        visp: int | None = None
        at = name.rfind(b"@")
        if at >= 0:
            visp = self._realms.get(name[at + 1 :].lower())
            if visp is not None:
                name = name[:at]
        record = self._view.find(name, visp)
        if record is None and kind != PPP_SESSION:
            for spelling in mac.spellings(name):
                record = self._view.find(spelling, visp)
                if record is not None and (not record or entry(record).mac_auth):
                    return record
            return None
        return record


_CREDENTIAL_CAUSES: Final = {
    "missing": "no-password",
    "several": "no-password",
    "lm-only": "lm-only",
}


def _is_administration(request: Packet) -> bool:
    """Whether somebody logs in to the router itself, which a subscriber's password must not open.

    RouterOS says Login-User then, as it does for a hotspot's clients; but of an administrator it tells the IP address
    that he calls from, of a client the MAC address, and the address he has.
    """
    first = request.first
    kind = first.get(SERVICE_TYPE)
    if kind in _ADMINISTRATION:
        return True
    calling = first.get(CALLING_STATION_ID)
    if kind != _LOGIN or calling is None or FRAMED_IP_ADDRESS in first:
        return False
    return is_address(calling.decode("latin-1"))


def _is_mac_login(request: Packet, secret: Secret, kind: int) -> bool:
    """Hotspot MAC authentication: no PPP, a blank password, and the name is the very address that calls."""
    if kind == PPP_SESSION:
        return False
    name = request.first[USER_NAME]
    at = name.rfind(b"@")
    named = mac.normalise((name if at < 0 else name[:at]).decode("latin-1"))
    return named is not None and named == _caller(request) and credentials.presents_blank(request, secret)


def _caller(request: Packet) -> str | None:
    """Calling-Station-Id as a normalised MAC address; None if it is none."""
    value = request.first.get(CALLING_STATION_ID)
    return None if value is None else mac.normalise(value.decode("latin-1"))


def _explain(answer: Answer, record: bytes, head: Entry, step: Step) -> None:
    reason = reasons(record, head)[step.reason]
    answer.cause = reason.cause.value
    told = []
    for name, figure in reason.figures:
        if isinstance(figure, int):
            told.append(f"{name}={iso(figure) if name.endswith('_at') else figure}")
        elif figure is not None:
            told.append(f"{name}={word(figure)}")
    told.append(f"scope={word(reason.scope)}")
    answer.detail = " ".join(told)


def _reject(
    answer: Answer, request: Packet, secret: Secret, cause: str, result: CredentialResult | None = None
) -> Answer:
    """Turn `answer` into an Access-Reject that names the cause in plain words, with MS-CHAP-Error where it is due."""
    answer.kind = REJECT
    answer.cause = cause
    attributes = encode_attribute(REPLY_MESSAGE, _MESSAGES.get(cause, _BLOCKED)[:MAX_VALUE])
    if result is None:
        result = CredentialResult(credentials.method(request), False, cause)
    error = credentials.AUTHENTICATION_FAILURE
    if result.ok:
        # The password was right: something else is in the way.
        error = credentials.RESTRICTED_LOGON_HOURS if cause == "login-time" else credentials.NO_DIALIN_PERMISSION
    attributes += credentials.reject_attributes(request, result, error)
    try:
        answer.reply = access_reply(ACCESS_REJECT, request, secret, attributes)
    except OversizePacket:
        answer.kind = DROP
        answer.cause = "reply-oversize"
    return answer
