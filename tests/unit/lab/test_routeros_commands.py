"""Commands of the fake RouterOS: what they do, and what they refuse in RouterOS's words."""

import pytest

from ledgate.lab.routeros.commands import read_sentence as read
from ledgate.lab.routeros.commands import run
from tests.unit.lab.routers import NOW, SECOND, Console

LIST = "/ip/firewall/address-list"
LIST6 = "/ipv6/firewall/address-list"
FILTER = "/ip/firewall/filter"
NAT = "/ip/firewall/nat"


@pytest.fixture
def console() -> Console:
    return Console()


def test_a_row_is_printed_as_routeros_prints_it(console: Console) -> None:
    assert console.add(LIST, list="overdue", address="10.0.0.1/32", comment="Novák نامه") == "*1"
    assert console(f"{LIST}/print") == [
        {
            ".id": "*1",
            "list": "overdue",
            "address": "10.0.0.1",
            "comment": "Novák نامه",
            "disabled": "false",
            "dynamic": "false",
            "creation-time": "2027-01-15 08:00:00",
        }
    ]
    assert console(f"{LIST}/getall", "=.proplist=address,timeout") == [{"address": "10.0.0.1"}]


def test_print_takes_queries_ids_and_counts(console: Console) -> None:
    for number in range(1, 6):
        console.add(LIST, list="odd" if number % 2 else "even", address=f"10.0.0.{number}")
    assert [item["address"] for item in console(f"{LIST}/print", "?list=even")] == ["10.0.0.2", "10.0.0.4"]
    either = ("?address=10.0.0.5", "?address=10.0.0.1", "?#|")
    assert [item[".id"] for item in console(f"{LIST}/print", *either)] == ["*1", "*5"]
    assert [item[".id"] for item in console(f"{LIST}/print", "=.id=*4,*2")] == ["*4", "*2"]
    assert [item[".id"] for item in console(f"{LIST}/print", "?.id=*3")] == ["*3"]
    assert console(f"{LIST}/print", "?.id=*99") == []
    counted = run(console.device, read([f"{LIST}/print", "=count-only=", "?list=odd"]), NOW)
    assert (list(counted.items), counted.done) == ([], {"ret": "3"})
    assert console.refused(f"{LIST}/print", "=.id=*99") == "no such item"
    assert console.refused(f"{LIST}/print", "=where=list=odd") == "unknown parameter where"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("192.168.0.0-192.168.1.255", "192.168.0.0/23"),
        ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
        ("10.0.0.77/24", "10.0.0.0/24"),
        ("bank.example", "bank.example"),
    ],
)
def test_addresses_of_a_list_are_made_short(console: Console, given: str, shown: str) -> None:
    console.add(LIST, list="x", address=given)
    assert console.column(LIST, "address") == [shown]


def test_an_ipv6_address_is_printed_as_a_network(console: Console) -> None:
    console.add(LIST6, list="x", address="2001:DB8::1")
    console.add(LIST6, list="x", address="2001:db8:1::/56")
    assert console.column(LIST6, "address") == ["2001:db8::1/128", "2001:db8:1::/56"]


def test_one_address_is_on_a_list_once(console: Console) -> None:
    console.add(LIST, list="overdue", address="10.0.0.1")
    console.add(LIST, list="other", address="10.0.0.1")
    again = (f"{LIST}/add", "=list=overdue", "=address=10.0.0.1/32")
    assert console.refused(*again) == "failure: already have such entry"
    assert console.refused(f"{LIST}/set", "=.id=*2", "=list=overdue") == "failure: already have such entry"
    console(f"{LIST}/remove", "=.id=*1")
    console(f"{LIST}/set", "=.id=*2", "=list=overdue")
    assert console.refused(*again) == "failure: already have such entry"


def test_an_entry_with_a_timeout_counts_down_and_vanishes(console: Console) -> None:
    console.add(LIST, list="paying", address="10.0.0.1", timeout="00:05:00")
    console.add(LIST, list="paying", address="10.0.0.2")
    console.now += 90 * SECOND + 1
    first = console(f"{LIST}/print")[0]
    assert (first["timeout"], first["dynamic"]) == ("3m29s", "true")
    assert console.device.next_expiry() == NOW + 300 * SECOND
    console(f"{LIST}/set", "=.id=*1", "=timeout=10m")
    console.now += 599 * SECOND
    assert console.column(LIST, ".id") == ["*1", "*2"]
    console.now += SECOND
    assert console.column(LIST, ".id") == ["*2"]
    assert console.device.next_expiry() is None
    assert console.add(LIST, list="paying", address="10.0.0.1") == "*3"


def test_a_timeout_can_be_taken_away(console: Console) -> None:
    console.add(LIST, list="paying", address="10.0.0.1", timeout="5m")
    console(f"{LIST}/unset", "=.id=*1", "=value-name=timeout")
    console.now += 3600 * SECOND
    (row,) = console(f"{LIST}/print")
    assert row["dynamic"] == "false" and "timeout" not in row


def test_a_name_on_a_list_brings_its_addresses() -> None:
    console = Console(bank_example=["203.0.113.8", "2001:db8::8", "203.0.113.9"])
    console.add(LIST, list="allowed", address="bank.example")
    console.add(LIST6, list="allowed", address="bank.example")
    shown = [(item["address"], item["dynamic"], item.get("comment")) for item in console(f"{LIST}/print")]
    assert shown == [
        ("bank.example", "false", None),
        ("203.0.113.8", "true", "bank.example"),
        ("203.0.113.9", "true", "bank.example"),
    ]
    assert console.column(LIST6, "address") == ["bank.example", "2001:db8::8/128"]
    assert console.refused(f"{LIST}/remove", "=.id=*2") == "failure: can not remove dynamic"
    console(f"{LIST}/disable", "=.id=*1")
    assert console.column(LIST, "address") == ["bank.example"]
    console(f"{LIST}/enable", "=numbers=*1")
    assert len(console(f"{LIST}/print")) == 3
    console(f"{LIST}/remove", "=.id=*1")
    assert console(f"{LIST}/print") == []


def test_what_a_session_put_on_a_list_is_the_routers_own(console: Console) -> None:
    listed = console.device.list_address("negative", "10.0.0.9", "s1", NOW)
    assert listed is not None
    row = listed[1]
    assert console.device.list_address("negative", "10.0.0.9", "s1", NOW) is None
    assert console.refused(f"{LIST}/remove", f"=.id={row.id}") == "failure: can not remove dynamic"
    assert console.refused(f"{LIST}/set", f"=.id={row.id}", "=comment=x") == "failure: can not change dynamic"


def test_a_restart_forgets_what_is_not_stored(console: Console) -> None:
    console.add(LIST, list="paying", address="10.0.0.1", timeout="5m")
    kept = console.add(LIST, list="overdue", address="10.0.0.2")
    console.device.list_address("negative", "10.0.0.9", "s1", NOW)
    console.device.restart(NOW)
    assert console.column(LIST, ".id") == [kept]
    assert console.add(LIST, list="overdue", address="10.0.0.3") == "*4"


def test_rules_stand_where_they_are_put(console: Console) -> None:
    a, b, c = (console.add(FILTER, chain="forward", comment=name) for name in "abc")
    console.add(FILTER, chain="forward", comment="d", place_before=b)
    assert console.column(FILTER, "comment") == ["a", "d", "b", "c"]
    console(f"{FILTER}/move", f"=numbers={c},{a}", f"=destination={b}")
    assert console.column(FILTER, "comment") == ["d", "c", "a", "b"]
    console(f"{FILTER}/move", "=.id=*4")
    assert console.column(FILTER, "comment") == ["c", "a", "b", "d"]
    assert console.refused(f"{FILTER}/move", f"=numbers={a}", "=destination=*99") == "no such item"
    assert console.refused(f"{LIST}/move", "=numbers=*1") == "no such command"


def test_several_rows_are_set_and_removed_at_once(console: Console) -> None:
    ids = [console.add(FILTER, chain="forward") for _ in range(4)]
    console(f"{FILTER}/set", f"=.id={ids[0]},{ids[2]}", "=comment=both", "=disabled=yes")
    assert console.column(FILTER, "disabled") == ["true", "false", "true", "false"]
    console(f"{FILTER}/remove", f"=numbers={ids[0]},{ids[1]}")
    assert console.column(FILTER, ".id") == ids[2:]
    assert console.refused(f"{FILTER}/remove", f"=.id={ids[2]},*99") == "no such item"
    assert console.column(FILTER, ".id") == ids[2:]


def test_properties_are_taken_away_by_unset_or_by_nothing(console: Console) -> None:
    console.add(NAT, chain="dstnat", protocol="6", dst_port="80", src_address_list="overdue", comment="x")
    assert console.column(NAT, "protocol") == ["tcp"]
    console(f"{NAT}/unset", "=.id=*1", "=value-name=src-address-list")
    console(f"{NAT}/set", "=.id=*1", "=comment=", "=!dst-port=")
    (row,) = console(f"{NAT}/print")
    assert not {"src-address-list", "comment", "dst-port"} & row.keys()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/ip/firewall/nothing/print",), "no such command prefix"),
        ((f"{FILTER}/find",), "no such command"),
        (("/system/identity/add", "=name=x"), "no such command"),
        (("/ip/firewall/connection/add",), "no such command"),
        ((f"{FILTER}/add", "=chain=forward", "=action=explode"), "input does not match any value of action"),
        ((f"{FILTER}/add", "=chain=forward", "=protocol=tpc"), "input does not match any value of protocol"),
        ((f"{FILTER}/add", "=chain=forward", "=in-interface=ether9"), "input does not match any value of in-interface"),
        ((f"{FILTER}/add", "=chain=forward", "=colour=red"), "unknown parameter colour"),
        ((f"{FILTER}/add", "=chain=forward", "=bytes=5"), "unknown parameter bytes"),
        ((f"{FILTER}/add", "=chain=forward", "=copy-from=*1"), "unknown parameter copy-from"),
        ((f"{FILTER}/add", "=chain=forward", "=place-before=*7"), "no such item"),
        ((f"{FILTER}/add", "=action=drop"), "missing value(s) of argument(s) chain"),
        ((f"{FILTER}/add", "=chain=forward", "=src-address=10.0.0.300"), "invalid value for argument src-address"),
        ((f"{FILTER}/add", "=chain=f", "=protocol=tcp", "=dst-port=99999"), "invalid value for argument dst-port"),
        (
            (f"{FILTER}/add", "=chain=forward", "=dst-port=80"),
            "failure: ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp",
        ),
        (
            (f"{FILTER}/add", "=chain=forward", "=action=jump"),
            "failure: jump-target must be specified for action jump",
        ),
        ((f"{LIST}/add", "=list=x"), "missing value(s) of argument(s) address"),
        ((f"{LIST}/add", "=list=x", "=address=no address"), "invalid value for argument address"),
        ((f"{LIST}/add", "=list=x", "=address=10.0.0.1", "=timeout=soon"), "invalid value for argument timeout"),
        ((f"{LIST}/remove", "=.id=*1"), "no such item"),
        ((f"{LIST}/remove",), "no such item"),
        (("/ip/hotspot/add", "=name=h", "=interface=ether1", "=profile=none-such"),
         "input does not match any value of profile"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_in_routeros_words(console: Console, words: tuple[str, ...], message: str) -> None:
    assert console.refused(*words) == message
    assert console(f"{FILTER}/print") == [] == console(f"{LIST}/print")


def test_a_rejecting_rule_says_how(console: Console) -> None:
    console.add(FILTER, chain="forward", action="reject")
    console.add("/ipv6/firewall/filter", chain="forward", action="reject", protocol="tcp", reject_with="tcp-reset")
    assert console.column(FILTER, "reject-with") == ["icmp-network-unreachable"]
    assert console.column("/ipv6/firewall/filter", "reject-with") == ["tcp-reset"]
    bad = (f"{FILTER}/add", "=chain=forward", "=action=reject", "=reject-with=tcp-reset")
    assert console.refused(*bad) == "failure: reject-with tcp-reset is only for proto tcp"


def test_a_singleton_has_no_id(console: Console) -> None:
    console("/system/identity/set", "=name=mt7")
    assert console("/system/identity/print") == [{"name": "mt7"}]
    console("/radius/incoming/set", "=accept=yes", "=port=1700")
    assert console("/radius/incoming/print") == [{"accept": "true", "port": "1700", "vrf": "main"}]


def test_rows_with_names_are_found_by_them(console: Console) -> None:
    console("/interface/set", "=.id=ether2", "=comment=uplink", "=disabled=yes")
    assert [item["name"] for item in console("/interface/print", "?disabled=true")] == ["ether2"]
    assert console.refused("/interface/set", "=.id=ether9", "=comment=x") == "no such item"


def test_version_6_knows_less_and_prints_times_its_way() -> None:
    six, seven = Console("6.49.10"), Console("7.16.2")
    signed = ("/radius/add", "=address=192.0.2.1", "=require-message-auth=no")
    assert six.refused(*signed) == "unknown parameter require-message-auth"
    seven(*signed)
    assert seven.column("/radius", "require-message-auth") == ["no"]
    for console, left, made in (
        (six, "1d02:03:04", "jan/15/2027 08:00:00"),
        (seven, "1d2h3m4s", "2027-01-15 08:00:00"),
    ):
        console.add(LIST, list="x", address="10.0.0.1", timeout="1d2h3m4s")
        console.add(LIST, list="x", address="10.0.0.2", timeout="1d02:03:04")
        assert console.column(LIST, "timeout") == [left, left]
        assert console.column(LIST, "creation-time")[0] == made
    assert six.refused(f"{LIST}/add", "=list=x", "=address=10.0.0.3", "=dynamic=yes") == "unknown parameter dynamic"


def test_rates_are_printed_in_bits(console: Console) -> None:
    console.add("/queue/simple", target="10.0.0.1/32", name="q", max_limit="2M/512k")
    assert console.column("/queue/simple", "max-limit") == ["2000000/512000"]


def test_the_clock_and_uptime_go_on(console: Console) -> None:
    console.device.behaviour.clock_offset = 3600
    console.now += 61 * SECOND
    (clock,) = console("/system/clock/print")
    assert (clock["date"], clock["time"]) == ("2027-01-15", "09:01:01")
    (resource,) = console("/system/resource/print", "=.proplist=uptime,version")
    assert resource == {"uptime": "1m1s", "version": "7.16.2 (stable)"}


def test_ping_and_fetch_find_whoever_is_reachable(console: Console) -> None:
    assert console("/ping", "=address=192.0.2.1", "=count=2")[-1]["received"] == "2"
    assert console("/tool/fetch", "=url=http://192.0.2.1/")[0]["status"] == "finished"
    console.device.behaviour.reachable = False
    assert console("/ping", "=address=192.0.2.1", "=count=2")[-1]["packet-loss"] == "100"
    assert console.refused("/ping", "=address=192.0.2.1", "=count=many") == "invalid value for argument count"
    assert console.refused("/tool/fetch", "=url=http://192.0.2.1/") == "failure: connection timeout"


def test_what_is_seen_is_removed_by_whom_it_concerns(console: Console) -> None:
    gone: list[str] = []
    row = console.device.tables["/ppp/active"].append({"name": "eve"})
    console.device.hooks.removed["/ppp/active"] = lambda row: gone.append(row.values["name"])
    console("/ppp/active/remove", f"=.id={row.id}")
    assert gone == ["eve"]
    assert console.refused("/ppp/active/set", f"=.id={row.id}", "=comment=x") == "no such command"
