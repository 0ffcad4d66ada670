"""A subscriber's real packets through a router of the lab whose rules are really in force (R4.11, R5.3, R5.4).

Network namespaces are the subscriber, the web beyond the router, and the portal; its tables are their nftables. The
server is the real one, in processes of its own: it puts its rules onto the router by itself.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.commands.leniency import acknowledge
from aaa.commands.paying import open_for_payment
from aaa.store.database import Database, open_database
from aaa.store.queries import ServiceRef, find_service
from billing import commands as billing
from ledgate.lab.network import Host, Network
from ledgate.lab.router import Router
from ledgate.lab.routeros.commands import Sentence, run
from ledgate.lab.routeros.login import User
from ledgate.lab.session import Subscriber
from tests.integration.serving import SECRET, Installation, document, installation, router, running, subscriber, until

SUBSCRIBER, WEB, BANK, PORTAL = "10.7.1.2", "203.0.113.9", "203.0.113.80", "192.0.2.80"
SUBSCRIBER_6, WEB_6 = "2001:db8:7:1::2", "2001:db8:99::9"
ROUTER = "203.0.113.1"
"""Whom the web sees: the router masquerades."""
DAY = 86_400 * clock.SECOND
SITE = """
import http.server, socket, sys, threading
class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        said = f"{sys.argv[1]} for {self.client_address[0].removeprefix('::ffff:')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
def echo():
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("0.0.0.0", 53))
    while True:
        names.sendto(*names.recvfrom(512))
threading.Thread(target=echo, daemon=True).start()
servers = [Server(("::", int(port)), Site) for port in sys.argv[2:]]
for one in servers[1:]:
    threading.Thread(target=one.serve_forever, daemon=True).start()
print("ready", flush=True)
servers[0].serve_forever()
"""
"""Says who it is, and whom it sees, on some ports; answers what is sent to the port of DNS."""
BROWSER = """
import http.client, sys
kept = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=2)
for line in sys.stdin:
    try:
        kept.request("GET", "/")
        print(kept.getresponse().read().decode(), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""
"""Asks over one connection that it keeps, each time that it is told to."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


class Scene:
    """A subscriber online behind the router; sites answer who they are and whom they see."""

    def __init__(self, made: Installation, box: Router, line: Host) -> None:
        self.made = made
        self.box = box
        self.line = line
        self.db: Database = open_database(made.database_url)
        self._paid = 0

    @property
    def ref(self) -> ServiceRef:
        with self.db.read() as conn:
            return find_service(conn, "sara")

    def get(self, address: str = WEB, port: int = 80) -> str:
        """What a browser on the line is shown; empty if it gets nothing."""
        return self.line.run("curl", "-g", "-s", "-m", "2", f"http://{address}:{port}/").stdout

    def names(self) -> bool:
        """Whether DNS answers."""
        asks = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2);"
        asks += f"s.sendto(b'who', ('{WEB}', 53)); print(s.recv(9).decode())"
        return self.line.run(sys.executable, "-c", asks).stdout == "who\n"

    def back(self, since: float, port: int = 80) -> None:
        """The web is there again within a second of an instant of the monotonic clock."""
        until(lambda: self.get(port=port) == f"the web for {ROUTER}", "the web is back")
        assert time.monotonic() - since < 1.0

    def lists(self) -> set[str]:
        with self.box.lock:
            rows = [row.values for row in self.box.device.tables["/ip/firewall/address-list"]]
        return {row["list"] for row in rows if row["address"] == SUBSCRIBER}

    def rule_lists(self) -> set[str]:
        """The lists that the router has rules for."""
        with self.box.lock:
            rows = [row.values for menu in ("filter", "nat") for row in self.box.device.tables[f"/ip/firewall/{menu}"]]
        return {row[side] for row in rows for side in ("src-address-list", "dst-address-list") if side in row}

    def asked(self, browser: "subprocess.Popen[str]") -> str:
        """What a browser says that keeps its connection."""
        assert browser.stdin is not None and browser.stdout is not None
        browser.stdin.write("\n")
        browser.stdin.flush()
        return browser.stdout.readline().strip()

    def charge(self, amount: int, *, overdue_days: int) -> None:
        now = clock.now()
        due_at = now - overdue_days * DAY
        billing.charge(self.db, self.ref, amount, due_at=due_at, override=True, actor="test", now=now)

    def pay(self, amount: int) -> float:
        """Returns when it was committed, by the monotonic clock."""
        self._paid += 1
        billing.pay(self.db, self.ref, amount, external_id=f"p{self._paid}", actor="test", now=clock.now())
        return time.monotonic()


def start(host: Host, stack: ExitStack, program: str, *arguments: str) -> "subprocess.Popen[str]":
    process = host.popen(sys.executable, "-c", program, *arguments)
    stack.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate()


def site(host: Host, stack: ExitStack, name: str, *ports: int) -> None:
    process = start(host, stack, SITE, name, *map(str, ports))
    assert process.stdout is not None and process.stdout.readline()


def live_in(box: Router) -> None:
    """What RouterOS comes with: FastTrack before all, masquerade towards the web."""
    rows = [
        ("/interface", {"name": "wan", "type": "ether"}),
        ("/interface", {"name": "line", "type": "ether"}),
        ("/interface", {"name": "desk", "type": "ether"}),
    ]
    with box.lock:
        for menu, values in rows:
            box.device.tables[menu].append(values)
        for menu, values in (
            (
                "filter",
                {"action": "fasttrack-connection", "chain": "forward", "connection-state": "established,related"},
            ),
            ("filter", {"action": "accept", "chain": "forward", "connection-state": "established,related"}),
            ("nat", {"action": "masquerade", "chain": "srcnat", "out-interface": "wan"}),
            ("nat", {"action": "masquerade", "chain": "srcnat", "out-interface": "desk"}),
        ):
            run(box.device, Sentence(f"/ip/firewall/{menu}", "add", values), clock.now())


@pytest.fixture
def scene(postgresql_url: str, tmp_path: Path) -> Iterator[Scene]:
    made = installation(postgresql_url, tmp_path / "ledgate")
    with ExitStack() as stack:
        box = Router(
            ("127.0.0.1", made.auth_port),
            ("127.0.0.1", made.acct_port),
            SECRET.encode(),
            users=(User("ledgate", "secret"),),
        )
        stack.enter_context(box)
        live_in(box)
        network = stack.enter_context(Network(box.device, box.lock))
        line = network.attach("line", f"{SUBSCRIBER}/24", f"{SUBSCRIBER_6}/64")
        wan = network.attach("wan", f"{WEB}/24", f"{BANK}/24", f"{WEB_6}/64")
        desk = network.attach("desk", f"{PORTAL}/24")
        site(wan, stack, "the web", 80, 443, 8080)
        site(desk, stack, "the portal", 8601, 18601)
        made.load(described(box))
        stack.enter_context(running(made, "replica", "auth", "acct", "engine"))
        found = Scene(made, box, line)
        stack.callback(found.db.close)
        box.dial(Subscriber("sara", "secret", mac="02:00:00:00:00:07"))
        until(lambda: box.sessions, "sara is online")
        until(lambda: len(box.device.tables["/ip/firewall/filter"]) > 2, "the router has its rules")
        yield found


def described(box: Router) -> dict[str, Any]:
    api = {"host": "127.0.0.1", "port": box.api_port, "user": "ledgate", "password": "secret"}
    addresses = {"Framed-IPv6-Prefix": "2001:db8:7:1::/64"}
    sections = document(
        nas=[router("mt1", "127.0.0.1", identifier="mt1", coa_port=box.coa_port, api=api)],
        finish_rules=[
            {"name": "garden", "debit": {"restrict": {"address_list": "garden", "reply": addresses}}, "expire": "deny"}
        ],
        plans=[{"name": "home20", "visp": "tehran", "reply": addresses}],
        subscribers=[subscriber("sara", static_ip=SUBSCRIBER)],
        overdue_policies=[{"name": "soft", "remind_pay": 1}],
    )
    sections["params"].append({"scope": "server", "name": "OverduePolicy", "value": "soft"})
    sections["settings"] = {"server_ip": PORTAL, "router_radius": False, "allowed_pages": [BANK]}
    return sections


def test_r5_3_r5_4_who_is_overdue_meets_the_page_until_ok_or_payment(scene: Scene) -> None:
    assert scene.get() == f"the web for {ROUTER}"
    assert scene.get(f"[{WEB_6}]") == f"the web for {SUBSCRIBER_6}"
    scene.charge(1_000, overdue_days=3)
    until(lambda: scene.get().startswith("the portal"), "the next page is ours")
    assert scene.get() == f"the portal for {SUBSCRIBER}", "it sees who asks"
    assert scene.get(port=8080) == scene.get(port=443) == f"the web for {ROUTER}", "all else flows"
    assert scene.get(BANK) == f"the web for {ROUTER}", "R4.11"
    assert scene.get(f"[{WEB_6}]") == "", "browsers fall back to IPv4"
    assert scene.get(f"[{WEB_6}]", 443) == f"the web for {SUBSCRIBER_6}"
    assert scene.lists() == {"ledgate-overdue"}
    assert acknowledge(scene.db, scene.ref.account_id, actor="sara", now=clock.now())
    scene.back(time.monotonic())
    until(lambda: scene.get(f"[{WEB_6}]") == f"the web for {SUBSCRIBER_6}", "IPv6 is back")


def test_r5_3_r5_4_a_payment_ends_a_reminder_that_rejects_or_redirects_https(scene: Scene) -> None:
    scene.made.load({"overdue_policies": [{"name": "soft", "overdue_https": "reject"}]})
    scene.charge(1_000, overdue_days=3)
    until(lambda: scene.get().startswith("the portal"), "the next page is ours")
    until(lambda: scene.get(port=443) == "", "HTTPS is rejected")
    assert scene.get(BANK, 443) == f"the web for {ROUTER}"
    scene.made.load({"overdue_policies": [{"name": "soft", "overdue_https": "redirect"}]})
    until(lambda: scene.get(port=443) == f"the portal for {SUBSCRIBER}", "HTTPS leads to the portal too")
    scene.back(scene.pay(1_000))
    assert scene.get(port=443) == f"the web for {ROUTER}"
    scene.made.load({"overdue_policies": [{"name": "soft", "remind_pay": 0}]})
    with_reminders = {"ledgate-overdue", "ledgate-overdue-reject", "ledgate-overdue-redirect"}
    until(lambda: not scene.rule_lists() & with_reminders, "R5.1: nothing of reminders is left on the router")


def test_r4_11_who_is_restricted_reaches_dns_portal_and_bank_and_all_once_he_paid(scene: Scene) -> None:
    with ExitStack() as stack:
        kept = start(scene.line, stack, BROWSER, WEB, "8080")
        assert scene.asked(kept) == f"the web for {ROUTER}"
        scene.charge(900_000, overdue_days=0)
        until(lambda: scene.get().startswith("the portal"), "the next page is ours")
        assert scene.lists() == {"garden"}
        assert scene.asked(kept) != f"the web for {ROUTER}", "what was open is cut, though it was FastTracked"
    assert scene.get(port=443) == scene.get(port=8080) == ""
    assert scene.get(f"[{WEB_6}]", 443) == "", "no IPv6 leaks out of the garden"
    assert scene.names()
    assert scene.get(PORTAL, 8601) == f"the portal for {SUBSCRIBER}"
    assert scene.get(BANK) == scene.get(BANK, 443) == f"the web for {ROUTER}"
    open_for_payment(scene.db, scene.ref.service_id, scene.ref.account_id, actor="portal", now=clock.now())
    until(lambda: scene.get(port=443) == f"the web for {ROUTER}", "his bank may be anywhere while he pays")
    assert scene.get(port=8080) == "", "but that is the web, no more"
    scene.back(scene.pay(900_000), port=8080)
    until(lambda: scene.get(f"[{WEB_6}]", 443) == f"the web for {SUBSCRIBER_6}", "IPv6 is back")
