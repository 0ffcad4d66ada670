"""What a fake router makes of what RADIUS told it: rates, queues, counters, ends, addresses of its pools."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgate.lab.online import IDLE_TIMEOUT, LINE, NEVER, SESSION_TIMEOUT, Online
from ledgate.lab.pools import free_address, free_prefix
from ledgate.lab.rates import queue, rates
from ledgate.lab.session import Session, Subscriber
from tests.unit.lab.routers import Console

EVE = Subscriber("eve", "secret")


def online(traffic: float = 1.0, interval: float = NEVER, **told: Any) -> Online:
    named = {name.replace("_", "-"): value for name, value in told.items()}
    return Online(Session(EVE, "80000001", "10.0.0.5", named, (), 1000.0), traffic, interval)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({}, (0, 0)),
        ({"Mikrotik-Rate-Limit": "2M/10M"}, (2_000_000, 10_000_000)),
        ({"Mikrotik-Rate-Limit": "512k"}, (512_000, 512_000)),
        ({"Mikrotik-Rate-Limit": "1M/2M 3M/4M", "Ascend-Data-Rate": 5}, (1_000_000, 2_000_000)),
        ({"Mikrotik-Rate-Limit": "fast"}, (0, 0)),
        ({"Ascend-Data-Rate": 64_000, "Ascend-Xmit-Rate": 128_000, "WISPr-Bandwidth-Max-Up": 1}, (64_000, 128_000)),
        ({"Ascend-Data-Rate": 64_000}, (64_000, 64_000)),
        ({"WISPr-Bandwidth-Max-Down": 128_000}, (0, 128_000)),
    ],
)
def test_the_rate_that_counts_is_the_one_routeros_heeds(told: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert rates(told) == wanted


def test_a_queue_has_all_that_the_limit_says() -> None:
    assert queue({"Mikrotik-Rate-Limit": "2M/4M 3M/6M 1M/2M 8/16 5 1M/512k"}) == {
        "max-limit": "2000000/4000000",
        "burst-limit": "3000000/6000000",
        "burst-threshold": "1000000/2000000",
        "burst-time": "8s/16s",
        "priority": "5/5",
        "limit-at": "1000000/512000",
    }
    assert queue({}) == {} == queue({"Mikrotik-Rate-Limit": "0/0"})


def test_a_session_moves_octets_at_its_rate_and_the_line_if_it_has_none() -> None:
    assert online(Mikrotik_Rate_Limit="8k/80k").counted(1010.0) == (10_000, 100_000)
    assert online(0.5, Mikrotik_Rate_Limit="8k/80k").counted(1010.0) == (5_000, 50_000)
    assert online().counted(1008.0) == LINE
    assert online(0.0).counted(1010.0) == (0, 0)


def test_what_was_moved_before_a_change_counts_at_the_old_rate() -> None:
    one = online(Mikrotik_Rate_Limit="8k/8k")
    one.settle(1010.0)
    one.session.told["Mikrotik-Rate-Limit"] = "16k/16k"
    assert one.counted(1020.0) == (30_000, 30_000)


@given(st.floats(0, 100), st.sampled_from(["Recv", "Xmit", "Total"]), st.integers(1, 500_000))
def test_no_session_moves_more_than_its_limit(after: float, name: str, limit: int) -> None:
    one = online(**{f"Mikrotik_{name}_Limit": limit}, Mikrotik_Rate_Limit="8k/80k")
    up, down = one.counted(1000.0 + after)
    assert {"Recv": up, "Xmit": down, "Total": up + down}[name] <= limit
    one.settle(one.due())
    assert one.session.over_limit == 0


def test_a_session_is_due_for_what_comes_first() -> None:
    assert online().due() == NEVER
    assert online(interval=300.0, Session_Timeout=3600).due() == 1300.0
    one = online(interval=300.0, Session_Timeout=100)
    assert (one.due(), one.ended(1099.0), one.ended(1100.0)) == (1100.0, 0, SESSION_TIMEOUT)
    one.session.told["Session-Timeout"] = 50
    one.count_timeout(1090.0)
    assert one.due() == 1140.0


def test_only_a_session_that_moves_nothing_is_idle() -> None:
    assert online(Idle_Timeout=60).due() == NEVER
    still = online(0.0, Idle_Timeout=60)
    assert (still.due(), still.ended(1059.0), still.ended(1060.0)) == (1060.0, 0, IDLE_TIMEOUT)


def test_pools_give_what_nobody_has() -> None:
    console = Console()
    console.add("/ip/pool", name="more", ranges="100.64.1.0/31")
    console.add("/ip/pool", name="finish", ranges="100.64.0.2-100.64.0.3", next_pool="more")
    console.add("/ipv6/pool", name="homes", prefix="2001:db8::/62", prefix_length="63")
    assert free_address(console.device, "finish", {"100.64.0.2"}) == "100.64.0.3"
    assert free_address(console.device, "finish", {"100.64.0.2", "100.64.0.3"}) == "100.64.1.0"
    everything = {"100.64.0.2", "100.64.0.3", "100.64.1.0", "100.64.1.1"}
    assert free_address(console.device, "finish", everything) is None
    assert free_address(console.device, "none-such", set()) is None
    assert free_prefix(console.device, "homes", {"2001:db8::/63"}) == "2001:db8:0:2::/63"
    assert free_prefix(console.device, "homes", {"2001:db8::/63", "2001:db8:0:2::/63"}) is None
    assert free_prefix(console.device, "none-such", set()) is None
