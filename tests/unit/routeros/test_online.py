"""Live sessions in a router's own menus: found, ended, looked at."""

from collections.abc import Iterable, Mapping, Sequence

from aaa.domain.rate_limit import Pair
from aaa.routeros.executor import Refused, end, see
from aaa.routeros.online import HOTSPOT, PPP, QUEUES, Online, Seen, mine, rate_of

ALI = Online(True, "ali", "81500001", "10.0.0.5")
GUEST = Online(False, "02:00:00:00:00:01", "8150000a", "10.5.0.9")


class Menus:
    """A router's menus, of which only what was asked for is shown."""

    def __init__(self, **menus: list[dict[str, str]]) -> None:
        self.menus = {PPP: menus.get("ppp", []), HOTSPOT: menus.get("hotspot", []), QUEUES: menus.get("queues", [])}
        self.menus["/ip/firewall/address-list"] = menus.get("lists", [])
        self.removed: list[tuple[str, str]] = []

    def find(self, menu: str, shown: Sequence[str], name: str, values: Iterable[str]) -> list[Mapping[str, object]]:
        wanted = set(values)
        return [
            {field: row[field] for field in shown if field in row} for row in self.menus[menu] if row[name] in wanted
        ]

    def remove(self, menu: str, ids: Sequence[str]) -> None:
        self.removed += [(menu, one) for one in ids]

    def add(self, menu: str, rows: Sequence[Mapping[str, str]]) -> None:
        raise Refused("nothing is to be added")

    def change(self, menu: str, ids: Sequence[str], values: Mapping[str, str]) -> None:
        raise Refused("nothing is to be changed")

    def clear(self, addresses: Sequence[str], redirected: Sequence[str]) -> None:
        raise Refused("nothing is to be cleared")

    def close(self) -> None:
        pass


def ppp(number: str, **more: str) -> dict[str, str]:
    return {".id": number, "name": "ali", "address": "10.0.0.5", "session-id": "0x81500001"} | more


def test_a_session_is_told_by_its_id_however_it_is_spelled() -> None:
    assert mine(ALI, [ppp("*1"), ppp("*2", **{"session-id": "0x81500002"})]) == ["*1"]
    assert mine(Online(True, "ali", "0081500001", None), [ppp("*1")]) == ["*1"]


def test_without_an_id_it_is_told_by_its_address() -> None:
    rows = [{".id": "*1", "user": "g", "address": "10.5.0.9"}, {".id": "*2", "user": "g", "address": "10.5.0.10"}]
    assert mine(GUEST, rows) == ["*1"]


def test_only_that_session_is_ended() -> None:
    menus = Menus(ppp=[ppp("*1"), ppp("*2", **{"session-id": "0x81500002"}), ppp("*3", name="eva")])
    end(menus, ALI)
    assert menus.removed == [(PPP, "*1")]


def test_a_session_that_is_not_there_has_ended() -> None:
    menus = Menus()
    end(menus, ALI)
    assert menus.removed == []
    assert see(menus, ALI) == Seen(False)


def test_a_guest_of_the_hotspot_is_ended_there() -> None:
    menus = Menus(hotspot=[{".id": "*7", "user": GUEST.username, "address": "10.5.0.9"}])
    end(menus, GUEST)
    assert menus.removed == [(HOTSPOT, "*7")]


def test_what_a_session_has_is_seen() -> None:
    queue = {"name": "<pppoe-ali>", "max-limit": "1000000/2000000"}
    entry = {"list": "garden", "address": "10.0.0.5"}
    menus = Menus(ppp=[ppp("*1")], queues=[queue], lists=[entry])
    assert see(menus, ALI) == Seen(True, Pair(1_000_000, 2_000_000), frozenset(("garden",)))


def test_a_rate_that_could_be_of_another_session_is_none() -> None:
    queue = {"name": "<pppoe-ali>", "max-limit": "1000000/2000000"}
    assert rate_of([ppp("*1"), ppp("*2")], [queue]) is None
    assert rate_of([ppp("*1")], []) is None
    assert rate_of([ppp("*1")], [{"name": "<pppoe-ali>", "max-limit": "what?"}]) is None
