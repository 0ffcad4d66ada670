"""What is granted: the segment in force, the reply's attributes, Session-Timeout, Class, simultaneous use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.debit.reply import for_hotspot
from aaa.domain.authorisation import Authorisation, unpack
from aaa.domain.grace import grace
from aaa.domain.timeline import Cause, Reason, Segment, Verdict, build, profile
from aaa.radius.access import ACCEPT, DROP, REJECT
from aaa.radius.auth_log import line
from aaa.radius.grant import HOTSPOT as ON_HOTSPOT
from aaa.radius.grant import PLAIN, fit, session_kind
from aaa.radius.grant import PPP as ON_PPP
from aaa.radius.packet import parse
from tests.unit.radius.logins import (
    DAY,
    HORIZON,
    HOTSPOT,
    NAMES,
    NOW,
    PLAN,
    PPP,
    SECOND,
    World,
    always,
    name_of,
    told,
)

DEBT = Reason(
    Cause.DEBIT,
    (("control", "Home Users"), ("debt", 812000), ("max_debt", 800000), ("deadline_at", NOW)),
    "visp:tehran",
)
GARDEN = profile(
    [("Framed-Pool", "finish"), ("Mikrotik-Address-List", "overdue"), ("Mikrotik-Rate-Limit", "128k/128k")]
)
END = NOW + 2 * DAY
CUT_SOON = build(
    [
        Segment(NOW - DAY, END, Verdict.ALLOW, PLAN),
        Segment(END, HORIZON, Verdict.RESTRICT, GARDEN, DEBT),
    ]
)


def world(**service: object) -> World:
    made = World()
    made.add(**service)  # type: ignore[arg-type]
    return made


def test_an_allowed_service_gets_its_plan() -> None:
    answer = world().login(more=PPP)
    assert (answer.kind, answer.verdict) == (ACCEPT, Verdict.ALLOW)
    shown = told(answer.reply)
    assert {name: values[0] for name, values in shown.items()} | {"Message-Authenticator": 0, "Class": 0} == {
        "Message-Authenticator": 0,
        "Service-Type": "Framed-User",
        "Framed-Protocol": "PPP",
        "Framed-Pool": "pool1",
        "Mikrotik-Rate-Limit": "20M/20M",
        "Acct-Interim-Interval": 300,
        "Class": 0,
    }


def test_service_type_and_framed_protocol_are_for_ppp_alone() -> None:
    for more in (b"", HOTSPOT):
        assert "Service-Type" not in told(world().login(more=more).reply)


def test_a_restricted_service_gets_the_garden_and_the_log_says_why() -> None:
    made = world(timeline=always(Verdict.RESTRICT, GARDEN, DEBT))
    answer = made.login(more=PPP)
    assert (answer.kind, answer.verdict, answer.cause) == (ACCEPT, Verdict.RESTRICT, "debit")
    shown = told(answer.reply)
    assert shown["Framed-Pool"] == ["finish"]
    assert shown["Mikrotik-Address-List"] == ["overdue"]
    assert answer.detail == (
        'control="Home Users" debt=812000 max_debt=800000 deadline_at=2026-11-18T11:06:40Z scope=visp:tehran'
    )


@pytest.mark.parametrize(("method", "error"), [("pap", None), ("mschapv2", "E=649 R=0")])
def test_a_denied_service_is_told_why_in_plain_words(method: str, error: str | None) -> None:
    answer = world(timeline=always(Verdict.DENY, (), DEBT)).login(method=method, more=PPP)
    assert (answer.kind, answer.verdict, answer.cause) == (REJECT, Verdict.DENY, "debit")
    assert "debt=812000 max_debt=800000" in answer.detail
    shown = told(answer.reply)
    assert "in debt" in str(shown["Reply-Message"])
    if error:
        raw = str(shown["MS-CHAP-Error"][0])
        assert error in (raw if not raw.startswith("0x") else bytes.fromhex(raw[2:])[1:].decode())
    else:
        assert "MS-CHAP-Error" not in shown
    assert "812000" not in str(shown)


def test_a_denied_service_with_a_wrong_password_learns_nothing() -> None:
    answer = world(timeline=always(Verdict.DENY, (), DEBT)).login("ali", "wrong")
    assert answer.cause == "wrong-password"
    assert "debt" not in str(told(answer.reply))


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_of_its_own(cause: Cause) -> None:
    made = world(timeline=always(Verdict.DENY, (), Reason(cause, (), "server")))
    message = str(told(made.login().reply)["Reply-Message"][0])
    assert message.startswith("Access is ")
    assert (message != "Access is blocked.") == (cause is not Cause.OVERDUE)  # a reminder never denies (R5.5)


def test_the_segment_is_the_one_that_holds_now() -> None:
    made = world(timeline=CUT_SOON)
    assert made.login(now=END - 1).verdict == Verdict.ALLOW
    assert made.login(now=END).verdict == Verdict.RESTRICT


def test_past_the_horizon_the_last_verdict_holds_and_is_noticed() -> None:
    made = world(timeline=CUT_SOON)
    assert not made.login(now=HORIZON - 1).past_horizon
    late = made.login(now=HORIZON)
    assert (late.kind, late.verdict, late.past_horizon) == (ACCEPT, Verdict.RESTRICT, True)
    assert "past_horizon=yes" in line(late, "now")


def test_session_timeout_is_the_verdicts_end_plus_the_services_grace() -> None:
    made = world(timeline=CUT_SOON, number=7)
    shown = told(made.login(now=NOW).reply)
    assert shown["Session-Timeout"] == [2 * 86_400 + grace(7)]
    assert 30 <= grace(7) <= 90
    assert "Session-Timeout" not in told(made.login(now=END).reply)  # the verdict holds to the horizon


def test_session_timeout_is_the_profiles_own_where_that_is_less() -> None:
    own = profile([*PLAN, ("Session-Timeout", 3600)])
    steps = [Segment(NOW - DAY, END, Verdict.ALLOW, own), Segment(END, HORIZON, Verdict.DENY, (), DEBT)]
    made = world(timeline=build(steps))
    assert told(made.login(now=NOW).reply)["Session-Timeout"] == [3600]
    assert told(made.login(now=END - 60 * SECOND).reply)["Session-Timeout"] == [60 + grace(7)]
    assert told(world(timeline=always(attributes=own)).login().reply)["Session-Timeout"] == [3600]


def test_class_says_what_the_session_was_authorised_with() -> None:
    made = world(timeline=CUT_SOON, number=7, version=3)
    given = unpack(bytes.fromhex(str(told(made.login(now=NOW).reply)["Class"][0])[2:]))
    assert given == Authorisation(7, 3, 0, name_of(PLAN), END // SECOND)
    given = unpack(bytes.fromhex(str(told(made.login(now=END).reply)["Class"][0])[2:]))
    assert given == Authorisation(7, 3, 1, name_of(GARDEN), 0)


def test_a_services_own_address_is_sent_and_not_on_a_hotspot() -> None:
    static = profile([("Framed-IP-Address", "10.9.8.7"), ("Mikrotik-Rate-Limit", "20M/20M")])
    made = world(timeline=always(attributes=static))
    assert told(made.login(more=PPP).reply)["Framed-IP-Address"] == ["10.9.8.7"]
    assert told(made.login().reply)["Framed-IP-Address"] == ["10.9.8.7"]
    assert "Framed-IP-Address" not in told(made.login(more=HOTSPOT).reply)


def test_r3_3_on_a_hotspot_restrict_uses_list_and_rate_only() -> None:
    shown = told(world(timeline=always(Verdict.RESTRICT, GARDEN, DEBT)).login(more=HOTSPOT).reply)
    assert set(shown) == {"Message-Authenticator", "Mikrotik-Address-List", "Mikrotik-Rate-Limit", "Class"}


EVERYTHING = {
    "Framed-IP-Address": "10.0.0.1",
    "Framed-IP-Netmask": "255.255.255.0",
    "Framed-Pool": "pool1",
    "Framed-Route": ("10.1.0.0/24 0.0.0.0 1", "10.2.0.0/24 0.0.0.0 1"),
    "Framed-Interface-Id": "0:0:0:1",
    "Framed-IPv6-Prefix": "2001:db8::/64",
    "Framed-IPv6-Route": "2001:db8:1::/48 :: 1",
    "Framed-IPv6-Pool": "six",
    "Framed-IPv6-Address": "2001:db8::5",
    "Delegated-IPv6-Prefix": "2001:db8:5::/56",
    "Delegated-IPv6-Prefix-Pool": "delegated",
    "Stateful-IPv6-Address-Pool": "stateful",
    "DNS-Server-IPv6-Address": "2001:db8::53",
    "Login-IPv6-Host": "2001:db8::9",
    "Mikrotik-Delegated-IPv6-Pool": "mt-six",
    "Mikrotik-Rate-Limit": "1M/1M",
    "Mikrotik-Address-List": "list",
    "Idle-Timeout": 600,
    "Filter-Id": "chain",
}


@given(st.sets(st.sampled_from(sorted(EVERYTHING))))
def test_r3_3_what_a_hotspot_is_sent_is_what_policy_says_it_is_told(names: set[str]) -> None:
    pairs = profile((name, EVERYTHING[name]) for name in names)  # type: ignore[misc]
    encoded = NAMES.encode_profile(pairs)
    assert fit(encoded, ON_HOTSPOT).attributes == NAMES.encode_profile(for_hotspot(pairs))
    assert fit(encoded, PLAIN).attributes == encoded
    assert fit(encoded, ON_PPP).attributes == PPP + encoded


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (b"", PLAIN),
        (PPP, ON_PPP),
        (NAMES.encode("Framed-Protocol", "SLIP"), PLAIN),
        (HOTSPOT, ON_HOTSPOT),
        (NAMES.encode("WISPr-Logoff-URL", "http://10.5.50.1/logout"), ON_HOTSPOT),
        (NAMES.encode("Framed-IP-Address", "10.5.50.7"), ON_HOTSPOT),
        (PPP + HOTSPOT, ON_PPP),
        (NAMES.encode("Mikrotik-Realm", "tehran"), PLAIN),
    ],
)
def test_ppp_and_hotspots_are_known_by_what_routeros_sends(more: bytes, kind: int) -> None:
    assert session_kind(parse(World().request(more=more))) == kind


def test_simultaneous_use_is_asked_only_where_there_is_a_limit() -> None:
    made = world(simultaneous_use=0)
    assert made.login(calling="02:00:00:00:00:01").kind == ACCEPT
    assert made.taken == []


def test_simultaneous_use_refuses_when_all_seats_are_taken() -> None:
    made = world(simultaneous_use=2, number=7)
    assert made.login(calling="02:00:00:00:00:01").kind == ACCEPT
    made.has_seats = False
    answer = made.login(calling="02:00:00:00:00:02")
    assert (answer.kind, answer.cause, answer.detail) == (REJECT, "simultaneous-use", "limit=2")
    assert made.taken == [(7, 2, b"02:00:00:00:00:01"), (7, 2, b"02:00:00:00:00:02")]


def test_a_denied_or_wrong_login_takes_no_seat() -> None:
    made = world(simultaneous_use=1, timeline=always(Verdict.DENY, (), DEBT))
    made.login()
    made.login("ali", "wrong")
    assert made.taken == []


def test_a_profile_that_has_not_arrived_yet_is_no_answer() -> None:
    made = world()
    made.profiles.clear()
    answer = made.login()
    assert (answer.kind, answer.cause, answer.reply) == (DROP, "profile-missing", b"")


def test_a_reply_that_does_not_fit_is_dropped() -> None:
    big = profile([("Framed-Route", tuple(f"10.{n}.0.0/16 10.0.0.1 1 {'x' * 200}" for n in range(20)))])
    answer = world(timeline=always(attributes=big)).login()
    assert (answer.kind, answer.cause) == (DROP, "reply-oversize")


def test_the_log_line_has_what_an_operator_expects_and_no_secret() -> None:
    made = world(timeline=always(Verdict.RESTRICT, GARDEN, DEBT))
    told_line = line(made.login(calling="02:00:00:00:00:01"), "2026-11-18T10:40:00.000Z")
    assert told_line == (
        "2026-11-18T10:40:00.000Z login user=ali nas=mt1 calling=02:00:00:00:00:01 result=accept verdict=restrict "
        'cause=debit control="Home Users" debt=812000 max_debt=800000 deadline_at=2026-11-18T11:06:40Z '
        "scope=visp:tehran\n"
    )


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=40))
def test_whatever_was_sent_a_login_is_one_line(name: bytes, calling: bytes) -> None:
    made = world()
    answer = made.login(name, "hunter2", calling=calling.decode("latin-1"))
    text = line(answer, "now")
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text.isprintable() or text[:-1].isprintable()
    assert "hunter2" not in text
    assert "testing123" not in text
