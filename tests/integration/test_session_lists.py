"""Live sessions on the address-lists of a router with an API: a whole engine against a fake RouterOS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.coa.sweep import sweep
from aaa.coa.wishes import Wishes
from aaa.commands.paying import NotNow, open_for_payment
from aaa.domain.instant import iso
from aaa.routeros.lists import Drift, comment
from aaa.routeros.peer import connect
from aaa.store.database import Database
from aaa.store.tables import enforcement
from aaa.store.tables import nas as nas_table
from aaa.store.tables import router as router_table
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.nas import Session
from ledgate.lab.routeros.commands import Sentence, run
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.login import User
from ledgate.lab.routeros.server import ApiServer
from ledgate.lab.routeros.tables import Item
from ledgate.load import load
from tests.integration.live_change import Live, scene, until

LISTS = "/ip/firewall/address-list"
DAY = 86_400_000_000


class Box:
    """The scene's router as a peer of its API."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.device = Device("7.16.2", clock.now())
        self.behaviour = Behaviour()
        self.server = ApiServer(self.device, [User("ledgate", "secret")], behaviour=self.behaviour)

    def load(self, *subscribers: dict[str, Any], **sections: Any) -> None:
        """The scene with its router as a peer, and a garden that is nothing but a list."""
        self.live.load(*subscribers)
        self.more(
            **sections,
            nas=[self.live.nas(api=self.api())],
            finish_rules=[{"name": "garden", "debit": {"restrict": {"address_list": "garden"}}, "expire": "deny"}],
        )

    def api(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.server.port, "user": "ledgate", "password": "secret"}

    def more(self, **document: Any) -> None:
        load(self.live.loads, document, self.live.sealer, actor="test", now=clock.now())

    def rows(self, menu: str = LISTS) -> list[Item]:
        with self.server.lock:
            table = self.device.table(menu)
            assert table is not None
            return [table.item(row, clock.now()) for row in table]

    def lists(self) -> set[tuple[str, str]]:
        return {(row["list"], row["address"]) for row in self.rows()}

    def add(self, **values: str) -> None:
        """A list entry, as somebody adds it by hand."""
        with self.server.lock:
            run(self.device, Sentence(LISTS, "add", values), clock.now())

    def put(self, menu: str, **values: str) -> None:
        with self.server.lock:
            table = self.device.table(menu)
            assert table is not None
            table.append({name.replace("_", "-"): value for name, value in values.items()})


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as made:
        yield made


@pytest.fixture
def box(live: Live) -> Iterator[Box]:
    made = Box(live)
    with made.server:
        yield made


OWING = {"username": "ali", "balance": -900_000}
REMIND: dict[str, Any] = {
    "settings": {"server_ip": "192.0.2.80"},
    "overdue_policies": [{"name": "soft", "remind_pay": 1}],
    "params": [{"scope": "server", "name": "OverduePolicy", "value": "soft"}],
}


def stored(live: Live, one: Session) -> Any:
    return live.session_row(one)["lists"]


def calm(live: Live) -> None:
    until(lambda: not [one for one in live.wishes() if one["not_before"] <= clock.now()], "nothing is due any more")


def test_an_accept_names_no_list_and_the_start_puts_the_address_onto_it(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        assert "Mikrotik-Address-List" not in ali.told
        until(lambda: box.lists() == {("garden", ali.framed_ip)}, "ali is in the garden")
        calm(live)
    [row] = box.rows()
    assert row["comment"].startswith(f"ledgate:s{live.session_row(ali)['id']}:")
    assert row["dynamic"] == "true", "an entry with a timeout wears no flash"
    assert stored(live, ali) == '["garden"]'
    assert live.changes == [], "nothing was told by RADIUS"
    told = [(one["kind"], one["result"], one["cause"], one["attributes"]) for one in live.attempts()]
    assert told == [("api", "ack", "start", '[["Mikrotik-Address-List",["garden"]]]')]


def test_a_payment_takes_the_address_off_while_the_session_goes_on(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        box.put("/ip/firewall/connection", src_address=f"{ali.framed_ip}:40000", reply_src_address="203.0.113.9:443")
        box.put("/ip/firewall/connection", src_address="10.99.0.9:40000", reply_src_address="203.0.113.9:443")
        paid = live.pay("ali", 900_000)
        until(lambda: not box.lists(), "ali is out")
        calm(live)
    assert live.changes == [] and live.session_row(ali)["closed_at"] is None
    assert stored(live, ali) is None
    assert [row["src-address"] for row in box.rows("/ip/firewall/connection")] == ["10.99.0.9:40000"]
    told = live.attempts()[-1]
    assert (told["kind"], told["cause"], told["result"]) == ("api", "payment", "ack")
    assert told["at"] - paid < clock.SECOND


def test_r5_2_r5_3_who_is_overdue_is_reminded_and_not_after_he_paid(live: Live, box: Box) -> None:
    box.load({"username": "sara", "balance": -1_000, "last_payment": iso(clock.now() - 3 * DAY)}, **REMIND)
    with live.engine():
        sara = live.log_in("sara")
        until(lambda: box.lists() == {("ledgate-overdue", sara.framed_ip)}, "sara is reminded")
        calm(live)
        for place, there in (("203.0.113.9:80", "192.0.2.80:8601"), ("203.0.113.9:443", "203.0.113.9:443")):
            box.put(
                "/ip/firewall/connection",
                src_address=f"{sara.framed_ip}:40000",
                dst_address=place,
                reply_src_address=there,
            )
        live.pay("sara", 1_000)
        until(lambda: not box.lists(), "nobody is reminded")
        calm(live)
    assert [row["dst-address"] for row in box.rows("/ip/firewall/connection")] == ["203.0.113.9:443"]
    assert live.changes == []


def test_r5_3_a_policy_that_rejects_https_has_a_list_of_its_own(live: Live, box: Box) -> None:
    policy = {"name": "soft", "remind_pay": 1, "overdue_https": "reject"}
    sections: dict[str, Any] = {**REMIND, "overdue_policies": [policy]}
    box.load({"username": "sara", "balance": -1_000, "last_payment": iso(clock.now() - 3 * DAY)}, **sections)
    with live.engine():
        live.log_in("sara")
        until(lambda: {name for name, _ in box.lists()} == {"ledgate-overdue-reject"}, "sara is reminded")


def test_r5_5_without_an_api_no_reminder_is_told(live: Live) -> None:
    live.load({"username": "sara", "balance": -1_000, "last_payment": iso(clock.now() - 3 * DAY)})
    load(live.loads, REMIND, live.sealer, actor="test", now=clock.now())
    with live.engine():
        sara = live.log_in("sara")
        calm(live)
    assert "Mikrotik-Address-List" not in sara.told
    assert live.attempts() == [] and live.changes == []


def test_a_stop_takes_its_entries_along(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        live.router.hang_up(ali)
        until(lambda: not box.lists(), "nothing is left of him")
        until(lambda: stored(live, ali) is None, "and that is known")
        calm(live)
    assert live.wishes() == []
    assert live.attempts()[-1]["cause"] == "stop"


def test_a_stop_that_came_while_no_engine_ran_is_made_up_for(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
    live.router.hang_up(ali)
    assert box.lists()
    with live.engine():
        until(lambda: not box.lists(), "nothing is left of him")


def test_the_next_holder_of_an_address_inherits_no_debt(live: Live, box: Box) -> None:
    """The Stop was lost: only the next Start with the same address tells that the session is over."""
    box.load({**OWING, "static_ip": "10.7.0.7"}, {"username": "sara", "static_ip": "10.7.0.7"})
    with live.engine():
        ali = live.log_in("ali")
        until(lambda: box.lists() == {("garden", "10.7.0.7")}, "ali is in the garden")
        calm(live)
        sara = live.log_in("sara", mac="02:00:00:00:00:02")
        until(lambda: not box.lists(), "sara is not")
        calm(live)
        live.charge("ali", 100)  # his session is still open here, but the address is hers now
        calm(live)
    assert box.lists() == set()
    assert live.session_row(ali)["closed_at"] is None and live.session_row(sara)["framed_ip"] == "10.7.0.7"
    assert stored(live, ali) is None and stored(live, sara) is None


def test_a_router_whose_api_is_away_gets_its_changes_when_it_is_back(live: Live, box: Box) -> None:
    box.load(OWING)
    box.behaviour.api_down = True
    with live.engine():
        ali = live.log_in("ali")
        told = until(live.attempts, "the router was tried")
        assert told[0]["result"] == "timeout" and stored(live, ali) == '["garden", "?"]'
        until(lambda: live.rows(router_table)[0]["state"] == "offline", "that is said of the router")
        assert box.lists() == set()
        box.behaviour.api_down = False
        until(lambda: box.lists() == {("garden", ali.framed_ip)}, "ali is in the garden")
        until(lambda: stored(live, ali) == '["garden"]', "and that is known")


def test_what_others_put_onto_lists_is_left_alone(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        foreign = {"list": "mine", "address": ali.framed_ip, "comment": "by hand"}
        box.put(LISTS, **foreign)
        live.pay("ali", 900_000)
        until(lambda: box.lists() == {("mine", ali.framed_ip)}, "only what is not ours is left")


def test_a_claim_writes_down_what_may_be_before_the_router_is_told(live: Live, box: Box) -> None:
    box.load(OWING)
    ali = live.log_in("ali")
    [wish] = Wishes(live.db, live.sealer).claim(clock.now(), 10, [])
    assert wish.lists is not None and wish.lists.listing.addresses == (ali.framed_ip,)
    assert stored(live, ali) == '["garden", "?"]'


def test_a_plain_session_asks_nothing_of_the_router(live: Live, box: Box) -> None:
    box.load({"username": "sara"})
    with live.engine():
        live.log_in("sara")
        calm(live)
    assert live.attempts() == [] and box.lists() == set()


def keep(live: Live, box: Box, *, mend: bool = True) -> Drift:
    """Compare all of the router's lists."""
    [nas] = live.rows(nas_table)
    peer = connect(live.db, live.sealer, nas["id"])
    try:
        return sweep(live.db, nas["id"], peer, clock.now(), mend=mend)
    finally:
        peer.close()


def test_what_somebody_emptied_is_filled_again(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        before = box.lists()
        assert keep(live, box) == Drift([], [], [])
        with box.server.lock:
            box.device.restart(clock.now())
        assert box.lists() == set()
        assert keep(live, box, mend=False).lacking == [live.session_row(ali)["id"]]
        assert stored(live, ali) == '["garden"]', "only told"
        keep(live, box)
        until(lambda: box.lists() == before, "ali is in the garden again")
        calm(live)
    assert live.attempts()[-1]["cause"] == "drift"


def test_what_is_ours_and_nobody_s_is_removed_and_what_runs_out_is_renewed(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
    mine = comment(live.session_row(ali)["id"], "garden", ali.framed_ip)
    with box.server.lock:
        box.device.restart(clock.now())
    box.add(list="garden", address=ali.framed_ip, comment=mine, timeout="1d")
    box.add(list="garden", address="10.9.9.9", comment="ledgate:s99999:00000000", timeout="1d")
    box.add(list="garden", address="10.9.9.8", comment="by hand", timeout="1d")
    found = keep(live, box)
    assert [one.address for one in found.surplus] == ["10.9.9.9"]
    assert [one.address for one in found.ending] == [ali.framed_ip] and not found.lacking
    assert box.lists() == {("garden", ali.framed_ip), ("garden", "10.9.9.8")}
    [renewed] = [row for row in box.rows() if row["comment"] == mine]
    assert renewed["timeout"].startswith("4w1d"), renewed


def test_r4_11_a_card_payment_opens_the_web_three_times_a_day(live: Live, box: Box) -> None:
    box.load(OWING, {"username": "sara"})
    ref = live.ref("ali")
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        until_at = open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
        assert 0 < until_at - clock.now() <= 900 * clock.SECOND
        until(lambda: ("ledgate-paying", ali.framed_ip) in box.lists(), "his bank is open")
        calm(live)
    [entry] = [row for row in box.rows() if row["list"] == "ledgate-paying"]
    assert entry["timeout"].startswith(("14m", "15m")), "the router ends it by itself"
    assert len(box.lists()) == 2, "the garden stays"
    for _ in range(2):
        open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
    with pytest.raises(NotNow, match="3 times today"):
        open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
    open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now() + DAY)
    sara = live.ref("sara")
    with pytest.raises(NotNow, match="no session"):
        open_for_payment(live.db, sara.service_id, sara.account_id, actor="portal", now=clock.now())


def test_r4_11_a_second_card_payment_opens_the_web_anew(live: Live, box: Box) -> None:
    """The first one's entry has run out meanwhile, or runs out too early."""
    box.load(OWING)
    ref = live.ref("ali")

    def opened() -> list[Item]:
        return [row for row in box.rows() if row["list"] == "ledgate-paying"]

    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
        until(opened, "his bank is open")
        calm(live)
        with box.server.lock:
            run(box.device, Sentence(LISTS, "set", {".id": opened()[0][".id"], "timeout": "2m"}), clock.now())
        open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
        until(lambda: opened()[0]["timeout"].startswith(("14m", "15m")), "it stays open as long as it is told")
        calm(live)
        with box.server.lock:
            run(box.device, Sentence(LISTS, "remove", {".id": opened()[0][".id"]}), clock.now())
        open_for_payment(live.db, ref.service_id, ref.account_id, actor="portal", now=clock.now())
        until(opened, "his bank is open again")
        calm(live)
    assert ("garden", ali.framed_ip) in box.lists()


def put_off(live: Live, one: Session) -> None:
    """As if a later end were to be told in ten days."""
    row = live.session_row(one)
    wish = {
        "session_id": row["id"],
        "service_id": row["service_id"],
        "wanted_version": row["version"],
        "cause": "payment",
        "requested_at": clock.now(),
        "not_before": clock.now() + 10 * DAY,
    }
    with live.db.write() as conn:
        conn.execute(enforcement.insert().values(wish))


def test_a_stop_takes_its_entries_along_though_something_was_put_off(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        put_off(live, ali)
        live.router.hang_up(ali)
        until(lambda: not box.lists(), "nothing is left of it")
        until(lambda: not live.wishes(), "nor of what was put off")
    assert stored(live, ali) is None


def test_what_somebody_emptied_is_filled_again_though_something_was_put_off(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        before = box.lists()
        put_off(live, ali)
        with box.server.lock:
            box.device.restart(clock.now())
        keep(live, box)
        until(lambda: box.lists() == before, "ali is in the garden again")
        calm(live)


def test_who_is_on_a_list_by_his_accept_is_let_out_by_a_redial_once_the_router_has_an_api(live: Live, box: Box) -> None:
    live.load(OWING)
    box.more(finish_rules=[{"name": "garden", "debit": {"restrict": {"address_list": "garden"}}, "expire": "deny"}])
    ali = live.log_in("ali")
    assert ali.told["Mikrotik-Address-List"] == "garden"
    box.more(nas=[live.nas(api=box.api())])
    live.router.behaviour.redial = True
    with live.engine():
        calm(live)
        live.pay("ali", 900_000)
        change = live.change()
        assert change.kind == "disconnect"
        until(lambda: live.logins, "he dials in again")
        calm(live)
    assert isinstance(live.logins[0], Session) and "Mikrotik-Address-List" not in live.logins[0].told


def test_who_is_on_a_list_by_the_api_comes_onto_it_by_a_redial_once_the_router_has_none(live: Live, box: Box) -> None:
    box.load(OWING)
    with live.engine():
        ali = live.log_in("ali")
        until(box.lists, "ali is in the garden")
        calm(live)
        live.router.behaviour.redial = True
        box.more(nas=[live.nas(address_list_by="disconnect")])
        assert live.change().session is ali
        until(lambda: live.logins, "he dials in again")
        until(lambda: not box.lists(), "the API's entry has gone")
    assert isinstance(live.logins[0], Session) and live.logins[0].told["Mikrotik-Address-List"] == "garden"
