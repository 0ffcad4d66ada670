"""The whole fake router before the whole server: what a payment does is seen in the router's menus."""

from ledgate.lab.router import Router
from ledgate.lab.routeros.tables import Item
from ledgate.lab.session import Subscriber
from tests.integration.live_change import SECRET
from tests.integration.serving import until
from tests.integration.system import System
from tests.integration.test_system_changes import given

ADDRESS = "127.0.0.9"


def rows(router: Router, menu: str) -> list[Item]:
    with router.lock:
        return [row.values for row in router.device.tables[menu]]


def test_a_payment_is_seen_in_the_menus(world: System, name: str) -> None:
    servers = ("127.0.0.1", world.made.auth_port), ("127.0.0.1", world.made.acct_port)
    device = Subscriber(name, "secret", "mschapv2", mac="02:00:00:00:1A:B0")
    with Router(*servers, SECRET, identifier=f"lab-{name}", coa=(ADDRESS, 0), retry=0.2) as router:
        nas = {"name": f"lab-{name}", "identifier": f"lab-{name}", "address": ADDRESS, "secret": SECRET.decode()}
        world.load(nas=[{**nas, "coa_port": router.coa_port}])
        given(world, username=name, balance=-900_000)
        router.dial(device)
        until(lambda: rows(router, "/ppp/active"), "the device is in")
        (walled,) = rows(router, "/ip/firewall/address-list")
        (slow,) = rows(router, "/queue/simple")
        assert (walled["list"], walled["dynamic"], slow["max-limit"]) == ("overdue", "true", "128000/128000")
        world.pay(name, 900_000)
        until(
            lambda: [row["max-limit"] for row in rows(router, "/queue/simple")] == ["20000000/20000000"],
            "the queue is that of the plan",
        )
        assert rows(router, "/ip/firewall/address-list") == []
        (active,) = rows(router, "/ppp/active")
        assert (active["name"], active["radius"]) == (name, "true")
