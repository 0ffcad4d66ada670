"""DebitControl and FinishRule from JSON and back (R2, R3.1, R3.2)."""

import pytest

from aaa.debit.controls.debit_control import DebitControl, debit_control
from aaa.debit.controls.fields import BadControl
from aaa.debit.controls.finish_rule import (
    DENY,
    FINISH_CAUSES,
    WALLED_GARDEN,
    WALLED_GARDEN_JSON,
    Restrict,
    finish_rule,
)
from aaa.debit.reply import for_hotspot, is_ipv6
from aaa.domain.timeline import Cause
from tests.unit.debit.cases import check_attribute

FULL = {
    "pool": "finish",
    "address_list": "overdue",
    "rate_limit": "128k/128k",
    "session_timeout": 600,
    "reply": {"Idle-Timeout": 60, "Framed-Route": ["10.0.0.0/8", "10.0.0.0/9"]},
}


def test_r2_the_seed_s_control() -> None:
    found = debit_control("Home-Users", {"max_debt": 800_000, "max_delay": 2_592_000, "anchor": "last_payment"})
    assert found == DebitControl("Home-Users", 800_000, 2_592_000, "last_payment", None)


@pytest.mark.parametrize("value", [{}, {"max_debt": None, "max_delay": None, "anchor": None, "currency": None}])
def test_r2_absent_and_null_are_no_limit(value: object) -> None:
    assert debit_control("VIP", value) == DebitControl("VIP")


def test_r2_a_control_comes_back_from_its_json() -> None:
    found = DebitControl("x", 0, 5, "oldest_unpaid", "CZK")
    assert debit_control("x", found.to_json()) == found


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ([], "controls[0]", "must be an object"),
        ({"maxdebt": 5}, "controls[0].maxdebt", "unknown key; known are max_debt, max_delay, anchor, currency"),
        ({"max_debt": -1}, "controls[0].max_debt", "must be an integer from 0 to"),
        ({"max_debt": 1.5}, "controls[0].max_debt", "must be an integer"),
        ({"max_debt": True}, "controls[0].max_debt", "must be an integer"),
        ({"max_debt": 2**63}, "controls[0].max_debt", "must be an integer"),
        ({"max_delay": "30"}, "controls[0].max_delay", "must be an integer"),
        ({"max_delay": 10**11}, "controls[0].max_delay", "must be an integer"),
        ({"anchor": "first"}, "controls[0].anchor", "must be last_payment or oldest_unpaid, not 'first'"),
        ({"currency": "irr"}, "controls[0].currency", "must be a currency code"),
        ({"currency": 364}, "controls[0].currency", "must be a currency code"),
    ],
)
def test_r2_a_bad_control_is_refused_with_its_path(value: object, path: str, message: str) -> None:
    with pytest.raises(BadControl) as caught:
        debit_control("x", value, "controls[0]")
    assert caught.value.path == path
    assert message in caught.value.message
    assert str(caught.value) == f"{path}: {caught.value.message}"


def test_r3_1_an_action_for_every_cause() -> None:
    value = {"debit": {"restrict": FULL}, "expire": "deny", "suspended": {"restrict": {"pool": "s"}}, "time": None}
    found = finish_rule("garden", value, check_attribute)
    assert found.actions == {
        Cause.DEBIT: Restrict(
            "finish",
            None,
            "overdue",
            "128k/128k",
            600,
            (("Framed-Route", ("10.0.0.0/8", "10.0.0.0/9")), ("Idle-Timeout", 60)),
        ),
        Cause.EXPIRE: DENY,
        Cause.SUSPENDED: Restrict("s"),
    }


def test_r3_1_a_rule_comes_back_from_its_json() -> None:
    value = {"debit": {"restrict": FULL}, "expire": "deny", "traffic": {"restrict": {"ip": "192.0.2.1"}}}
    found = finish_rule("garden", value, check_attribute)
    assert found.to_json() == value
    assert finish_rule("garden", found.to_json(), check_attribute) == found


def test_r3_1_suspended_may_have_an_action_for_each_reason() -> None:
    garden = {"restrict": {"address_list": "pay"}}
    value = {"suspended": {"non_payer": garden, "profile9": "deny", "profile1": None, "*": {"restrict": {"pool": "s"}}}}
    found = finish_rule("garden", value, check_attribute)
    assert found.action(Cause.SUSPENDED, "non_payer") == Restrict(address_list="pay")
    assert found.action(Cause.SUSPENDED, "profile9") == DENY
    assert found.action(Cause.SUSPENDED, "profile1") == found.action(Cause.SUSPENDED, "not_set") == Restrict("s")
    assert found.action(Cause.DEBIT, "non_payer") == DENY
    assert found.to_json() == {
        "suspended": {"non_payer": garden, "profile9": "deny", "*": {"restrict": {"pool": "s"}}},
    }
    assert finish_rule("garden", found.to_json(), check_attribute) == found


def test_r3_2_a_reason_of_suspension_without_an_action_is_denied() -> None:
    value = {"suspended": {"non_payer": {"restrict": {"address_list": "pay"}}}}
    found = finish_rule("garden", value, check_attribute)
    assert found.action(Cause.SUSPENDED, "not_set") == DENY
    assert found.to_json() == value


def test_r3_2_no_action_for_the_cause_denies() -> None:
    found = finish_rule("empty", {}, check_attribute)
    assert [found.action(cause) for cause in FINISH_CAUSES] == [DENY] * 5


def test_r3_2_the_shipped_rule() -> None:
    shipped = finish_rule(WALLED_GARDEN, WALLED_GARDEN_JSON, check_attribute)
    suspended = Restrict(address_list="suspended")
    assert shipped.name == "walled-garden"
    assert {cause: shipped.action(cause) for cause in FINISH_CAUSES} == {
        Cause.SUSPENDED: suspended,
        Cause.TRAFFIC: suspended,
        Cause.EXPIRE: suspended,
        Cause.DEBIT: DENY,
        Cause.TIME: DENY,
    }


def test_r3_1_the_attributes_of_an_action() -> None:
    found = finish_rule("garden", {"debit": {"restrict": FULL}}, check_attribute).action(Cause.DEBIT)
    assert isinstance(found, Restrict)
    assert found.attributes() == (
        ("Framed-Pool", "finish"),
        ("Framed-Route", ("10.0.0.0/8", "10.0.0.0/9")),
        ("Idle-Timeout", 60),
        ("Mikrotik-Address-List", "overdue"),
        ("Mikrotik-Rate-Limit", "128k/128k"),
        ("Session-Timeout", 600),
    )


def test_r3_1_with_a_pool_and_an_address_the_address_is_sent() -> None:
    assert Restrict(pool="finish", ip="192.0.2.1").attributes() == (("Framed-IP-Address", "192.0.2.1"),)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ("deny", "finish_rules[1]", "must be an object"),
        ({"overdue": "deny"}, "finish_rules[1].overdue", "unknown key"),
        ({"login-time": "deny"}, "finish_rules[1].login-time", "unknown key"),
        ({"suspended": {}}, "finish_rules[1].suspended", 'must be "deny" or'),
        (
            {"suspended": {"lazy": "deny"}},
            "finish_rules[1].suspended.lazy",
            "unknown key; known are not_set, non_payer",
        ),
        ({"suspended": {"profile1": "no"}}, "finish_rules[1].suspended.profile1", 'must be "deny" or'),
        ({"suspended": {"*": {"restrict": {}}}}, "finish_rules[1].suspended.*.restrict", "restricts nothing"),
        ({"suspended": {"restrict": {"pool": "a"}, "*": "deny"}}, "finish_rules[1].suspended.restrict", "unknown key"),
        ({"debit": {"non_payer": "deny"}}, "finish_rules[1].debit", 'must be "deny" or'),
        ({"debit": "reject"}, "finish_rules[1].debit", 'must be "deny" or'),
        ({"debit": {"deny": 1}}, "finish_rules[1].debit", 'must be "deny" or'),
        ({"debit": {"restrict": {}}}, "finish_rules[1].debit.restrict", "restricts nothing"),
        ({"debit": {"restrict": {"pool": None}}}, "finish_rules[1].debit.restrict", "restricts nothing"),
        ({"debit": {"restrict": "all"}}, "finish_rules[1].debit.restrict", "must be an object"),
        ({"debit": {"restrict": {"list": "x"}}}, "finish_rules[1].debit.restrict.list", "unknown key"),
        ({"debit": {"restrict": {"pool": 5}}}, "finish_rules[1].debit.restrict.pool", "must be text"),
        ({"debit": {"restrict": {"session_timeout": 0}}}, "finish_rules[1].debit.restrict.session_timeout", "integer"),
        ({"debit": {"restrict": {"reply": []}}}, "finish_rules[1].debit.restrict.reply", "must be an object of reply"),
        (
            {"debit": {"restrict": {"reply": {"Nonsense": 1}}}},
            "finish_rules[1].debit.restrict.reply.Nonsense",
            "Nonsense: no such attribute",
        ),
        (
            {"debit": {"restrict": {"pool": "a", "reply": {"Framed-Pool": "b"}}}},
            "finish_rules[1].debit.restrict.reply.Framed-Pool",
            "is already set by pool",
        ),
    ],
)
def test_r3_1_a_bad_rule_is_refused_with_its_path(value: object, path: str, message: str) -> None:
    with pytest.raises(BadControl) as caught:
        finish_rule("x", value, check_attribute, "finish_rules[1]")
    assert caught.value.path == path
    assert message in caught.value.message


def test_r3_1_the_fields_of_an_action_are_checked_as_attributes() -> None:
    def only_addresses(name: str, value: object) -> None:
        if name == "Framed-IP-Address" and value != "192.0.2.1":
            raise ValueError(f"{name}: {value!r} is not an IPv4 address")

    finish_rule("x", {"debit": {"restrict": {"ip": "192.0.2.1"}}}, only_addresses)
    with pytest.raises(BadControl, match=r"^debit\.restrict\.ip: Framed-IP-Address: 'here' is not an IPv4 address$"):
        finish_rule("x", {"debit": {"restrict": {"ip": "here"}}}, only_addresses)


def test_r3_3_a_hotspot_is_told_all_but_addressing() -> None:
    told = for_hotspot(
        (
            ("Acct-Interim-Interval", 300),
            ("Framed-IP-Address", "192.0.2.7"),
            ("Framed-IP-Netmask", "255.255.255.0"),
            ("Framed-Pool", "finish"),
            ("Framed-Route", "10.0.0.0/8"),
            ("Delegated-IPv6-Prefix", "2001:db8::/56"),
            ("Mikrotik-Address-List", "overdue"),
            ("Mikrotik-Delegated-IPv6-Pool", "v6"),
            ("Mikrotik-Rate-Limit", "1M/1M"),
        )
    )
    assert [name for name, _ in told] == ["Acct-Interim-Interval", "Mikrotik-Address-List", "Mikrotik-Rate-Limit"]


def test_r3_3_what_counts_as_ipv6() -> None:
    assert all(map(is_ipv6, ("Framed-IPv6-Prefix", "Framed-IPv6-Pool", "Framed-IPv6-Route", "Framed-Interface-Id")))
    assert not any(map(is_ipv6, ("Framed-IP-Address", "Framed-Pool", "Mikrotik-Host-IP")))
