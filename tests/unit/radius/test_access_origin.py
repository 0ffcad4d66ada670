"""Who may ask: secrets, Message-Authenticator and Proxy-State (CVE-2024-3596), Status-Server, duplicates."""

from typing import Any

import pytest

from aaa.radius.access import ACCEPT, DROP, DUPLICATE, REJECT, STATUS
from aaa.radius.integrity import Secret
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCOUNTING_REQUEST,
    EAP_MESSAGE,
    PROXY_STATE,
    STATUS_SERVER,
    encode_attribute,
    parse,
)
from tests.unit.radius.logins import HOST, NOW, OLD_SECRET, SECOND, SECRET, World, is_true_reply, nas, told, unsigned

PROXIED = encode_attribute(PROXY_STATE, b"proxy one")


def world(**policies: str) -> World:
    """One router with these policies, and ali."""
    made = World((nas(**policies),))  # type: ignore[arg-type]
    made.add()
    return made


def outcome(made: World, **options: Any) -> tuple[int, str]:
    answer = made.login(**options)
    return answer.kind, answer.cause


def test_rfc2869_5_14_the_reply_is_signed_first_of_all() -> None:
    made = world()
    request = made.request()
    answer = made.send(request)
    assert answer.kind == ACCEPT
    assert is_true_reply(answer.reply, request)


def test_rfc2865_5_33_proxy_states_come_back_in_order_and_last() -> None:
    made = world()
    more = PROXIED + encode_attribute(PROXY_STATE, b"proxy two")
    answer = made.login(more=more)
    assert answer.reply.endswith(more)
    rejected = made.login("ali", "wrong", more=more)
    assert rejected.kind == REJECT
    assert rejected.reply.endswith(more)


def test_a_wrong_secret_is_dropped() -> None:
    assert outcome(world(), secret=Secret(b"not this")) == (DROP, "message-authenticator-wrong")


@pytest.mark.parametrize("signed", [True, False])
def test_required_yes(signed: bool) -> None:
    made = world(require_message_authenticator="yes")
    assert outcome(made, signed=signed) == ((ACCEPT, "") if signed else (DROP, "message-authenticator-missing"))


def test_required_no_believes_both_for_ever() -> None:
    made = world(require_message_authenticator="no", limit_proxy_state="no")
    assert [outcome(made, signed=signed)[0] for signed in (True, False, True, False)] == [ACCEPT] * 4


def test_required_auto_from_the_first_that_is_seen_from_that_identifier() -> None:
    made = world()
    assert outcome(made, signed=False, identifier="a") == (ACCEPT, "")
    assert outcome(made, signed=True, identifier="a") == (ACCEPT, "")
    assert outcome(made, signed=False, identifier="a") == (DROP, "message-authenticator-missing")
    assert outcome(made, signed=False, identifier="b") == (ACCEPT, "")


def test_required_auto_learns_nothing_from_a_forged_one() -> None:
    made = world()
    assert outcome(made, secret=Secret(b"forged"), signed=True)[0] == DROP
    assert outcome(made, signed=False) == (ACCEPT, "")


def test_required_auto_learns_nothing_from_what_must_be_signed_anyway() -> None:
    made = world()
    made.send(made.request(code=STATUS_SERVER))
    made.login(more=encode_attribute(EAP_MESSAGE, b"\x02\0\0\x05\x01"))
    assert outcome(made, signed=False) == (ACCEPT, "")


def test_cve_2024_3596_proxy_state_limited_yes() -> None:
    made = world(require_message_authenticator="no", limit_proxy_state="yes")
    assert outcome(made, signed=False, more=PROXIED) == (DROP, "proxy-state-limited")
    assert outcome(made, signed=True, more=PROXIED) == (ACCEPT, "")
    assert outcome(made, signed=False) == (ACCEPT, "")


def test_cve_2024_3596_proxy_state_limited_auto_from_the_first_without() -> None:
    made = world(require_message_authenticator="no")
    assert outcome(made, signed=False, more=PROXIED) == (ACCEPT, "")
    assert outcome(made, signed=False) == (ACCEPT, "")
    assert outcome(made, signed=False, more=PROXIED) == (DROP, "proxy-state-limited")
    assert outcome(made, signed=False, more=PROXIED, identifier="other") == (ACCEPT, "")


def test_cve_2024_3596_proxy_state_auto_learns_only_from_a_proven_secret() -> None:
    made = world(require_message_authenticator="no")
    assert outcome(made, signed=False, password="wrong")[0] == REJECT
    assert outcome(made, signed=False, method="chap")[0] == ACCEPT  # CHAP proves the user, not the router
    assert outcome(made, signed=False, more=PROXIED) == (ACCEPT, "")


def test_cve_2024_3596_proxy_state_limited_no() -> None:
    made = world(require_message_authenticator="no", limit_proxy_state="no")
    assert [outcome(made, signed=False, more=more)[0] for more in (b"", PROXIED)] == [ACCEPT, ACCEPT]


@pytest.mark.parametrize("method", ["pap", "chap", "mschap", "mschapv2"])
@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_rotation_both_secrets_are_good_where_the_message_authenticator_tells(method: str, secret: Secret) -> None:
    made = World((nas(secrets=(SECRET, OLD_SECRET)),))
    made.add()
    request = made.request(method=method, secret=secret)
    answer = made.send(request)
    assert answer.kind == ACCEPT
    assert is_true_reply(answer.reply, request, secret)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_rotation_an_unsigned_pap_password_tells_the_secret_and_later_replies_keep_to_it(secret: Secret) -> None:
    made = World((nas(secrets=(SECRET, OLD_SECRET)),))
    made.add()
    pap = made.request(secret=secret, signed=False)
    answer = made.send(pap)
    assert answer.kind == ACCEPT
    assert is_true_reply(answer.reply, pap, secret)
    for password in ("secret", "wrong"):
        chap = made.request("ali", password, "chap", secret=secret, signed=False)
        assert is_true_reply(made.send(chap).reply, chap, secret)


def test_rfc5997_status_server_is_answered() -> None:
    made = world()
    request = made.request(code=STATUS_SERVER)
    answer = made.send(request)
    assert answer.kind == STATUS
    assert parse(answer.reply).code == ACCESS_ACCEPT
    assert list(told(answer.reply)) == ["Message-Authenticator"]
    assert is_true_reply(answer.reply, request)


def test_rfc5997_status_server_must_be_signed() -> None:
    made = world(require_message_authenticator="no")
    answer = made.send(unsigned(made.request(code=STATUS_SERVER)))
    assert (answer.kind, answer.cause) == (DROP, "message-authenticator-missing")


def test_rfc3579_3_1_eap_must_be_signed_and_is_refused_clearly() -> None:
    made = world(require_message_authenticator="no")
    eap = encode_attribute(EAP_MESSAGE, b"\x02\0\0\x05\x01")
    assert outcome(made, more=eap, signed=False) == (DROP, "message-authenticator-missing")
    answer = made.login(more=eap)
    assert (answer.kind, answer.cause) == (REJECT, "eap")
    assert "EAP" in str(told(answer.reply)["Reply-Message"])


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "malformed-truncated"),
        (bytes(20), "malformed-length"),
        (b"\x01\x01\x00\x16" + bytes(16) + b"\x01\x01", "malformed-attribute-length"),
        (b"\x01\x01\x00\x16" + bytes(16) + b"\x01\x09", "malformed-attribute-overrun"),
        (bytes((ACCOUNTING_REQUEST, 1, 0, 20)) + bytes(16), "unexpected-code"),
        (bytes((ACCESS_ACCEPT, 1, 0, 20)) + bytes(16), "unexpected-code"),
    ],
)
def test_rfc2865_3_what_is_no_request_is_dropped_and_counted_by_cause(data: bytes, cause: str) -> None:
    answer = world().send(data)
    assert (answer.kind, answer.cause, answer.reply) == (DROP, cause, b"")


def test_an_unknown_source_is_dropped() -> None:
    made = world()
    answer = made.send(made.request(), host="192.0.2.2")
    assert (answer.kind, answer.cause) == (DROP, "unknown-nas")


def test_routers_behind_one_address_have_each_their_secret() -> None:
    made = World((nas("a", identifier="a", number=1), nas("b", identifier="b", number=2, secrets=(OLD_SECRET,))))
    made.add()
    assert outcome(made, identifier="a", secret=SECRET)[0] == ACCEPT
    assert outcome(made, identifier="b", secret=OLD_SECRET)[0] == ACCEPT
    assert outcome(made, identifier="b", secret=SECRET) == (DROP, "message-authenticator-wrong")
    assert outcome(made, identifier="c") == (DROP, "unknown-nas")


def test_rfc5080_2_2_2_a_duplicate_gets_the_same_octets() -> None:
    made = world()
    request = made.request(method="mschapv2")
    first = made.send(request)
    again = made.access.receive(request, (HOST, 40_000), NOW + 5 * SECOND, b"pepp")
    assert (again.kind, again.reply) == (DUPLICATE, first.reply)


def test_rfc5080_2_2_2_an_altered_copy_is_no_duplicate() -> None:
    made = world(require_message_authenticator="no")
    request = made.request(signed=False, calling="02:00:00:00:00:01")
    assert made.send(request).kind == ACCEPT
    altered = request.replace(b"ali", b"eve")
    assert made.send(altered).kind == REJECT


def test_a_held_reject_is_in_progress_until_it_is_released() -> None:
    made = World(hold_rejects=True)
    made.add()
    request = made.request("ali", "wrong")
    held = made.send(request)
    assert held.kind == REJECT
    waiting = made.send(request)
    assert (waiting.kind, waiting.cause) == (DROP, "in-progress")
    made.access.release(held)
    assert made.send(request).reply == held.reply
    # An accept waits for nobody.
    good = made.request()
    assert made.send(good).reply == made.send(good).reply != b""


def test_a_failure_of_ours_leaves_the_request_open() -> None:
    made = world()
    request = made.request()
    records = dict(made.records)
    made.records[b"ali", 1] = b"\xff" * 60
    with pytest.raises(ValueError, match="format 255"):
        made.send(request)
    made.records = records
    assert made.send(request).kind == ACCEPT
