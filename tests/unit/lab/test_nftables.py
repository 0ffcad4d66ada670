"""A fake router's firewall as nftables."""

import pytest

from ledgate.lab.nftables import CannotTranslate, ruleset
from tests.unit.lab.routers import Console

FILTER = "/ip/firewall/filter"
NAT = "/ip/firewall/nat"


@pytest.fixture
def console() -> Console:
    return Console(bank_example=["203.0.113.80"])


def lines(console: Console) -> list[str]:
    return [line.strip() for line in ruleset(console.device).splitlines()]


def test_a_rule_keeps_its_matchers_and_its_order(console: Console) -> None:
    console.add(FILTER, chain="forward", src_address="10.0.0.0/8", protocol="tcp", dst_port="80,443", action="drop")
    console.add(FILTER, chain="forward", dst_address="!192.0.2.1", action="jump", jump_target="mine")
    console.add(FILTER, chain="mine", protocol="tcp", action="reject", reject_with="tcp-reset")
    console.add(FILTER, chain="mine", protocol="udp", action="reject", reject_with="icmp-port-unreachable")
    found = lines(console)
    forward = found.index("chain c_forward {", found.index("chain c_forward { }") + 1)
    assert found[forward + 1 : forward + 3] == [
        "ip saddr 10.0.0.0/8 tcp dport { 80,443 } drop",
        "ip daddr != 192.0.2.1 jump c_mine",
    ]
    assert "meta l4proto tcp reject with tcp reset" in found
    assert "meta l4proto udp reject with icmp type port-unreachable" in found


def test_addresses_and_names_of_a_list_are_a_set(console: Console) -> None:
    console.add("/ip/firewall/address-list", list="open", address="10.1.0.0/16")
    console.add("/ip/firewall/address-list", list="open", address="bank.example")
    console.add("/ip/firewall/address-list", list="open", address="10.2.0.1", disabled="yes")
    console.add(NAT, chain="dstnat", src_address_list="!open", protocol="tcp", dst_port="80", action="dst-nat",
                to_addresses="192.0.2.80", to_ports="8601")  # fmt: skip
    found = lines(console)
    assert any("elements = { 10.1.0.0/16, 203.0.113.80 }" in line for line in found)
    assert "ip saddr != @list0 tcp dport { 80 } dnat to 192.0.2.80:8601" in found


def test_fasttrack_takes_a_connection_past_the_filter(console: Console) -> None:
    console.add(FILTER, chain="forward", action="fasttrack-connection", connection_state="established,related")
    found = lines(console)
    assert "ct state { established,related } ct mark set 0x0fa57000" in found
    assert any("hook forward" in line and "ct mark 0x0fa57000 accept; jump c_forward" in line for line in found)


def test_what_is_disabled_or_only_looks_is_left_out(console: Console) -> None:
    console.add(FILTER, chain="forward", action="drop", disabled="yes")
    console.add(FILTER, chain="forward", action="log")
    assert not any("drop" in line or "log" in line for line in lines(console))


def test_what_has_no_counterpart_is_refused(console: Console) -> None:
    console.add(FILTER, chain="forward", tls_host="*.example", protocol="tcp", dst_port="443", action="drop")
    with pytest.raises(CannotTranslate, match="tls-host"):
        ruleset(console.device)
