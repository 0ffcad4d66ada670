"""`ledgate load`: what it puts, what it refuses, and that a refusal changes nothing."""

from typing import Any

import pytest

from aaa.domain.standing import Due
from aaa.domain.timeline import Cause, Verdict
from aaa.store.database import Database
from aaa.store.facts import standing_of
from aaa.store.tables import account, control, enforcement, event, nas, param, plan, service, visp
from billing.tables import charge, opening, posting, price
from ledgate.load import BadLoad
from tests.integration.ledger import (
    DAY,
    EXAMPLE,
    LAST_PAYMENT,
    NOW,
    SEALER,
    content,
    example,
    make_live,
    put,
    ref,
    rows,
    service_row,
    subscriber,
    timeline_of,
)


def test_the_example_of_the_manual_loads(database: Database) -> None:
    counts = put(database, EXAMPLE)
    given = {"visps": 1, "plans": 1, "controls": 2, "finish_rules": 1, "params": 3, "nas": 1, "subscribers": 1}
    assert {section: count for section, count in counts.sections.items() if count} == given
    assert (counts.created, counts.jobs) == (1, [])
    [place] = rows(database, visp)
    assert (place.name, place.currency, place.timezone, place.realm) == (
        "tehran",
        "IRR",
        "Asia/Tehran",
        "tehran.example",
    )
    [router] = rows(database, nas)
    assert (router.address, router.identifier, router.coa_port, router.octets) == ("127.0.0.1", None, 3799, "rfc")
    assert SEALER.unseal("nas", "secret", router.id, router.secret) == b"testing123"
    ali = service_row(database, "ali")
    assert SEALER.unseal("service", "password", ali.id, ali.password) == b"secret"
    assert [(row.months, row.amount) for row in rows(database, price)] == [(1, 400000)]
    timeline, version = timeline_of(database, "ali")
    assert version == 1
    [segment] = timeline.segments  # VIP: no limit
    assert (segment.verdict, segment.reason) == (Verdict.ALLOW, None)
    assert dict(segment.profile)["Framed-Pool"] == "pool1"


def test_r2_9_the_control_on_the_server_blocks_whoever_reached_it_and_the_garden_is_his(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -800_000), subscriber("eve", -799_999)]))
    blocked = timeline_of(database, "bob")[0].at(NOW)
    assert blocked.verdict is Verdict.RESTRICT
    assert blocked.reason is not None and blocked.reason.cause is Cause.DEBIT and blocked.reason.scope == "server"
    assert dict(blocked.profile)["Framed-Pool"] == "finish"
    free = timeline_of(database, "eve")[0]
    assert free.at(NOW).verdict is Verdict.ALLOW
    assert free.next_change(NOW) == NOW + 30 * DAY  # its debt began at loading (R2.3)


def test_the_opening_is_posted_once_and_its_debt_begins_and_is_due_at_the_last_payment(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -5), subscriber("eve", 7), subscriber("joe")]))
    again = example(subscribers=[subscriber("bob", -900), subscriber("eve", 1), subscriber("joe", -1)])
    put(database, again, NOW + DAY)
    found = {ref(database, name).account_id: name for name in ("ali", "bob", "eve", "joe")}
    standings = {found[row.id]: standing_of(row.id, row) for row in rows(database, account)}
    ali, bob, eve, joe = (standings[name] for name in ("ali", "bob", "eve", "joe"))
    assert (ali.debt, ali.debt_since, ali.last_payment_at) == (812_000, LAST_PAYMENT, LAST_PAYMENT)
    assert [(due.due_at, due.remaining) for due in ali.dues] == [(LAST_PAYMENT, 812_000)]
    assert (bob.debt, bob.debt_since, bob.last_payment_at) == (5, NOW, None)
    assert [(due.due_at, due.remaining) for due in bob.dues] == [(NOW, 5)]
    assert (eve.debt, eve.credit, eve.dues) == (0, 7, ())
    assert (joe.debt, joe.credit) == (0, 0)
    assert sorted(row.amount for row in rows(database, posting)) == sorted((812_000, -812_000, 5, -5, 7, -7))
    assert {row.amount for row in rows(database, charge)} == {812_000, 5}
    assert ali.dues[0] == Due(rows(database, charge, charge.c.amount == 812_000)[0].id, LAST_PAYMENT, 812_000)
    assert len(rows(database, opening)) == 3  # joe had nothing to open with


def test_a_last_payment_without_a_balance_is_kept(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", last_payment="2026-11-01T03:30:00+03:30")]))
    [row] = rows(database, account, account.c.id == ref(database, "bob").account_id)
    assert row.last_payment_at == LAST_PAYMENT and row.debt == 0


def test_loading_twice_changes_nothing_and_leaves_no_event(database: Database) -> None:
    document = example(subscribers=[subscriber("bob", -5, mac="aa-bb-cc-dd-ee-ff", static_ip="10.0.0.9")])
    put(database, document)
    before = content(database)
    assert put(database, document, NOW + 3 * DAY).created == 0
    assert content(database) == before


def test_absent_keys_stay_and_null_clears(database: Database) -> None:
    extra = subscriber("bob", static_ip="10.0.0.9", mac="aabbccddeeff", mac_auth=True, active_to="2027-01-01")
    put(database, example(subscribers=[extra]))
    before = service_row(database, "bob")
    assert before.mac == "AA:BB:CC:DD:EE:FF" and before.active_to == 1798749000_000_000  # midnight in Tehran
    put(database, {"subscribers": [{"username": "bob"}]})
    assert service_row(database, "bob") == before
    cleared = {"static_ip": None, "mac": None, "mac_auth": None, "active_to": None, "plan": None}
    put(database, {"subscribers": [{"username": "bob", **cleared}]})
    after = service_row(database, "bob")
    assert (after.static_ip, after.mac, after.mac_auth, after.active_to, after.plan_id) == (
        None,
        None,
        False,
        None,
        None,
    )
    assert after.password == before.password
    put(database, {"plans": [{"name": "home20", "visp": "tehran", "price": None, "reply": None}]})
    assert rows(database, price) == [] and rows(database, plan)[0].reply == {}
    put(database, {"visps": [{"name": "tehran", "realm": None}]})
    assert rows(database, visp)[0].realm is None
    put(database, {"visps": [EURO | {"realm": None}]})  # several may have none
    put(database, {"controls": [{"name": "Home-Users", "max_debt": None}]})
    [changed] = rows(database, control, control.c.name == "Home-Users")
    assert (changed.value["max_debt"], changed.value["max_delay"]) == (None, 2592000)
    put(database, {"params": [{"scope": "server", "name": "DebitControl", "value": None}]})
    assert rows(database, param, param.c.name == "DebitControl", param.c.level == "server") == []


def test_null_gives_a_routers_settings_their_defaults_back(database: Database) -> None:
    put(database, EXAMPLE)
    set_to = {"octets": "client", "coa_port": 1700, "require_message_authenticator": "yes", "coa_address": "10.1.1.1"}
    put(database, {"nas": [{"name": "mt1", "previous_secret": "old", "identifier": "mt", **set_to}]})
    [row] = rows(database, nas)
    assert (row.octets, row.coa_port, row.require_message_authenticator, row.identifier) == (
        "client",
        1700,
        "yes",
        "mt",
    )
    assert SEALER.unseal("nas", "previous_secret", row.id, row.previous_secret) == b"old"
    assert SEALER.unseal("nas", "secret", row.id, row.secret) == b"testing123"
    put(database, {"nas": [{"name": "mt1", "previous_secret": None, "identifier": None, **dict.fromkeys(set_to)}]})
    [row] = rows(database, nas)
    assert (row.octets, row.coa_port, row.require_message_authenticator) == ("rfc", 3799, "auto")
    assert (row.previous_secret, row.identifier, row.coa_address) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/32", "10.1.2.3"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
    ],
)
def test_a_router_is_an_address_or_a_prefix(database: Database, given: str, stored: str) -> None:
    put(database, {"nas": [{"name": "mt", "address": given, "secret": "s1", "previous_secret": "s0"}]})
    assert rows(database, nas)[0].address == stored


def test_a_new_password_is_sealed_anew_and_the_same_one_is_not(database: Database) -> None:
    put(database, EXAMPLE)
    before = service_row(database, "ali")
    events = len(rows(database, event))
    put(database, {"subscribers": [{"username": "ali", "password": "secret"}]})
    assert service_row(database, "ali").password == before.password
    assert len(rows(database, event)) == events
    put(database, {"subscribers": [{"username": "ali", "password": "another"}]})
    after = service_row(database, "ali")
    assert SEALER.unseal("service", "password", after.id, after.password) == b"another"
    assert timeline_of(database, "ali")[1] == 2  # the record carries it
    last = rows(database, event)[-1]
    assert (last.kind, last.subject, last.after) == ("update", f"service:{after.id}", {"password": "***"})


def test_no_event_holds_a_password_or_a_secret(database: Database) -> None:
    put(database, EXAMPLE)
    put(
        database,
        {
            "nas": [{"name": "mt1", "secret": "renewed99"}],
            "subscribers": [{"username": "ali", "password": "renewed98"}],
        },
    )
    kept = repr(rows(database, event))
    for word in ("testing123", "renewed99", "renewed98", "'secret'", '"secret"'):
        assert word not in kept.replace("'secret': '***'", "")


def test_a_static_address_rides_in_the_reply_of_who_is_allowed_only(database: Database) -> None:
    put(
        database,
        example(
            subscribers=[subscriber("bob", static_ip="10.0.0.9"), subscriber("eve", -900_000, static_ip="10.0.0.8")]
        ),
    )
    assert dict(timeline_of(database, "bob")[0].at(NOW).profile)["Framed-IP-Address"] == "10.0.0.9"
    restricted = dict(timeline_of(database, "eve")[0].at(NOW).profile)  # R3.3
    assert "Framed-IP-Address" not in restricted and restricted["Framed-Pool"] == "finish"


def test_params_are_keyed_by_scope_and_name_and_every_change_of_one_says_which(database: Database) -> None:
    put(database, EXAMPLE)
    put(database, {"params": [{"scope": "server", "name": "DebitControl", "value": "VIP"}]})
    put(database, {"params": [{"scope": "server", "name": "DebitControl", "status": "disabled"}]})
    [row] = rows(database, param, param.c.level == "server", param.c.name == "DebitControl")
    assert (row.value, row.status) == ("VIP", "disabled")
    put(database, {"params": [{"scope": "user:ali", "name": "DebitControl", "value": None}]})
    told = [(row.kind, row.subject, row.before, row.after) for row in rows(database, event)[-3:]]
    assert told == [
        (
            "update",
            "server",
            {"param": "DebitControl", "value": "Home-Users"},
            {"param": "DebitControl", "value": "VIP"},
        ),
        (
            "update",
            "server",
            {"param": "DebitControl", "status": "passthrough-yes"},
            {"param": "DebitControl", "status": "disabled"},
        ),
        (
            "delete",
            f"service:{ref(database, 'ali').service_id}",
            {"param": "DebitControl", "value": "VIP", "status": "passthrough-yes"},
            None,
        ),
    ]


def test_r1_3_a_disabled_param_on_the_user_lets_the_servers_through(database: Database) -> None:
    put(database, EXAMPLE)
    assert timeline_of(database, "ali")[0].at(NOW).verdict is Verdict.ALLOW
    put(database, {"params": [{"scope": "user:ali", "name": "DebitControl", "status": "disabled"}]})
    timeline, version = timeline_of(database, "ali")
    assert (timeline.at(NOW).verdict, version) == (Verdict.RESTRICT, 2)


def test_r3_1_restrict_takes_ip_session_timeout_and_reply(database: Database) -> None:
    action = {"ip": "10.9.0.1", "session_timeout": 600, "reply": {"Mikrotik-Group": "late", "Idle-Timeout": 60}}
    rule = {"name": "garden", "debit": {"restrict": action}}
    put(database, example(subscribers=[subscriber("bob", -900_000)]) | {"finish_rules": [rule]})
    profile = dict(timeline_of(database, "bob")[0].at(NOW).profile)
    assert (profile["Framed-IP-Address"], profile["Session-Timeout"]) == ("10.9.0.1", 600)
    assert (profile["Mikrotik-Group"], profile["Idle-Timeout"]) == ("late", 60)
    assert "Framed-Pool" not in profile


def test_a_subscriber_needs_no_visp_where_one_only_has_his_name(database: Database) -> None:
    put(database, EXAMPLE)
    put(database, {"subscribers": [{"username": "ali", "static_ip": "10.0.0.7"}]})
    assert service_row(database, "ali").static_ip == "10.0.0.7"
    second = {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague"}
    put(database, {"visps": [second], "subscribers": [{"username": "ali", "password": "x", "visp": "brno"}]})
    with pytest.raises(BadLoad, match=r"subscribers\[0\]\.visp: is missing"):
        put(database, {"subscribers": [{"username": "ali", "static_ip": "10.0.0.8"}]})
    put(database, {"subscribers": [{"username": "ali", "visp": "brno", "static_ip": "10.0.0.8"}]})
    assert {row.static_ip for row in rows(database, service)} == {"10.0.0.7", "10.0.0.8"}
    with pytest.raises(BadLoad, match="names several"):
        put(database, {"params": [{"scope": "user:ali", "name": "simultaneous-use", "value": 1}]})
    put(database, {"params": [{"scope": "user:ali@brno", "name": "simultaneous-use", "value": 1}]})


def test_live_sessions_are_planned_again_when_a_load_changes_their_service(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob")]))
    live = make_live(database, ["ali", "bob"])
    put(database, {"subscribers": [{"username": "bob", "static_ip": "10.0.0.7"}]})
    [wish] = rows(database, enforcement)
    assert (wish.session_id, wish.wanted_version, wish.cause) == (live["bob"], 2, "update")


EURO = {"name": "linz", "currency": "EUR", "timezone": "Europe/Vienna"}
IN_IRR = {"name": "Home-Users", "currency": "IRR"}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""),
        ({"visp": []}, "visp"),
        ({"visps": {}}, "visps"),
        ({"visps": ["tehran"]}, "visps[0]"),
        ({"visps": [{"name": "x", "currency": "IRR", "timezone": "Asia/Tehran", "zone": 1}]}, "visps[0].zone"),
        ({"visps": [{"name": "x", "currency": "XQZ", "timezone": "Asia/Tehran"}]}, "visps[0].currency"),
        ({"visps": [{"name": "x", "currency": "IRR", "timezone": "Asia/Teheran"}]}, "visps[0].timezone"),
        ({"visps": [{"name": "x", "currency": "IRR"}]}, "visps[0].timezone"),
        ({"visps": [{**EURO, "realm": "tehran.example"}]}, "visps[0].realm"),
        ({"visps": [{**EURO, "realm": "Tehran.Example"}]}, "visps[0].realm"),
        ({"visps": [{"name": "tehran", "currency": "EUR"}]}, "visps[0].currency"),
        ({"visps": [{"name": "tehran", "timezone": None}]}, "visps[0].timezone"),
        ({"centers": [{"name": ""}]}, "centers[0].name"),
        ({"resellers": [{}]}, "resellers[0].name"),
        ({"classes": [{"name": "x", "visp": "tehran"}]}, "classes[0].visp"),
        ({"plans": [{"name": "x", "visp": "shiraz"}]}, "plans[0].visp"),
        ({"plans": [{"name": "x", "visp": "tehran", "reply": {"No-Such": 1}}]}, "plans[0].reply.No-Such"),
        ({"plans": [{"name": "x", "visp": "tehran", "reply": {"Framed-IP-Address": "10.0.0.300"}}]}, "plans[0].reply"),
        ({"plans": [{"name": "x", "visp": "tehran", "reply": {"Session-Timeout": "long"}}]}, "plans[0].reply"),
        ({"plans": [{"name": "x", "visp": "tehran", "reply": ["Framed-Pool"]}]}, "plans[0].reply"),
        ({"plans": [{"name": "x", "visp": "tehran", "price": 1.5}]}, "plans[0].price"),
        ({"plans": [{"name": "x", "visp": "tehran", "price": True}]}, "plans[0].price"),
        ({"controls": [{"name": "x", "max_debt": -1}]}, "controls[0].max_debt"),
        ({"controls": [{"name": "x", "max_dept": 1}]}, "controls[0].max_dept"),
        ({"controls": [{"name": "x", "anchor": "birth"}]}, "controls[0].anchor"),
        ({"finish_rules": [{"name": "x", "debit": "allow"}]}, "finish_rules[0].debit"),
        ({"finish_rules": [{"name": "x", "debit": {"restrict": {"ip": "10"}}}]}, "finish_rules[0].debit.restrict.ip"),
        ({"params": [{"scope": "world", "name": "DebitControl", "value": "VIP"}]}, "params[0].scope"),
        ({"params": [{"scope": "user:zoe", "name": "DebitControl", "value": "VIP"}]}, "params[0].scope"),
        ({"params": [{"scope": "server", "name": "DebitControl", "value": "Nobody"}]}, "params[0].value"),
        ({"params": [{"scope": "server", "name": "Debitcontrol", "value": "VIP"}]}, "params[0].name"),
        ({"params": [{"scope": "server", "name": "DebitControl", "value": "VIP", "status": "on"}]}, "params[0].status"),
        ({"params": [{"scope": "visp:tehran", "name": "simultaneous-use"}]}, "params[0].value"),
        ({"params": [{"scope": "visp:tehran", "name": "simultaneous-use", "value": 0}]}, "params[0].value"),
        ({"params": [{"scope": "server", "name": "allowed-nas", "value": ["mt9"]}]}, "params[0].value[0]"),
        ({"params": [{"scope": "server", "name": "allowed-methods", "value": ["pap", "eap"]}]}, "params[0].value[1]"),
        ({"nas": [{"name": "x", "address": "10.0.0.1"}]}, "nas[0].secret"),
        ({"nas": [{"name": "x", "address": "10.0.0.1/8", "secret": "hush"}]}, "nas[0].address"),
        ({"nas": [{"name": "x", "address": "router", "secret": "hush"}]}, "nas[0].address"),
        ({"nas": [{"name": "mt1", "secret": None}]}, "nas[0].secret"),
        ({"nas": [{"name": "mt1", "octets": "both"}]}, "nas[0].octets"),
        ({"nas": [{"name": "mt1", "coa_port": 0}]}, "nas[0].coa_port"),
        ({"nas": [{"name": "x", "address": "127.0.0.1", "secret": "hush"}]}, "nas[0].address"),
        ({"nas": [{"name": "x", "address": "::ffff:127.0.0.1", "secret": "hush"}]}, "nas[0].address"),
        ({"subscribers": [subscriber("x"), subscriber("x")]}, "subscribers[1].username"),
        ({"subscribers": [subscriber("x", visp="shiraz")]}, "subscribers[0].visp"),
        ({"subscribers": [subscriber("x", plan="home99")]}, "subscribers[0].plan"),
        ({"subscribers": [subscriber("x", center="c9")]}, "subscribers[0].center"),
        ({"subscribers": [subscriber("x", reseller="r9")]}, "subscribers[0].reseller"),
        ({"resellers": [{"name": "r9"}], "subscribers": [subscriber("x", **{"class": "r9"})]}, "subscribers[0].class"),
        ({"params": [{"scope": "class:x", "name": "simultaneous-use", "value": 1}]}, "params[0].scope"),
        ({"subscribers": [subscriber("x", balance="-5")]}, "subscribers[0].balance"),
        ({"subscribers": [subscriber("x", balance=2**63)]}, "subscribers[0].balance"),
        ({"subscribers": [subscriber("x", last_payment="yesterday")]}, "subscribers[0].last_payment"),
        ({"subscribers": [subscriber("x", active_to="9999-12-31")]}, "subscribers[0].active_to"),
        ({"subscribers": [subscriber("x", static_ip="2001:db8::1")]}, "subscribers[0].static_ip"),
        ({"subscribers": [subscriber("x", mac="aa:bb")]}, "subscribers[0].mac"),
        ({"subscribers": [subscriber("x", mac_auth="yes")]}, "subscribers[0].mac_auth"),
        ({"subscribers": [subscriber("x", password="")]}, "subscribers[0].password"),
        ({"subscribers": [subscriber("x", password="a\0b")]}, "subscribers[0].password"),
        ({"subscribers": [subscriber("x", password="\ud800")]}, "subscribers[0].password"),
        ({"subscribers": [{"username": "ali", "password": None}]}, "subscribers[0].password"),
        ({"subscribers": [subscriber("é" * 127)]}, "subscribers[0].username"),
        ({"subscribers": [{"username": "x", "visp": "tehran"}]}, "subscribers[0].password"),
        ({"subscribers": [subscriber("x", email="x@example.net")]}, "subscribers[0].email"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_with_its_path_and_nothing_changes(database: Database, document: Any, path: str) -> None:
    put(database, EXAMPLE)
    before = content(database)
    valid = {"controls": [{"name": "fresh"}]}
    with pytest.raises(BadLoad) as caught:
        put(database, valid | document if isinstance(document, dict) else document)
    assert str(caught.value).startswith(f"{path}: " if path and not path.endswith("reply") else path)
    assert "hush" not in str(caught.value)
    assert content(database) == before


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"visps": [EURO], "controls": [IN_IRR]}, "controls[0].currency"),
        ({"controls": [{"name": "Home-Users", "currency": "EUR"}]}, "controls[0].currency"),
        (
            {
                "controls": [{"name": "euro", "currency": "EUR"}],
                "params": [{"scope": "visp:tehran", "name": "DebitControl", "value": "euro"}],
            },
            "params[0].value",
        ),
        (
            {
                "controls": [{"name": "euro", "currency": "EUR"}],
                "params": [{"scope": "plan:home20", "name": "DebitControl", "value": "euro"}],
            },
            "params[0].value",
        ),
        (
            {
                "controls": [{"name": "euro", "currency": "EUR"}],
                "params": [{"scope": "user:ali", "name": "DebitControl", "value": "euro"}],
            },
            "params[0].value",
        ),
    ],
)
def test_r2_8_a_control_of_another_currency_than_the_visps_is_refused(
    database: Database, document: dict[str, Any], path: str
) -> None:
    put(database, EXAMPLE)
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, document)
    assert caught.value.path == path
    assert content(database) == before


def test_r2_8_a_visp_of_another_currency_than_the_servers_control_is_refused(database: Database) -> None:
    put(database, EXAMPLE)
    put(database, {"controls": [IN_IRR]})
    with pytest.raises(BadLoad, match=r"visps\[0\]\.currency: .*IRR.*EUR"):
        put(database, {"visps": [EURO]})
    euro = {"name": "euro", "currency": "EUR"}
    narrowed = [
        {"scope": "server", "name": "DebitControl", "value": None},
        {"scope": "visp:tehran", "name": "DebitControl", "value": "Home-Users"},
        {"scope": "visp:linz", "name": "DebitControl", "value": "euro"},
    ]
    put(database, {"visps": [EURO], "controls": [euro], "params": narrowed})  # judged by what comes out


def test_routers_may_exchange_their_addresses(database: Database) -> None:
    put(
        database,
        {
            "nas": [
                {"name": name, "address": address, "secret": "s"}
                for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))
            ]
        },
    )
    put(database, {"nas": [{"name": "a", "address": "10.0.0.2"}, {"name": "b", "address": "10.0.0.1"}]})
    assert {row.name: row.address for row in rows(database, nas)} == {"a": "10.0.0.2", "b": "10.0.0.1"}
