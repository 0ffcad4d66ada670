"""Which secret an Access-Request was made with, and whether it may pass without proof of it (CVE-2024-3596). Pure.

A router's first signed request can make Message-Authenticator required from it (`auto`), and its first without
Proxy-State can make Proxy-State suspicious: what was learnt is kept by router and NAS-Identifier.
"""

from typing import Final, Protocol, final

from aaa.radius.clients import Nas
from aaa.radius.integrity import (
    MA_VALID,
    Secret,
    needs_message_authenticator,
    verify_access_request,
)
from aaa.radius.packet import NAS_IDENTIFIER, PROXY_STATE, Packet

SEEN_MESSAGE_AUTHENTICATOR: Final = 1
SEEN_NO_PROXY_STATE: Final = 2

_REMEMBERED: Final = 65_536


class Learnt(Protocol):
    """What routers were seen to do, kept across restarts and shared by the machine's processes."""

    def flags(self, nas_id: int, identifier: bytes) -> int:
        """The SEEN flags of a router's identifier, 0 if nothing is known."""

    def learn(self, nas_id: int, identifier: bytes, flags: int) -> None:
        """Add flags."""


@final
class Origin:
    """Who sent a request, as far as is known. `refusal` is why it must be dropped, or empty.

    `proven`: Message-Authenticator is right. Without it `secret` is the likeliest of the router's, and `others` the
    rest, for a password to be tried with.
    """

    __slots__ = ("others", "proven", "refusal", "secret")

    def __init__(self, secret: Secret, proven: bool, refusal: str, others: tuple[Secret, ...]) -> None:
        self.secret: Secret = secret
        self.proven: bool = proven
        self.refusal: str = refusal
        self.others: tuple[Secret, ...] = others


@final
class Gate:
    """Checks origins, and remembers which secret each router used last while it has two."""

    __slots__ = ("_last", "_learnt")

    def __init__(self, learnt: Learnt) -> None:
        self._learnt = learnt
        self._last: dict[tuple[str, bytes], bytes] = {}

    def check(self, request: Packet, nas: Nas, host: str) -> Origin:
        """The origin of an Access-Request or Status-Server from `nas` at address `host`."""
        secrets = nas.secrets
        if request.ma_offset:
            for secret in secrets:
                if verify_access_request(request, secret) == MA_VALID:
                    self.prove(request, nas, host, secret)
                    return Origin(secret, True, "", ())
            return Origin(secrets[0], False, "message-authenticator-wrong", ())
        refusal = self._refusal(request, nas)
        if len(secrets) == 1:
            return Origin(secrets[0], False, refusal, ())
        last = self._last.get((host, _identifier(request)))
        secret = secrets[0]
        for one in secrets:
            if one.value == last:
                secret = one
        return Origin(secret, False, refusal, tuple([one for one in secrets if one is not secret]))

    def prove(self, request: Packet, nas: Nas, host: str, secret: Secret) -> None:
        """Learn from a request that was certainly made with `secret`."""
        identifier = _identifier(request)
        if len(nas.secrets) > 1:
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
            self._last[host, identifier] = secret.value
        seen = 0
        # Where the RFCs demand it anyway, its presence tells nothing about the router's other requests.
        if (
            request.ma_offset
            and nas.require_message_authenticator == "auto"
            and not needs_message_authenticator(request)
        ):
            seen |= SEEN_MESSAGE_AUTHENTICATOR
        if nas.limit_proxy_state == "auto" and PROXY_STATE not in request.first:
            seen |= SEEN_NO_PROXY_STATE
        if seen:
            missing = seen & ~self._learnt.flags(nas.id, identifier)
            if missing:
                self._learnt.learn(nas.id, identifier, missing)

    def _refusal(self, request: Packet, nas: Nas) -> str:
        """Why a request without Message-Authenticator must be dropped, or empty."""
        if needs_message_authenticator(request) or nas.require_message_authenticator == "yes":
            return "message-authenticator-missing"
        limited = nas.limit_proxy_state == "yes" and PROXY_STATE in request.first
        if nas.require_message_authenticator == "auto" or nas.limit_proxy_state == "auto":
            seen = self._learnt.flags(nas.id, _identifier(request))
            if nas.require_message_authenticator == "auto" and seen & SEEN_MESSAGE_AUTHENTICATOR:
                return "message-authenticator-missing"
            if nas.limit_proxy_state == "auto" and seen & SEEN_NO_PROXY_STATE and PROXY_STATE in request.first:
                limited = True
        return "proxy-state-limited" if limited else ""


def _identifier(request: Packet) -> bytes:
    return request.first.get(NAS_IDENTIFIER, b"")
