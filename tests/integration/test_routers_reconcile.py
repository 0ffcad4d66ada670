"""A router is brought to hold what is wanted, over its API: once, completely, and undone where it refuses."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aaa.domain.settings import Settings
from aaa.routeros.client import Client, LoginRefused, RouterAway, Where
from aaa.routeros.operations import Add, Operation
from aaa.routeros.reconcile import Comparison, NotApplied, apply, compare, compare_with_nothing
from aaa.routeros.rows import ADDRESS_LIST, FILTER, FILTER_6, INCOMING, NAT, PPP_AAA, RADIUS, WALLED_GARDEN
from aaa.routeros.wanted import Box as Known
from aaa.routeros.wanted import Rules
from ledgate.lab.routeros.tables import Item
from tests.integration.routers import Box, box

SETTINGS = Settings(server_ip="192.0.2.80", allowed_pages=("bank.example", "203.0.113.80", "2001:db8::80"))
RULES = Rules(SETTINGS, ("suspended", "Novák کوه"), frozenset(("allow", "reject", "redirect")))
KNOWN = Known(8601, 3799, "testing123")


def nothing() -> None:
    """Nobody else wants the router."""


@pytest.fixture(params=["7.16.2", "6.49.10", "7.18.2"])
def router(request: pytest.FixtureRequest) -> Iterator[Box]:
    with box(request.param) as made:
        yield made


def bring(router: Box, rules: Rules = RULES, known: Known = KNOWN) -> Comparison:
    with router.client() as client:
        found = compare(client, rules, known)
        apply(client, found.operations, nothing)
    return found


def differs(router: Box, rules: Rules = RULES, known: Known = KNOWN) -> list[Operation]:
    with router.client() as client:
        return list(compare(client, rules, known).operations)


def told(rows: list[Item]) -> list[str]:
    return [row["comment"].split(":")[1] for row in rows]


def test_a_router_is_set_up_and_a_second_run_changes_nothing(router: Box) -> None:
    before = router.foreign()
    assert bring(router).version.startswith(router.device.version_text)
    assert differs(router) == []
    assert router.foreign() == before
    forward = [row for row in router.rows(FILTER) if row["chain"] == "forward"]
    assert [row["action"] for row in forward] == ["drop", "jump", "fasttrack-connection", "accept", "drop"]
    srcnat = [row["action"] for row in router.rows(NAT) if row["chain"] == "srcnat"]
    assert srcnat == ["jump", "masquerade"]
    assert [(row["accept"], row["port"]) for row in router.rows(INCOMING)] == [("true", "3799")]
    assert [row["use-radius"] for row in router.rows(PPP_AAA)] == ["true"]
    [radius] = router.ours(RADIUS)
    assert (radius["address"], radius["secret"]) == ("192.0.2.80", "testing123")
    assert ("require-message-auth" in radius) == (router.device.version >= (7, 15))
    writes = len(router.writes)
    bring(router)
    assert len(router.writes) == writes


def test_only_what_differs_is_changed(router: Box) -> None:
    bring(router)
    writes = len(router.writes)
    [drop] = [row for row in router.ours(FILTER) if told([row]) == ["drop-from"]]
    router.do(FILTER, "set", **{".id": drop[".id"], "disabled": "yes"})
    bring(router)
    assert len(router.writes) - writes == 1
    more = replace(RULES, settings=replace(SETTINGS, allowed_pages=(*SETTINGS.allowed_pages, "198.51.100.0/24")))
    bring(router, more)
    assert len(router.writes) - writes == 3, "the rule, the entry, and that of the walled garden"
    assert differs(router, more) == []


def test_what_hands_did_is_mended_and_what_is_theirs_stays(router: Box) -> None:
    bring(router)
    rules = router.ours(FILTER)
    router.do(FILTER, "add", chain="forward", action="fasttrack-connection", **{"place-before": rules[0][".id"]})
    jump = next(row for row in rules if row["chain"] == "forward")
    first = next(row for row in router.rows(FILTER) if row["chain"] == "forward")
    router.do(FILTER, "move", numbers=jump[".id"])
    router.do(FILTER, "remove", **{".id": next(row for row in rules if told([row]) == ["dns-from-udp"])[".id"]})
    router.do(
        FILTER,
        "set",
        **{".id": next(row for row in rules if told([row]) == ["reset"])[".id"], "src-address": "10.0.0.9"},
    )
    router.do(
        FILTER,
        "move",
        numbers=next(row for row in rules if told([row]) == ["drop-to"])[".id"],
        destination=first[".id"],
    )
    router.do(NAT, "set", **{".id": router.ours(NAT)[0][".id"], "comment": "mine now"})
    theirs = router.foreign()
    bring(router)
    assert differs(router) == []
    assert router.foreign() == theirs
    forward = [row for row in router.rows(FILTER) if row["chain"] == "forward"]
    assert [row["action"] for row in forward][:2] == ["drop", "jump"] or forward[0]["action"] == "jump"


def test_r5_1_remind_pay_0_takes_everything_of_reminders_off(router: Box) -> None:
    bring(router, Rules(SETTINGS, (), RULES.https))
    assert [row for row in router.ours(NAT) if "overdue" in str(row)]
    bring(router, Rules(SETTINGS))
    for menu in (NAT, FILTER):
        assert router.ours(menu) == []


def test_all_of_it_is_taken_off_and_foreign_rows_stay(router: Box) -> None:
    before = router.foreign()
    bring(router)
    timed = {"list": "suspended", "address": "10.0.0.7", "comment": "ledgate:s12:0badc0de", "timeout": "30d"}
    router.do(ADDRESS_LIST, "add", **timed)
    assert differs(router) == [], "entries of sessions are no business of a comparison"
    with router.client() as client:
        apply(client, compare_with_nothing(client).operations, nothing)
        assert list(compare_with_nothing(client).operations) == []
    for menu in (NAT, FILTER, FILTER_6, ADDRESS_LIST, RADIUS):
        assert router.ours(menu) == []
    assert router.foreign() == before


def test_a_hotspot_gets_its_walled_garden_before_what_denies(router: Box) -> None:
    router.do("/ip/hotspot", "add", name="hs1", interface="ether1")
    router.do(WALLED_GARDEN, "add", action="reject", **{"dst-host": "evil.example"})
    bring(router)
    assert differs(router) == []
    rows = router.rows(WALLED_GARDEN)
    assert [row["action"] for row in rows] == ["accept", "accept", "accept", "reject"]


def test_a_foreign_radius_entry_for_the_server_is_left_alone(router: Box) -> None:
    router.do(RADIUS, "add", address="192.0.2.80", service="ppp", secret="theirs")
    bring(router)
    assert router.ours(RADIUS) == []
    assert differs(router) == []


def test_what_the_router_refuses_undoes_all_that_came_before(router: Box) -> None:
    """The last rule names a chain of NAT's with an action that does not exist."""
    bring(router, Rules(SETTINGS, ("old",), frozenset(("allow",))))
    held = {menu: router.rows(menu) for menu in (FILTER, NAT, ADDRESS_LIST, RADIUS)}
    with router.client() as client:
        operations = list(compare(client, RULES, Known(8777, 1700, "other")).operations)
        at = len(operations) - 1
        operations.insert(at, Add(FILTER, "+999", {"chain": "forward", "action": "no-such-action"}))
        with pytest.raises(NotApplied) as refused:
            apply(client, operations, nothing)
    assert "/ip/firewall/filter/add" in str(refused.value)
    assert str(refused.value).endswith("all was undone")
    assert "other" not in str(refused.value)
    for menu, rows in held.items():
        assert _values(router.rows(menu)) == _values(rows), menu


def _values(rows: list[Item]) -> dict[str, list[dict[str, str]]]:
    """By chain, without what a row that came back has anew."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        kept = {name: value for name, value in row.items() if name not in (".id", "creation-time")}
        found.setdefault(row.get("chain", ""), []).append(kept)
    found.get("", []).sort(key=str)
    return found


@pytest.mark.parametrize("version", ["7.16.2", "6.49.10"])
def test_wherever_the_connection_breaks_the_next_run_goes_on(version: str) -> None:
    """From one policy to another, broken off after every few sentences; each run goes on where the last one ended."""
    with box(version) as router:
        bring(router, Rules(SETTINGS, ("old", "suspended"), frozenset(("allow",))))
        theirs = router.foreign()
        broken = 0
        for sentences in range(14, 1_000):
            router.behaviour.api_close_after = sentences
            try:
                bring(router)
                break
            except RouterAway:
                broken += 1
        assert broken > 5
        router.behaviour.api_close_after = None
        assert differs(router) == []
        assert router.foreign() == theirs


def test_nothing_more_is_done_once_the_router_is_anothers(router: Box) -> None:
    class Lost(Exception):
        pass

    def lost() -> None:
        if len(router.writes) > 3:
            raise Lost

    with router.client() as client, pytest.raises(Lost):
        apply(client, compare(client, RULES, KNOWN).operations, lost)
    assert len(router.writes) < 10


@pytest.mark.parametrize(("tls", "login"), [(True, "plain"), (False, "challenge")])
def test_over_tls_and_with_the_old_login(tls: bool, login: str) -> None:
    with box(tls=tls, login="challenge" if login == "challenge" else "plain") as router:
        bring(router)
        assert differs(router) == []


def test_who_may_only_read_is_told_so_and_nothing_has_changed() -> None:
    with box() as router:
        client = Client(Where("127.0.0.1", router.server.port, "reader", "hush-hush"))
        operations = compare(client, RULES, KNOWN).operations
        with pytest.raises(NotApplied, match="not enough permissions"):
            apply(client, operations, nothing)
        client.close()
        assert router.writes == []


def test_a_wrong_password_is_refused_and_never_told() -> None:
    with box() as router, pytest.raises(LoginRefused) as refused:
        Client(Where("127.0.0.1", router.server.port, "ledgate", "wröng-pass"))
    assert "pass" not in str(refused.value).replace("password", "")
    assert "wröng" not in repr(Where("h", 1, "u", "wröng-pass"))


def test_a_plan_on_a_full_router_takes_seconds_and_touches_only_what_differs() -> None:
    """5,000 foreign rules and 20,000 list entries."""
    with box() as router:
        with router.server.lock:
            rules, entries = router.device.table(FILTER), router.device.table(ADDRESS_LIST)
            assert rules is not None and entries is not None
            for number in range(5_000):
                match = {"chain": "forward", "src-address": f"10.{number >> 8}.{number & 255}.0/24", "protocol": "tcp"}
                rules.append({**match, "dst-port": "25", "action": "drop", "comment": f"customer {number}"})
            for number in range(20_000):
                address = f"100.64.{number >> 8}.{number & 255}"
                entries.append({"list": "customers", "address": address, "comment": f"customer {number}"})
        bring(router)
        began = time.monotonic()
        assert differs(router) == []
        assert time.monotonic() - began < 5.0
        jump = next(row for row in router.ours(FILTER) if row["chain"] == "forward")
        router.do(FILTER, "move", numbers=jump[".id"])
        writes = len(router.writes)
        began = time.monotonic()
        bring(router)
        assert time.monotonic() - began < 5.0
        [move] = router.writes[writes:]
        assert move.startswith(f"/ip/firewall/filter/move numbers={jump['.id']} ")


def test_a_password_that_the_old_login_cannot_carry_is_never_told() -> None:
    with box(login="challenge") as router, pytest.raises(LoginRefused) as refused:
        Client(Where("127.0.0.1", router.server.port, "ledgate", "wröng"))
    assert str(refused.value).endswith("is so old a RouterOS that the password of ledgate must be ASCII")
