"""What allowed and restricted services are told (R3.2, R3.3), and what a policy refuses."""

import pytest

from aaa.debit.controls.definitions import Definitions
from aaa.debit.params import BadParam
from aaa.debit.policy import resolve_policy
from aaa.domain.service import SERVER, Level, Param, Scope, Status
from aaa.domain.timeline import Cause, Verdict
from tests.unit.debit.cases import USER, VISP, control, policy, rule

PLAN = (("Framed-Pool", "pool1"), ("Mikrotik-Rate-Limit", "20M/20M"))


def restricted(action: dict[str, object], *params: Param, static_ip: str | None = None) -> dict[str, object]:
    """What a service on `PLAN` with these params is told when `action` restricts it."""
    grant = policy(None, rule(debit={"restrict": action}), *params, plan_reply=PLAN).grant(Cause.DEBIT)
    assert grant.verdict is Verdict.RESTRICT
    found = grant.profile_with(static_ip)
    assert list(found) == sorted(found)
    return dict(found)


def allowed(*params: Param, static_ip: str | None = None) -> dict[str, object]:
    """What such a service is told when it is allowed."""
    grant = policy(None, None, *params, plan_reply=PLAN).grant(None)
    assert grant.verdict is Verdict.ALLOW
    found = grant.profile_with(static_ip)
    assert list(found) == sorted(found)
    return dict(found)


def test_allow_sends_the_plan_and_an_interim_interval() -> None:
    assert allowed() == {"Acct-Interim-Interval": 300, "Framed-Pool": "pool1", "Mikrotik-Rate-Limit": "20M/20M"}


@pytest.mark.parametrize(("value", "sent"), [(60, 60), (0, 300), ("0", 300), ("600", "600")])
def test_the_interim_interval_is_never_zero(value: int | str, sent: int | str) -> None:
    assert allowed(Param(SERVER, "Acct-Interim-Interval", value))["Acct-Interim-Interval"] == sent
    garden = restricted({"pool": "x", "reply": {"Acct-Interim-Interval": value}})
    assert garden["Acct-Interim-Interval"] == sent


def test_a_static_address_takes_the_place_of_the_pool() -> None:
    assert allowed(static_ip="192.0.2.7") == {
        "Acct-Interim-Interval": 300,
        "Framed-IP-Address": "192.0.2.7",
        "Mikrotik-Rate-Limit": "20M/20M",
    }


def test_an_address_given_by_param_takes_the_place_of_the_pool_and_a_static_one_of_both() -> None:
    given = Param(USER, "Framed-IP-Address", "198.51.100.1")
    assert "Framed-Pool" not in allowed(given)
    assert allowed(given)["Framed-IP-Address"] == "198.51.100.1"
    assert allowed(given, static_ip="192.0.2.7")["Framed-IP-Address"] == "192.0.2.7"


def test_r1_4_a_plan_s_reply_is_set_on_the_plan_s_scope() -> None:
    weaker, stronger = Param(VISP, "Framed-Pool", "visp"), Param(USER, "Framed-Pool", "own")
    assert allowed(weaker)["Framed-Pool"] == "pool1"
    assert allowed(stronger)["Framed-Pool"] == "own"
    final = Param(VISP, "Framed-Pool", "visp", Status.PASSTHROUGH_NO)
    assert allowed(final, stronger)["Framed-Pool"] == "visp"


def test_r1_4_a_param_set_on_the_plan_beats_the_plan_s_own_reply() -> None:
    scope = Scope(Level.PLAN, "home20")
    assert allowed(Param(scope, "Framed-Pool", "param"))["Framed-Pool"] == "param"
    assert allowed(Param(scope, "Framed-Pool", "param", Status.DISABLED))["Framed-Pool"] == "pool1"


def test_r3_2_no_rule_or_no_action_denies_with_an_empty_profile() -> None:
    for one in (policy(plan_reply=PLAN), policy(None, rule(expire="deny"), plan_reply=PLAN)):
        for cause in Cause:
            grant = one.grant(cause)
            assert (grant.verdict, grant.profile, grant.profile_with("192.0.2.7")) == (Verdict.DENY, (), ())


def test_r3_3_a_finish_pool_overrides_the_plan_s_pool_a_static_address_and_its_routes() -> None:
    routes = Param(USER, "Framed-Route", ("10.1.0.0/24", "10.2.0.0/24"))
    mask = Param(USER, "Framed-IP-Netmask", "255.255.255.248")
    expected = {"Acct-Interim-Interval": 300, "Framed-Pool": "finish", "Mikrotik-Rate-Limit": "20M/20M"}
    assert restricted({"pool": "finish"}, routes, mask) == expected
    assert restricted({"pool": "finish"}, routes, mask, static_ip="192.0.2.7") == expected
    assert restricted({"reply": {"Framed-Pool": "finish"}}, routes, static_ip="192.0.2.7") == expected


def test_r3_3_a_finish_address_overrides_a_static_address_and_the_pool() -> None:
    expected = {
        "Acct-Interim-Interval": 300,
        "Framed-IP-Address": "100.64.0.1",
        "Mikrotik-Rate-Limit": "20M/20M",
    }
    assert restricted({"ip": "100.64.0.1"}) == expected
    assert restricted({"ip": "100.64.0.1"}, static_ip="192.0.2.7") == expected
    assert restricted({"ip": "100.64.0.1", "pool": "finish"}, static_ip="192.0.2.7") == expected


def test_r3_3_without_an_address_of_its_own_restrict_keeps_the_service_s_but_no_route() -> None:
    """A routed network would leak: only the session's own address is in the address-list."""
    route = Param(USER, "Framed-Route", "10.1.0.0/24")
    kept = restricted({"address_list": "overdue", "rate_limit": "128k/128k"}, route, static_ip="192.0.2.7")
    assert kept == {
        "Acct-Interim-Interval": 300,
        "Framed-IP-Address": "192.0.2.7",
        "Mikrotik-Address-List": "overdue",
        "Mikrotik-Rate-Limit": "128k/128k",
    }
    assert restricted({"address_list": "overdue"})["Framed-Pool"] == "pool1"


def test_r3_3_restrict_sends_no_ipv6_unless_the_action_gives_it() -> None:
    six = [
        Param(USER, name, "x")
        for name in (
            "Framed-IPv6-Prefix",
            "Framed-IPv6-Pool",
            "Framed-Interface-Id",
            "Delegated-IPv6-Prefix",
            "Mikrotik-Delegated-IPv6-Pool",
        )
    ]
    assert len(allowed(*six)) == 3 + len(six)
    assert len(restricted({"address_list": "overdue"}, *six)) == 4
    given = restricted({"address_list": "overdue", "reply": {"Framed-IPv6-Pool": "finish6"}}, *six)
    assert given["Framed-IPv6-Pool"] == "finish6"
    assert len(given) == 5


def test_r3_1_the_action_s_attributes_replace_the_plan_s() -> None:
    found = restricted(
        {"session_timeout": 600, "rate_limit": "1M/1M", "reply": {"Idle-Timeout": 60, "Filter-Id": "overdue.in"}},
        Param(SERVER, "Session-Timeout", 86_400),
        Param(SERVER, "Idle-Timeout", 900),
    )
    assert found == {
        "Acct-Interim-Interval": 300,
        "Filter-Id": "overdue.in",
        "Framed-Pool": "pool1",
        "Idle-Timeout": 60,
        "Mikrotik-Rate-Limit": "1M/1M",
        "Session-Timeout": 600,
    }


def test_services_without_a_static_address_share_one_profile() -> None:
    grant = policy(plan_reply=PLAN).allow
    assert grant.profile_with(None) is grant.profile


def test_r1_4_simultaneous_use_and_groups_do_not_reach_the_reply() -> None:
    found = policy(control(), rule(), Param(USER, "simultaneous-use", 2))
    assert found.simultaneous_use == 2
    assert found.allow.profile == (("Acct-Interim-Interval", 300),)
    assert policy().simultaneous_use == 0


def test_r1_5_the_policy_keeps_the_scope_of_its_debit_control() -> None:
    vip = control("VIP")
    definitions = Definitions({"VIP": vip}, {})
    found = resolve_policy([Param(VISP, "DebitControl", "VIP")], definitions, currency="IRR")
    assert (found.debit, found.debit_scope) == (vip, "visp:tehran")
    assert policy().debit is None


@pytest.mark.parametrize("name", ["DebitControl", "FinishRule"])
def test_an_unknown_control_is_refused_with_its_scope(name: str) -> None:
    with pytest.raises(BadParam, match=rf"^visp:tehran {name}: there is no {name} called 'gone'$"):
        resolve_policy([Param(VISP, name, "gone")], Definitions({}, {}), currency="IRR")


def test_a_hidden_unknown_control_does_no_harm() -> None:
    gone, vip = Param(SERVER, "DebitControl", "gone"), Param(USER, "DebitControl", "VIP")
    assert resolve_policy([gone, vip], Definitions({"VIP": control("VIP")}, {}), currency="IRR").debit is not None


def test_r2_8_a_control_of_another_currency_is_refused() -> None:
    definitions = Definitions({"cz": control("cz", currency="CZK")}, {})
    on_server = [Param(SERVER, "DebitControl", "cz")]
    assert resolve_policy(on_server, definitions, currency="CZK").debit is not None
    with pytest.raises(BadParam, match=r"^server DebitControl: DebitControl cz counts in CZK, the VISP in IRR$"):
        resolve_policy(on_server, definitions, currency="IRR")
