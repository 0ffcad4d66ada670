"""From what a router holds to what it is to hold: complete, done once, safe at every step, nothing foreign touched."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.settings import Settings
from aaa.routeros.diff import difference
from aaa.routeros.operations import Add, Move, Operation, Remove, Set, lines
from aaa.routeros.rows import (
    ADDRESS_LIST,
    FILTER,
    FILTER_6,
    INCOMING,
    NAT,
    RADIUS,
    RULES,
    SECRET,
    WALLED_GARDEN,
    Item,
    Row,
)
from aaa.routeros.wanted import Abilities, Box, Rules, wanted
from tests.unit.routeros.model import Model, verdict
from tests.unit.routeros.test_wanted import answered, sent

PORTAL = "192.0.2.80"
BOX = Box(8601, 3799, "hush-hush")
CAN = Abilities(hotspot=True)
NAMES = ("suspended", "overdue", "s7", "a:b")
PAGES = ("bank.example", "203.0.113.80", "2001:db8::80", "198.51.100.0/24")

CONNECTED = {"chain": "forward", "action": "accept", "connection-state": "established,related"}
FASTTRACK = {"chain": "forward", "action": "fasttrack-connection", "connection-state": "established,related"}
INVALID = {"chain": "forward", "action": "drop", "connection-state": "invalid"}
DUMMY = {"chain": "forward", "action": "passthrough", "dynamic": "true"}
MASQUERADE = {"chain": "srcnat", "action": "masquerade", "out-interface-list": "WAN"}


def policies() -> st.SearchStrategy[Rules]:
    return st.builds(
        Rules,
        st.builds(
            Settings,
            server_ip=st.sampled_from((PORTAL, "192.0.2.81", None)),
            mikrotik_nat_disable_users=st.sampled_from((True, True, False)),
            allowed_pages=st.lists(st.sampled_from(PAGES), unique=True).map(tuple),
            router_radius=st.booleans(),
        ),
        st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
        st.frozensets(st.sampled_from(("allow", "reject", "redirect"))),
    )


def full(rules: Rules, box: Box = BOX) -> list[Item]:
    return wanted(rules, box, CAN)


FULL = Rules(Settings(server_ip=PORTAL, allowed_pages=PAGES), NAMES, frozenset(("allow", "reject", "redirect")))


def home() -> Model:
    """A router with the usual firewall."""
    router = Model()
    for fields in (DUMMY, INVALID, FASTTRACK, CONNECTED, {"chain": "forward", "action": "drop"}):
        router.insert(FILTER, fields)
    router.insert(FILTER, {"chain": "input", "action": "accept"})
    router.insert(FILTER_6, CONNECTED)
    router.insert(NAT, MASQUERADE)
    router.insert(NAT, {"chain": "dstnat", "action": "dst-nat", "to-addresses": "10.0.0.9", "protocol": "tcp"})
    router.insert(ADDRESS_LIST, {"list": "mine", "address": "10.0.0.1"})
    router.insert(WALLED_GARDEN, {"action": "deny", "dst-host": "evil.example"})
    return router


def bring(router: Model, items: Sequence[Item]) -> list[Operation]:
    """Do what makes the router hold the items."""
    operations = difference(items, router.printed())
    for operation in operations:
        router.do(operation)
    return operations


def ours(router: Model) -> dict[str, list[str]]:
    """The comments of our rows, in their order, by menu and chain."""
    found: dict[str, list[str]] = {}
    for menu, rows in router.printed().items():
        for row in rows:
            if row.key is not None:
                found.setdefault(f"{menu} {row.chain}", []).append(row.comment)
    return found


def expected(items: Sequence[Item]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in items:
        if item.key:
            found.setdefault(f"{item.menu} {item.chain}", []).append(item.mark)
    return found


def check(router: Model, items: Sequence[Item]) -> None:
    """The router holds the items: all of them, in order, enabled, saying what they are to say; jumps stand first."""
    unordered = {
        place: sorted(some) if "list" in place or "radius" in place else some for place, some in ours(router).items()
    }
    assert unordered == {
        place: sorted(some) if "list" in place or "radius" in place else some for place, some in expected(items).items()
    }
    by_mark = {(item.menu, item.mark): item for item in items}
    for menu, rows in router.printed().items():
        for row in rows:
            if row.key is not None:
                assert not row.disabled
                item = by_mark[menu, row.comment]
                assert dict(item.fields).items() <= row.fields.items()
    assert difference(items, router.printed()) == [], "a second run changes nothing"
    for menu in RULES:
        rows = router.printed()[menu]
        for at, row in enumerate(rows):
            if row.key is not None and row.key.startswith("jump-"):
                before = [one for one in rows[:at] if one.chain == row.chain and not one.dynamic and one.key is None]
                assert all(one.action in ("log", "passthrough") or _is_invalid(one) for one in before)


def _is_invalid(row: Row) -> bool:
    return row.action == "drop" and row.fields.get("connection-state") == "invalid"


def foreign(router: Model) -> dict[str, list[tuple[str, ...]]]:
    return {
        menu: [(row.id, str(sorted(row.fields.items()))) for row in rows if row.key is None and row.id]
        for menu, rows in router.printed().items()
    }


# --- what comes out --------------------------------------------------------------------------------------------------


def test_a_router_with_the_usual_firewall_is_set_up_once() -> None:
    router = home()
    before = foreign(router)
    items = full(FULL)
    assert bring(router, items)
    check(router, items)
    assert foreign(router) == before
    chain = [row for row in router.printed()[FILTER] if row.chain == "forward"]
    assert [row.action for row in chain] == ["passthrough", "drop", "jump", "fasttrack-connection", "accept", "drop"]
    assert [row.action for row in router.printed()[NAT] if row.chain == "srcnat"] == ["jump", "masquerade"]
    assert router.menus[INCOMING] == [{"accept": "yes", "port": "3799"}]


def test_r5_1_all_of_it_goes_when_nothing_is_wanted() -> None:
    router = home()
    bare = router.values()
    bring(router, full(FULL))
    for operation in difference([], router.printed()):
        router.do(operation)
    after = router.values()
    assert {menu: rows for menu, rows in after.items() if menu not in (INCOMING, "/ppp/aaa")} == {
        menu: rows for menu, rows in bare.items() if menu not in (INCOMING, "/ppp/aaa")
    }


def test_session_entries_are_foreign() -> None:
    router = home()
    router.insert(ADDRESS_LIST, {"list": "suspended", "address": "10.0.0.7", "comment": "ledgate:s12:suspended:ab"})
    before = foreign(router)
    bring(router, full(FULL))
    bring(router, [])
    assert foreign(router) == before


@pytest.mark.parametrize("dynamic", [{}, {"dynamic": "true"}])
def test_an_entry_that_somebody_has_made_already_is_enough(dynamic: dict[str, str]) -> None:
    router = home()
    router.insert(ADDRESS_LIST, {"list": "ledgate-allowed", "address": "203.0.113.80", **dynamic})
    items = full(FULL)
    operations = bring(router, items)
    assert not [one for one in operations if isinstance(one, Add) and one.fields.get("address") == "203.0.113.80"]
    assert difference(items, router.printed()) == []


def test_an_entry_of_ours_stays_beside_one_that_a_name_resolved_to() -> None:
    router = home()
    bring(router, full(FULL))
    router.insert(ADDRESS_LIST, {"list": "ledgate-allowed", "address": "203.0.113.80", "dynamic": "true"})
    assert difference(full(FULL), router.printed()) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"disabled": "true"},
        {"action": "accept", "jump-target": ""},
        {"src-address": "10.0.0.0/8"},
        {"jump-target": "elsewhere"},
        {"chain": "input"},
        {"connection-state": "new"},
    ],
)
def test_a_jump_that_was_changed_by_hand_is_mended(fields: dict[str, str]) -> None:
    router = home()
    items = full(FULL)
    bring(router, items)
    jump = next(row for row in router.menus[FILTER] if row.get("comment", "").startswith("ledgate:jump-forward"))
    jump.update(fields)
    for name in [name for name, value in fields.items() if not value]:
        del jump[name]
    assert len(bring(router, items)) in (1, 2)
    check(router, items)


def test_what_only_marks_a_rule_is_set_where_it_stands() -> None:
    router = home()
    items = full(FULL)
    bring(router, items)
    jump = next(row for row in router.menus[FILTER] if row.get("comment", "").startswith("ledgate:jump-forward"))
    jump["disabled"] = "true"
    jump["log"] = "true"
    [operation] = bring(router, items)
    assert operation == Set(FILTER, jump[".id"], {"disabled": "no"}, {"disabled": "true"})


def test_a_jump_that_fasttrack_was_put_before_is_moved() -> None:
    router = home()
    items = full(FULL)
    bring(router, items)
    router.insert(FILTER, FASTTRACK, 1)
    [operation] = bring(router, items)
    assert isinstance(operation, Move)
    check(router, items)


@pytest.mark.parametrize(
    ("name", "printed"),
    [("timeout", "00:00:03"), ("timeout", "3s"), ("timeout", "3000ms"), ("service", "hotspot,ppp"), (SECRET, "*****")],
)
def test_what_a_router_spells_in_its_own_way_is_the_same(name: str, printed: str) -> None:
    router = home()
    items = full(FULL)
    bring(router, items)
    router.menus[RADIUS][0][name] = printed
    router.menus[INCOMING][0]["accept"] = "true"
    assert difference(items, router.printed()) == []


def test_a_changed_secret_is_seen_where_the_router_shows_it_and_never_told() -> None:
    router = home()
    bring(router, full(FULL))
    [operation] = bring(router, full(FULL, Box(8601, 3799, "new-secret")))
    assert isinstance(operation, Set)
    assert operation.fields == {SECRET: "new-secret"}
    assert "hush" not in repr(operation) + "".join(lines(operation))
    assert "new-secret" not in repr(operation) + "".join(lines(operation))


# --- whatever a router holds -----------------------------------------------------------------------------------------

ACTIONS = ("accept", "drop", "fasttrack-connection", "log", "jump", "masquerade")


@st.composite
def foreign_rules(draw: st.DrawFn) -> dict[str, str]:
    fields = {
        "chain": draw(st.sampled_from(("forward", "input", "srcnat", "dstnat", "ledgate-forward", "ledgate-dstnat"))),
        "action": draw(st.sampled_from(ACTIONS)),
    }
    if draw(st.booleans()):
        fields["connection-state"] = draw(st.sampled_from(("invalid", "established,related")))
    if draw(st.integers(0, 5)) == 0:
        fields["dynamic"] = "true"
    if draw(st.booleans()):
        fields["comment"] = draw(st.sampled_from(("Novák", "ledgate", "ledgate:jump", "ledgate:s9:x:00000000")))
    return fields


def damage(draw: st.DrawFn, router: Model) -> None:
    """What hands, and runs that were broken off, may leave."""
    for menu in (*RULES, ADDRESS_LIST, WALLED_GARDEN, RADIUS):
        rows = router.menus[menu]
        for _ in range(draw(st.integers(0, 4))):
            here = [at for at, row in enumerate(rows) if row.get("comment", "").startswith("ledgate:")]
            what = draw(st.sampled_from(("remove", "disable", "edit", "narrow", "double", "move", "stale", "foreign")))
            if what == "foreign" and menu in RULES:
                router.insert(menu, draw(foreign_rules()), draw(st.integers(0, len(rows))))
            if not here:
                continue
            row = rows[draw(st.sampled_from(here))]
            if what == "remove":
                rows.remove(row)
            elif what == "disable":
                row["disabled"] = "true"
            elif what == "edit":
                name = draw(st.sampled_from(sorted(set(row) - {".id", "comment", "list", "address"}) or ["disabled"]))
                row[name] = {"chain": "forward", "action": "drop"}.get(name, "true")
            elif what == "narrow":
                row["src-address"] = "10.0.0.1"
            elif what == "double" and menu != ADDRESS_LIST:
                copy = {name: value for name, value in row.items() if name != ".id"}
                router.insert(menu, copy, draw(st.integers(0, len(rows))))
            elif what == "move":
                rows.remove(row)
                rows.insert(draw(st.integers(0, len(rows))), row)
            elif what == "stale":
                row["comment"] = row["comment"].rpartition(":")[0] + ":0badc0de"


@st.composite
def routers(draw: st.DrawFn) -> Model:
    router = Model()
    for menu in RULES:
        for fields in draw(st.lists(foreign_rules(), max_size=4)):
            router.insert(menu, fields)
    bring(router, full(draw(policies())))
    damage(draw, router)
    return router


@given(routers(), policies())
def test_whatever_a_router_holds_it_holds_what_is_wanted_afterwards(router: Model, rules: Rules) -> None:
    before = foreign(router)
    bring(router, full(rules))
    check(router, full(rules))
    assert foreign(router) == before


@given(routers(), policies(), st.data())
def test_what_was_begun_can_be_undone(router: Model, rules: Rules, data: Any) -> None:
    before = router.values()
    order = {menu: [row.id for row in rows if row.key is None] for menu, rows in router.printed().items()}
    operations = difference(full(rules), router.printed())
    done = operations[: data.draw(st.integers(0, len(operations)))]
    for operation in done:
        router.do(operation)
    router.undo(done)
    assert _meant(router.values()) == _meant(before)
    assert {menu: [row.id for row in rows if row.key is None] for menu, rows in router.printed().items()} == order


def _meant(menus: dict[str, list[dict[str, str]]]) -> Any:
    """Values by chain: the order between chains says nothing, nor does that of a list; a place among dynamic rows
    cannot be asked for."""
    found: dict[str, Any] = {}
    for menu, rows in menus.items():
        ordered = menu in RULES or menu == WALLED_GARDEN
        for row in rows:
            place = f"{menu} {row.get('chain', '')} {row.get('dynamic', '')}"
            found.setdefault(place, []).append(_spelled(row))
            if not ordered:
                found[place].sort()
    return found


def _spelled(row: dict[str, str]) -> list[tuple[str, str]]:
    words = {"yes": "true", "no": "false", "": "false"}
    said = {name: words.get(value, value) for name, value in row.items()}
    return sorted((name, value) for name, value in said.items() if (name, value) != ("disabled", "false"))


@given(policies(), policies())
def test_at_no_step_is_anybody_cut_off_from_what_both_policies_give_him(one: Rules, other: Rules) -> None:
    """On a router with the usual firewall: people who are on no list pass at every step, and those restricted reach
    DNS, at every step of the way from one policy to another."""
    router = home()
    for items in (full(one), full(other), []):
        for operation in difference(items, router.printed()):
            router.do(operation)
            for menu in (FILTER, FILTER_6):
                rows = [row for row in router.menus[menu] if row["chain"] != "forward" or "jump-target" in row]
                for packet in (sent(), answered(), sent(port="80")):
                    assert verdict(rows, packet, "forward") == "accept"
                for name in NAMES:
                    for free in (sent(name, port="53", protocol="udp"), answered(name, port="53")):
                        assert verdict(rows, free, "forward") == "accept", operation
            assert verdict(router.menus[NAT], sent(port="80", address=PORTAL), "srcnat") in ("accept", "masquerade")


def test_the_order_of_removal_is_that_of_making_turned_round() -> None:
    router = home()
    made = [one for one in bring(router, full(FULL)) if isinstance(one, Add)]
    gone = [one for one in difference([], router.printed()) if isinstance(one, Remove)]
    assert len(made) == len(gone)
    assert [one.menu for one in made] == [one.menu for one in reversed(gone)]
    jumps = [at for at, one in enumerate(made) if one.menu == FILTER and one.fields["chain"] == "forward"]
    assert jumps == [max(at for at, one in enumerate(made) if one.menu == FILTER)]


def test_rows_say_nothing_secret() -> None:
    assert "hush" not in repr(Row("*1", {SECRET: "hush-hush"}))
