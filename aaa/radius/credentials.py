"""Does this Access-Request know the password? PAP, CHAP, MS-CHAPv1 and MS-CHAPv2 (RFC 2865, 2433, 2548, 2759).

`verify` is the one entry. A blank password matches in no method. Every comparison takes constant time, and no value
here ever reaches an error or a `repr`.
"""

from hashlib import sha1
from hmac import compare_digest
from typing import Final, final

from Crypto.Cipher import DES
from Crypto.Hash import MD4

from aaa.radius import mppe
from aaa.radius.concealment import reveal
from aaa.radius.integrity import Secret, md5
from aaa.radius.packet import (
    CHAP_CHALLENGE,
    CHAP_PASSWORD,
    USER_NAME,
    USER_PASSWORD,
    VENDOR_SPECIFIC,
    Packet,
    encode_vendor,
)

PAP: Final = "pap"
CHAP: Final = "chap"
MSCHAP: Final = "mschap"
MSCHAPV2: Final = "mschapv2"
NONE: Final = "none"
METHODS: Final = (PAP, CHAP, MSCHAP, MSCHAPV2)

MICROSOFT: Final = 311
MS_CHAP_RESPONSE: Final = 1
MS_CHAP_ERROR: Final = 2
MS_CHAP_CHALLENGE: Final = 11
MS_CHAP2_RESPONSE: Final = 25
MS_CHAP2_SUCCESS: Final = 26

# RFC 2759 section 6: what MS-CHAP-Error may tell.
RESTRICTED_LOGON_HOURS: Final = 646
ACCOUNT_DISABLED: Final = 647
NO_DIALIN_PERMISSION: Final = 649
AUTHENTICATION_FAILURE: Final = 691

_MAGIC1: Final = b"Magic server to client signing constant"
_MAGIC2: Final = b"Pad to make it do more than one iteration"


@final
class CredentialResult:
    """What came of checking one request: `method` is one of METHODS or NONE, and `ok` whether the password was right.

    If not ok, `cause` is a word for logs and counters: missing (no credentials), several (PAP and CHAP at once),
    malformed (lengths are wrong), lm-only (MS-CHAPv1 without an NT-Response), blank (no password is set) or mismatch.
    The rest feeds `accept_attributes` and is not shown.
    """

    __slots__ = ("cause", "hash_hash", "lm_hash", "method", "nt_response", "ok", "success")

    def __init__(
        self,
        method: str,
        ok: bool,
        cause: str,
        success: bytes = b"",
        hash_hash: bytes = b"",
        nt_response: bytes = b"",
        lm_hash: bytes = b"",
    ) -> None:
        self.method: str = method
        self.ok: bool = ok
        self.cause: str = cause
        self.success: bytes = success
        self.hash_hash: bytes = hash_hash
        self.nt_response: bytes = nt_response
        self.lm_hash: bytes = lm_hash

    def __repr__(self) -> str:
        return f"CredentialResult(method={self.method!r}, ok={self.ok}, cause={self.cause!r})"


_PAP_OK: Final = CredentialResult(PAP, True, "")
_PAP_MISMATCH: Final = CredentialResult(PAP, False, "mismatch")
_CHAP_OK: Final = CredentialResult(CHAP, True, "")


def method(request: Packet) -> str:
    """Which method the request's attributes belong to: one of METHODS, or NONE for none or for PAP and CHAP at once."""
    first = request.first
    if USER_PASSWORD in first:
        return NONE if CHAP_PASSWORD in first else PAP
    if CHAP_PASSWORD in first:
        return CHAP
    if VENDOR_SPECIFIC in first:
        if request.vendor(MICROSOFT, MS_CHAP2_RESPONSE) is not None:
            return MSCHAPV2
        if request.vendor(MICROSOFT, MS_CHAP_RESPONSE) is not None:
            return MSCHAP
    return NONE


def verify(request: Packet, secret: Secret, cleartext: bytes) -> CredentialResult:
    """Check the request against the service's password, `cleartext` (UTF-8 octets)."""
    kind = method(request)
    if kind == NONE:
        return CredentialResult(NONE, False, "several" if USER_PASSWORD in request.first else "missing")
    if not cleartext.strip(b"\0"):
        return CredentialResult(kind, False, "blank")
    if kind == PAP:
        return _verify_pap(request, secret, cleartext)
    if kind == CHAP:
        return _verify_chap(request, cleartext)
    if kind == MSCHAPV2:
        return _verify_mschapv2(request, cleartext)
    return _verify_mschap(request, cleartext)


def presents_blank(request: Packet, secret: Secret) -> bool:
    """Whether the request presents an empty password, as MikroTik's hotspot does for MAC authentication.

    True only for PAP and CHAP; without any credentials it is False.
    """
    kind = method(request)
    if kind == PAP:
        hidden = request.first[USER_PASSWORD]
        return not hidden or (_fits_pap(hidden) and not reveal(hidden, secret, request.authenticator).strip(b"\0"))
    return kind == CHAP and _verify_chap(request, b"").ok


def accept_attributes(request: Packet, secret: Secret, result: CredentialResult, salts: bytes) -> bytes:
    """What an Access-Accept must carry for a right password: MS-CHAP2-Success and MPPE keys, else nothing.

    `salts` is 4 random octets (RFC 2548 section 2.4.2). Raises ValueError for a result that is not ok.
    """
    if not result.ok:
        raise ValueError("no accept attributes: the password was wrong")
    if result.method == MSCHAPV2:
        success = encode_vendor(MICROSOFT, MS_CHAP2_SUCCESS, result.success)
        keys = mppe.v2_attributes(result.hash_hash, result.nt_response, secret, request.authenticator, salts)
        return success + keys
    if result.method == MSCHAP:
        return mppe.v1_attributes(result.lm_hash, result.hash_hash, secret, request.authenticator)
    return b""


def reject_attributes(request: Packet, result: CredentialResult, error: int = AUTHENTICATION_FAILURE) -> bytes:
    """What an Access-Reject should carry: MS-CHAP-Error for MS-CHAP (RFC 2433 section 8, RFC 2759 section 6).

    `error` is one of the codes above; a retry is never offered.
    """
    if result.method == MSCHAPV2:
        response = request.vendor(MICROSOFT, MS_CHAP2_RESPONSE)
        challenge = request.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
        if response and challenge is not None and len(challenge) == 16:
            # C must be there (RFC 2759 section 6), but with R=0 nobody answers it: the old challenge serves.
            text = f"E={error} R=0 C={challenge.hex().upper()} V=3 M=Access denied"
            return encode_vendor(MICROSOFT, MS_CHAP_ERROR, response[:1] + text.encode())
    elif result.method == MSCHAP:
        response = request.vendor(MICROSOFT, MS_CHAP_RESPONSE)
        if response:
            return encode_vendor(MICROSOFT, MS_CHAP_ERROR, response[:1] + f"E={error} R=0".encode())
    return b""


def nt_hash(cleartext: bytes) -> bytes:
    """NtPasswordHash (RFC 2759 section 8.3), 16 octets. Raises ValueError if the password is not UTF-8."""
    try:
        text = cleartext.decode()
    except UnicodeDecodeError:
        # The original error would carry the password.
        raise ValueError("a password for MS-CHAP must be UTF-8 text") from None
    return MD4.new(text.encode("utf-16-le")).digest()


def lm_hash(cleartext: bytes) -> bytes:
    """LmPasswordHash (RFC 2433 appendix A.3), 16 octets; zeros if the password is not 1..14 octets of ASCII."""
    if len(cleartext) > 14 or not cleartext.isascii():
        return bytes(16)
    padded = cleartext.upper().ljust(14, b"\0")
    return _des(padded[:7], b"KGS!@#$%") + _des(padded[7:], b"KGS!@#$%")


def challenge_response(challenge: bytes, password_hash: bytes) -> bytes:
    """ChallengeResponse (RFC 2759 section 8.5): 24 octets from an 8-octet challenge and a 16-octet hash."""
    tail = password_hash[14:] + bytes(5)
    return _des(password_hash[:7], challenge) + _des(password_hash[7:14], challenge) + _des(tail, challenge)


def challenge_hash(peer_challenge: bytes, challenge: bytes, username: bytes) -> bytes:
    """ChallengeHash (RFC 2759 section 8.2): 8 octets; `username` exactly as the peer hashed it."""
    return sha1(peer_challenge + challenge + username).digest()[:8]


def authenticator_response(hash_hash: bytes, nt_response: bytes, hashed_challenge: bytes) -> bytes:
    """GenerateAuthenticatorResponse (RFC 2759 section 8.7): "S=" and 40 hex digits."""
    inner = sha1(hash_hash + nt_response + _MAGIC1).digest()
    return b"S=" + sha1(inner + hashed_challenge + _MAGIC2).hexdigest().upper().encode()


def bare_username(username: bytes) -> bytes:
    r"""The name MS-CHAPv2 hashes: what follows the last backslash of DOMAIN\user (RFC 2759 section 4)."""
    return username[username.rfind(b"\\") + 1 :]


def _verify_pap(request: Packet, secret: Secret, cleartext: bytes) -> CredentialResult:
    hidden = request.first[USER_PASSWORD]
    if not _fits_pap(hidden):
        return CredentialResult(PAP, False, "malformed")
    # Padding our side instead of stripping theirs: no trailing NUL is ever guessed about.
    plain = reveal(hidden, secret, request.authenticator)
    return _PAP_OK if compare_digest(plain, cleartext.ljust(len(plain), b"\0")) else _PAP_MISMATCH


def _verify_chap(request: Packet, cleartext: bytes) -> CredentialResult:
    value = request.first[CHAP_PASSWORD]
    if len(value) != 17:
        return CredentialResult(CHAP, False, "malformed")
    challenge = request.first.get(CHAP_CHALLENGE)
    if challenge is None:
        challenge = request.authenticator
    expected: bytes = md5(value[:1] + cleartext + challenge).digest()
    return _CHAP_OK if compare_digest(expected, value[1:]) else CredentialResult(CHAP, False, "mismatch")


def _verify_mschap(request: Packet, cleartext: bytes) -> CredentialResult:
    response = request.vendor(MICROSOFT, MS_CHAP_RESPONSE)
    challenge = request.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
    if response is None or challenge is None or len(response) != 50 or len(challenge) != 8:
        return CredentialResult(MSCHAP, False, "malformed")
    if response[1] != 1:
        return CredentialResult(MSCHAP, False, "lm-only")
    try:
        password_hash = nt_hash(cleartext)
    except ValueError:
        return CredentialResult(MSCHAP, False, "mismatch")
    if not compare_digest(challenge_response(challenge, password_hash), response[26:]):
        return CredentialResult(MSCHAP, False, "mismatch")
    return CredentialResult(MSCHAP, True, "", b"", MD4.new(password_hash).digest(), response[26:], lm_hash(cleartext))


def _verify_mschapv2(request: Packet, cleartext: bytes) -> CredentialResult:
    response = request.vendor(MICROSOFT, MS_CHAP2_RESPONSE)
    challenge = request.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
    username = request.first.get(USER_NAME)
    if response is None or challenge is None or username is None or len(response) != 50 or len(challenge) != 16:
        return CredentialResult(MSCHAPV2, False, "malformed")
    try:
        password_hash = nt_hash(cleartext)
    except ValueError:
        return CredentialResult(MSCHAPV2, False, "mismatch")
    peer_challenge = response[2:18]
    nt_response = response[26:]
    bare = bare_username(username)
    hashed = challenge_hash(peer_challenge, challenge, bare)
    ok = compare_digest(challenge_response(hashed, password_hash), nt_response)
    if not ok and bare != username:
        # Some peers hash the name with its domain.
        hashed = challenge_hash(peer_challenge, challenge, username)
        ok = compare_digest(challenge_response(hashed, password_hash), nt_response)
    if not ok:
        return CredentialResult(MSCHAPV2, False, "mismatch")
    hash_hash = MD4.new(password_hash).digest()
    success = response[:1] + authenticator_response(hash_hash, nt_response, hashed)
    return CredentialResult(MSCHAPV2, True, "", success, hash_hash, nt_response)


def _fits_pap(hidden: bytes) -> bool:
    size = len(hidden)
    return 16 <= size <= 128 and size % 16 == 0


def _des(raw: bytes, block: bytes) -> bytes:
    """DesEncrypt (RFC 2759 section 8.6) of 8 octets with a key of 7; the parity bits stay 0, as no DES reads them."""
    bits = int.from_bytes(raw, "big")
    key = bytes([((bits >> shift) & 0x7F) << 1 for shift in (49, 42, 35, 28, 21, 14, 7, 0)])
    return DES.new(key, DES.MODE_ECB).encrypt(block)
