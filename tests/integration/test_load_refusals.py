"""What `ledgate load` refuses beside single bad values, what it goes on to take, and what it warns of."""

from typing import Any

import pytest

from aaa.domain.timeline import Verdict
from aaa.store.database import Database
from aaa.store.tables import control, param, plan, setting
from ledgate.load import BadLoad
from tests.integration.ledger import (
    DAY,
    EXAMPLE,
    NOW,
    SECOND,
    content,
    example,
    put,
    ref,
    rows,
    subscriber,
    timeline_of,
)

BRNO = {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague"}
USE = {"name": "simultaneous-use", "value": 1}


def refused(db: Database, document: dict[str, Any], now: int = NOW) -> BadLoad:
    """Why a file is not loaded; nothing is changed by it."""
    before = content(db)
    with pytest.raises(BadLoad) as caught:
        put(db, document, now)
    assert content(db) == before
    return caught.value


@pytest.mark.parametrize(
    ("section", "one"),
    [
        ("visps", BRNO),
        ("centers", {"name": "x"}),
        ("resellers", {"name": "x"}),
        ("classes", {"name": "x"}),
        ("plans", {"name": "x", "visp": "tehran"}),
        ("pools", {"name": "x", "ranges": ["10.99.0.0/24"]}),
        ("controls", {"name": "x"}),
        ("finish_rules", {"name": "x"}),
        ("suspend_policies", {"name": "x"}),
        ("overdue_policies", {"name": "x"}),
        ("fup_policies", {"name": "x", "levels": [{"gb": 1, "suspend": True}]}),
        ("nas", {"name": "x", "address": "10.0.0.1", "secret": "s"}),
    ],
)
def test_an_object_that_is_there_twice_is_refused_with_both_places(
    database: Database, section: str, one: dict[str, Any]
) -> None:
    put(database, EXAMPLE)
    put(database, {section: [one]})
    told = refused(database, {section: [{**one, "name": "y"}, one, one]})
    assert str(told) == f"{section}[2].name: {one['name']!r} is in {section}[1] already"


def test_plans_of_one_name_in_two_visps_are_two(database: Database) -> None:
    put(database, example(visps=[BRNO], plans=[{"name": "home20", "visp": "brno"}]))
    assert len(rows(database, plan)) == 2


def test_a_subscriber_or_param_that_is_there_twice_is_refused_however_it_is_named(database: Database) -> None:
    put(database, EXAMPLE)
    told = refused(database, {"subscribers": [{"username": "ali"}, {"username": "ali", "visp": "tehran"}]})
    assert str(told) == "subscribers[1].username: 'ali' is in subscribers[0] already"
    for scope, same in (("server", "server"), ("plan:home20", "plan:home20@tehran"), ("user:ali", "user:ali@tehran")):
        told = refused(database, {"params": [{"scope": scope, **USE}, {"scope": same, **USE, "value": 2}]})
        assert str(told) == "params[1].name: 'simultaneous-use' of this scope is in params[0] already"
    put(database, {"params": [{"scope": "server", **USE}, {"scope": "visp:tehran", **USE}]})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"visps": [{**BRNO, "name": "br\nno"}]}, "visps[0].name"),
        ({"visps": [{**BRNO, "realm": "br\tno"}]}, "visps[0].realm"),
        ({"centers": [{"name": "c\x7f"}]}, "centers[0].name"),
        ({"plans": [{"name": "p\u2028", "visp": "tehran"}]}, "plans[0].name"),
        ({"controls": [{"name": "c\x85"}]}, "controls[0].name"),
        ({"nas": [{"name": "mt\x1b[2J", "address": "10.0.0.1", "secret": "s"}]}, "nas[0].name"),
        ({"subscribers": [subscriber("b\rob")]}, "subscribers[0].username"),
        ({"subscribers": [subscriber("bob", account="a\nb")]}, "subscribers[0].account"),
        ({"settings": {"profile_names": {"profile1": "a\nb"}}}, "settings.profile_names.profile1"),
    ],
)
def test_no_name_holds_a_control_character(database: Database, document: dict[str, Any], path: str) -> None:
    put(database, EXAMPLE)
    told = refused(database, document)
    assert told.path == path and "must not hold the control character U+" in str(told)


@pytest.mark.parametrize("address", ["0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "240.0.0.1"])
def test_r5_1_the_server_has_an_address_that_a_host_can_have(database: Database, address: str) -> None:
    told = refused(database, {"settings": {"server_ip": address}})
    assert str(told) == f"settings.server_ip: {address!r} is no address that a host can have"
    put(database, {"settings": {"server_ip": "127.0.0.1"}})
    assert [row.value for row in rows(database, setting)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"settings": {"mikrotik_nat_disable_users": True}}, "settings.mikrotik_nat_disable_users"),
        ({"settings": {"mikrotik_nat_disable_users": False}}, "settings.mikrotik_nat_disable_users"),
        ({"suspend_policies": [{"name": "x", "suspend_non_payers": True}]}, "suspend_policies[0].suspend_non_payers"),
        ({"overdue_policies": [{"name": "x", "remind_pay": False}]}, "overdue_policies[0].remind_pay"),
    ],
)
def test_true_and_false_are_not_1_and_0(database: Database, document: dict[str, Any], path: str) -> None:
    assert str(refused(database, document)) == f"{path}: must be 0 or 1"


@pytest.mark.parametrize("name", ["Debitcontrol", "Framed-Pol", "User-Name", "NAS-IP-Address", "Service-Type"])
def test_a_param_that_cannot_be_is_refused_by_its_name(database: Database, name: str) -> None:
    put(database, EXAMPLE)
    told = refused(database, {"params": [{"scope": "server", "name": name, "value": "x"}]})
    assert told.path == "params[0].name" and str(told).startswith(f"params[0].name: {name}: ")


def test_r2_8_the_visp_of_another_currency_is_named(database: Database) -> None:
    put(database, EXAMPLE)
    put(database, {"controls": [{"name": "Home-Users", "currency": "IRR"}]})
    told = refused(database, {"visps": [BRNO]})
    assert str(told) == "visps[0].currency: DebitControl Home-Users counts in IRR, the VISP brno in CZK"


def test_a_last_payment_is_not_yet_to_come(database: Database) -> None:
    put(database, EXAMPLE)
    told = refused(database, {"subscribers": [subscriber("bob", last_payment="2026-11-24T08:30:01Z")]})
    assert str(told) == ("subscribers[0].last_payment: 2026-11-24T08:30:01Z is yet to come: nobody has paid then")
    put(database, {"subscribers": [subscriber("bob", last_payment="2026-11-24T08:30:01Z")]}, NOW + SECOND)


@pytest.mark.parametrize("rate", ["fast", "2M/4M 3M/6M 1M/2M 8/8 9", ["1M", "2M"]])
@pytest.mark.parametrize(
    ("section", "path"),
    [
        ("params", "value"),
        ("plans", "reply.Mikrotik-Rate-Limit"),
        ("finish_rules", "debit.restrict.rate_limit"),
        ("fup_policies", "levels[0].reduce"),
    ],
)
def test_a_rate_limit_is_one_that_a_router_takes(database: Database, section: str, path: str, rate: object) -> None:
    def document(value: object) -> dict[str, Any]:
        return {
            "params": [{"scope": "server", "name": "Mikrotik-Rate-Limit", "value": value}],
            "plans": [{"name": "x", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": value}}],
            "finish_rules": [{"name": "x", "debit": {"restrict": {"rate_limit": value}}}],
            "fup_policies": [{"name": "x", "levels": [{"gb": 1, "reduce": value}]}],
        }

    put(database, EXAMPLE)
    assert refused(database, {section: document(rate)[section]}).path == f"{section}[0].{path}"
    put(database, {section: document("2M/4M 3M/6M 1M/2M 8/8 5 1M/1M")[section]})


def test_what_an_older_version_stored_goes_on_and_may_stay(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -900_000)]))
    odd = {"Mikrotik-Rate-Limit": "fast", "NAS-Identifier": "mt1"}
    rule = {"debit": {"restrict": {"rate_limit": "fast", "address_list": "overdue"}}}
    with database.write() as conn:
        conn.execute(plan.update().values(reply=odd))
        conn.execute(control.update().where(control.c.name == "garden").values(value=rule))
        row = {"level": "server", "scope_id": 0, "name": "NAS-Port", "value": 7, "status": "passthrough-yes"}
        conn.execute(param.insert(), row)
    stored = {
        "plans": [{"name": "home20", "visp": "tehran", "reply": {**odd, "Idle-Timeout": 60}}],
        "finish_rules": [{"name": "garden", "expire": "deny"}],
        "params": [{"scope": "server", "name": "NAS-Port", "status": "disabled"}],
    }
    put(database, stored, NOW + DAY)
    profile = dict(timeline_of(database, "bob")[0].at(NOW + DAY).profile)
    assert (profile["Mikrotik-Rate-Limit"], profile["Idle-Timeout"]) == ("fast", 60)
    assert timeline_of(database, "bob")[0].at(NOW + DAY).verdict is Verdict.RESTRICT
    again = {"plans": [{"name": "home20", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": "faster"}}]}
    assert refused(database, again).path == "plans[0].reply.Mikrotik-Rate-Limit"
    put(database, {"params": [{"scope": "server", "name": "NAS-Port", "value": None}]}, NOW + DAY)


def test_a_name_that_comes_to_several_visps_is_told(database: Database) -> None:
    put(database, EXAMPLE)
    counts = put(database, {"visps": [BRNO], "subscribers": [subscriber("bob"), subscriber("eve")]})
    assert counts.ambiguous == {}
    there = [subscriber(name, visp="brno", plan=None) for name in ("ali", "eve", "joe")]
    assert put(database, {"subscribers": there}).ambiguous == {"ali": ["brno", "tehran"], "eve": ["brno", "tehran"]}
    assert put(database, {"subscribers": there}).ambiguous == {}  # nobody is new
    twins = [subscriber("zoe", visp=name, plan=None) for name in ("brno", "tehran")]
    assert put(database, {"subscribers": twins}).ambiguous == {"zoe": ["brno", "tehran"]}
    assert ref(database, "joe").visp == "brno"


def box(name: str, **more: Any) -> dict[str, Any]:
    """A router with an API."""
    api = {"host": "192.0.2.9", "user": "u", "password": "p", **more}
    return {"name": name, "address": "192.0.2.9", "identifier": name, "secret": "s", "api": api}


def test_two_routers_with_one_api_are_refused(database: Database) -> None:
    put(database, EXAMPLE)
    put(database, {"nas": [box("mt1"), box("mt2", port=8730)]})
    told = refused(database, {"nas": [box("mt3")]})
    assert str(told) == "nas[0].api: mt1 and mt3 both have 192.0.2.9 port 8728"


@pytest.mark.parametrize(
    ("nas", "fault"),
    [
        ({"api": {"host": "10.0.0.1", "user": "u"}}, "nas[0].api.password: is missing"),
        ({"api": {"host": "not a host", "user": "u", "password": "p"}}, "nas[0].api.host: 'not a host' is neither"),
        ({"api": {"host": "h", "user": "u", "password": "p", "port": 0}}, "nas[0].api.port: must be a whole number"),
        ({"api": {"hots": "h"}}, "nas[0].api.hots: unknown key"),
        ({"address_list_by": "api"}, "nas[0].address_list_by: address lists by the API need the router's api"),
        ({"address_list_by": "hand"}, "nas[0].address_list_by: must be one of coa, api, disconnect"),
        ({"disconnects_per_second": 0}, "nas[0].disconnects_per_second: must be a whole number from 1 to 1000"),
        (
            {"address": "10.0.0.0/24", "api": {"host": "h", "user": "u", "password": "p"}},
            "nas[0].api: 10.0.0.0/24 may be many routers, and an api is one router's",
        ),
    ],
)
def test_a_router_that_cannot_be_told_is_refused(database: Database, nas: dict[str, Any], fault: str) -> None:
    put(database, EXAMPLE)
    told = refused(database, {"nas": [{"name": "x", "address": "10.0.0.1", "secret": "s", **nas}]})
    assert str(told).startswith(fault)


@pytest.mark.parametrize(
    ("page", "fault"), [("https://bank.example", "URL"), ("bank..example", "neither"), (7, "must be text")]
)
def test_a_page_is_an_address_or_a_name(database: Database, page: Any, fault: str) -> None:
    assert fault in str(refused(database, {"settings": {"allowed_pages": ["bank.example", page]}}))
