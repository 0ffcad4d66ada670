"""What a blocked service is sent: addresses from our own pools, and no IPv6 that leaks (R3.1, R3.3)."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.debit.compile import Compiled, compile
from aaa.debit.controls.fields import BadControl
from aaa.debit.controls.finish_rule import Restrict, finish_rule
from aaa.debit.reply import ADDRESSING, for_hotspot, is_ipv6
from aaa.domain.service import SERVER, Param
from aaa.domain.timeline import Cause, Verdict
from aaa.radius import dictionary
from aaa.radius.grant import HOTSPOT, PPP, fit
from tests.unit.debit.cases import DAY, SERVICE, check_attribute, control, owing, policy, rule

POOLED = {"restrict": {"ip_pool": "finish-ips", "address_list": "overdue"}}
GARDEN = rule(debit=POOLED, expire={"restrict": {"ip_pool": "ended"}}, suspended={"restrict": {"pool": "plain"}})
HOME = (("Framed-Pool", "pool1"), ("Mikrotik-Rate-Limit", "20M/20M"))


def compiled(
    leased: dict[str, str], debt: int = 10, active_to: int | None = None, static: str | None = None
) -> Compiled:
    service = replace(SERVICE, static_ip=static, active_to=active_to)
    found = policy(control(max_delay=20 * 86_400), GARDEN, plan_reply=HOME)
    return compile(found, service, owing(debt), 0, leased=leased)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_r3_1_an_action_may_take_its_address_from_a_pool() -> None:
    action = GARDEN.action(Cause.DEBIT)
    assert action == Restrict(address_list="overdue", ip_pool="finish-ips")
    assert action.attributes() == (("Mikrotik-Address-List", "overdue"),)
    assert GARDEN.to_json()["debit"] == POOLED
    assert finish_rule("garden", GARDEN.to_json(), check_attribute) == GARDEN
    alone = rule(debit={"restrict": {"ip_pool": "finish-ips"}})
    assert finish_rule("garden", alone.to_json(), check_attribute) == alone


@pytest.mark.parametrize(
    ("fields", "path", "fault"),
    [
        ({"ip_pool": "a", "pool": "b"}, "debit.restrict.ip_pool", "cannot go with pool: both give an address"),
        ({"ip_pool": "a", "ip": "10.0.0.1"}, "debit.restrict.ip_pool", "cannot go with ip"),
        ({"ip_pool": ""}, "debit.restrict.ip_pool", "must be the name of a pool, or null"),
        ({"ip_pool": 7}, "debit.restrict.ip_pool", "must be the name of a pool, or null"),
        (
            {"ip_pool": "a", "reply": {"Framed-IP-Address": "10.0.0.1"}},
            "debit.restrict.reply.Framed-IP-Address",
            "is already set by ip_pool",
        ),
        (
            {"ip_pool": "a", "reply": {"Framed-Pool": "b"}},
            "debit.restrict.reply.Framed-Pool",
            "is already set by ip_pool",
        ),
        ({"ip_pool": None}, "debit.restrict", "restricts nothing"),
    ],
)
def test_r3_1_a_pool_goes_with_no_other_address(fields: dict[str, object], path: str, fault: str) -> None:
    with pytest.raises(BadControl) as refused:
        finish_rule("garden", {"debit": {"restrict": fields}}, check_attribute)
    assert refused.value.path == path
    assert fault in refused.value.message


# --- compiling -------------------------------------------------------------------------------------------------------


def test_r3_3_an_address_of_the_pool_replaces_the_pool_of_the_plan_and_a_static_one() -> None:
    for static in (None, "192.0.2.7"):
        found = compiled({"finish-ips": "10.99.0.1"}, static=static)
        restricted = found.timeline.at(20 * DAY)
        assert restricted.verdict is Verdict.RESTRICT
        assert restricted.profile == (
            ("Acct-Interim-Interval", 300),
            ("Framed-IP-Address", "10.99.0.1"),
            ("Mikrotik-Address-List", "overdue"),
            ("Mikrotik-Rate-Limit", "20M/20M"),
        )
        allowed = dict(found.timeline.at(0).profile)
        assert allowed.get("Framed-IP-Address") == static
        assert allowed.get("Framed-Pool") == (None if static else "pool1")


def test_r3_3_without_an_address_the_service_is_restricted_all_the_same() -> None:
    found = compiled({"ended": "10.98.0.1"}, static="192.0.2.7")
    restricted = found.timeline.at(20 * DAY)
    assert restricted.verdict is Verdict.RESTRICT
    assert not {"Framed-IP-Address", "Framed-Pool"} & dict(restricted.profile).keys()


def test_r3_1_the_timeline_says_which_pools_it_wants() -> None:
    assert compiled({}, debt=0).ip_pools == frozenset()
    assert compiled({}).ip_pools == {"finish-ips"}
    assert compiled({}, debt=0, active_to=5 * DAY).ip_pools == {"ended"}
    assert compiled({}, active_to=5 * DAY).ip_pools == {"finish-ips", "ended"}
    assert compiled({}, debt=0, active_to=36 * DAY).ip_pools == frozenset(), "beyond the horizon"
    assert compiled({}).ip_pools == compiled({"finish-ips": "10.99.0.1"}).ip_pools, "whatever it has"


# --- no leaks --------------------------------------------------------------------------------------------------------

DICTIONARY = dictionary.load()
REPLIES: dict[str, object] = {
    "Framed-IP-Address": "192.0.2.9",
    "Framed-IP-Netmask": "255.255.255.0",
    "Framed-Pool": "pool1",
    "Framed-Route": "203.0.113.0/24",
    "Framed-Interface-Id": "0000:0000:0000:0001",
    "Framed-IPv6-Prefix": "2001:db8::/64",
    "Framed-IPv6-Route": "2001:db8:1::/48",
    "Framed-IPv6-Pool": "six",
    "Framed-IPv6-Address": "2001:db8::1",
    "Delegated-IPv6-Prefix": "2001:db8:2::/56",
    "Delegated-IPv6-Prefix-Pool": "six",
    "Stateful-IPv6-Address-Pool": "six",
    "DNS-Server-IPv6-Address": "2001:db8::53",
    "Route-IPv6-Information": "2001:db8:3::/48",
    "Login-IPv6-Host": "2001:db8::2",
    "Mikrotik-Delegated-IPv6-Pool": "six",
    "Mikrotik-Rate-Limit": "20M/20M",
    "Mikrotik-Address-List": "home",
    "Idle-Timeout": 60,
}
KNOWN = {}
for _name, _value in REPLIES.items():
    try:
        DICTIONARY.check(_name, _value)
    except ValueError:
        continue
    KNOWN[_name] = _value

replies = st.sets(st.sampled_from(sorted(KNOWN))).map(lambda names: {name: KNOWN[name] for name in names})
actions = st.fixed_dictionaries(
    {},
    optional={
        "address_list": st.just("garden"),
        "rate_limit": st.just("64k/64k"),
        "ip_pool": st.just("finish-ips"),
        "reply": st.sets(st.sampled_from(sorted(name for name in KNOWN if is_ipv6(name)))).map(
            lambda names: {name: KNOWN[name] for name in names}
        ),
    },
).filter(lambda fields: any(fields.values()))


def test_the_drawn_replies_are_most_of_what_the_dictionary_has_of_ipv6() -> None:
    assert sum(is_ipv6(name) for name in KNOWN) >= 6


def test_r3_3_every_ipv6_attribute_of_the_dictionary_is_known_as_one() -> None:
    """By type and by name, so that a new one cannot slip through."""
    folder = Path(dictionary.__file__).parents[2] / "dictionaries"
    found = [
        line.split()
        for file in sorted(folder.glob("dictionary*"))
        for line in file.read_text("utf-8").splitlines()
        if line.startswith("ATTRIBUTE")
    ]
    sixes = [one[1] for one in found if one[3].startswith(("ipv6", "ifid")) or "v6" in one[1].lower()]
    assert len(sixes) >= 6
    assert [name for name in sixes if not is_ipv6(name)] == []


@settings(max_examples=150)
@given(replies, actions, st.none() | st.just("192.0.2.7"), st.booleans())
def test_r3_3_no_ipv6_leaks_into_a_restricted_reply(
    reply: dict[str, object], fields: dict[str, object], static: str | None, leased: bool
) -> None:
    params = [Param(SERVER, name, value) for name, value in reply.items()]
    found = policy(
        control(max_debt=1), finish_rule("garden", {"debit": {"restrict": fields}}, DICTIONARY.check), *params
    )
    service = replace(SERVICE, static_ip=static)
    addresses = {"finish-ips": "10.99.0.1"} if leased else {}
    segment = compile(found, service, owing(10), 0, leased=addresses).timeline.at(0)
    assert segment.verdict is Verdict.RESTRICT
    sent = dict(segment.profile)
    given_reply = fields.get("reply") or {}
    assert isinstance(given_reply, dict)
    assert {name for name in sent if is_ipv6(name)} == set(given_reply)
    assert not {"Framed-Route", "Framed-IP-Netmask"} & sent.keys()
    if "ip_pool" in fields:
        assert sent.get("Framed-IP-Address") == ("10.99.0.1" if leased else None)
        assert "Framed-Pool" not in sent
    # a hotspot is told no address at all, in the profile's own form and in octets
    hotspot = for_hotspot(segment.profile)
    assert not [name for name, _ in hotspot if is_ipv6(name) or name in ADDRESSING]
    shared = tuple(pair for pair in segment.profile if pair[0] != "Framed-IP-Address")
    encoded = DICTIONARY.encode_profile(shared)
    assert fit(encoded, HOTSPOT).attributes == DICTIONARY.encode_profile(for_hotspot(shared))
    assert fit(encoded, PPP).attributes.endswith(encoded)
