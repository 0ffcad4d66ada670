"""A fake router with real packets (shell): network namespaces stand in for hosts, its tables become their nftables.

Needs root, and Debian's iproute2, nftables and conntrack. Nothing outside the namespaces is touched.
"""

import re
import secrets
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Final, Self

from ledgate.lab.nftables import ruleset
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.tables import Row

_CONNECTIONS: Final = "/ip/firewall/connection"
_FOLLOWED: Final = tuple(
    f"{path}/{menu}" for path in ("/ip/firewall", "/ipv6/firewall") for menu in ("address-list", "filter", "nat")
)
_LOOK: Final = 0.1
"""Seconds between looks at the kernel's connections."""
_PAIRS: Final = re.compile(r"(src|dst|sport|dport)=(\S+)")


class NetworkFault(Exception):
    """A command of the network's did not do what it should; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine behind an interface of the router: a namespace of its own, with one address."""

    namespace: str
    interface: str
    """The router's."""
    address: str

    def popen(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program on this host."""
        return subprocess.Popen(
            ("ip", "netns", "exec", self.namespace, *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, wait: float = 10.0) -> "subprocess.CompletedProcess[str]":
        """Run a program on this host to its end. Raises subprocess.TimeoutExpired."""
        started = ("ip", "netns", "exec", self.namespace, *command)
        return subprocess.run(started, capture_output=True, text=True, timeout=wait, check=False)


class Network:
    """A router's data plane. Use it as a context manager; `attach` gives it hosts.

    `lock` is the one that guards the device. Whatever changes in its tables is in force some milliseconds later; its
    table of connections shows what the kernel knows.
    """

    def __init__(self, device: Device, lock: AbstractContextManager[object]) -> None:
        self._device = device
        self._lock = lock
        self._prefix = f"lg{secrets.token_hex(3)}"
        self._router = f"{self._prefix}-r"
        self._hosts: list[Host] = []
        self._changed = threading.Event()
        self._closing = False
        self._applied = ""
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="network")

    def __enter__(self) -> Self:
        _run("ip", "netns", "add", self._router)
        self._inside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self._inside("ip", "link", "set", "lo", "up")
        with self._lock:
            for path in _FOLLOWED:
                table = self._device.table(path)
                if table is not None:
                    table.watchers.append(lambda _row, _gone: self._changed.set())
            self._device.hooks.removed[_CONNECTIONS] = self._forget
        self.settle()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._changed.set()
        self._thread.join()
        for namespace in (*(host.namespace for host in self._hosts), self._router):
            with suppress(NetworkFault):
                _run("ip", "netns", "delete", namespace)
        if self._fault is not None:
            raise self._fault

    def attach(self, interface: str, *addresses: str) -> Host:
        """A new host with these addresses (such as 10.7.1.2/24) behind a new interface of the router, which gets the
        first address of each network and is the host's way out.
        """
        host = Host(f"{self._prefix}-{interface}", interface, str(ip_interface(addresses[0]).ip))
        _run("ip", "netns", "add", host.namespace)
        self._hosts.append(host)
        self._inside("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        self._inside("ip", "link", "set", interface, "up")
        for link in ("lo", "eth0"):
            _run("ip", "-n", host.namespace, "link", "set", link, "up")
        for address in addresses:
            network = ip_interface(address).network
            gateway = str(next(network.hosts()))
            at_once = ("nodad",) if network.version == 6 else ()
            self._inside("ip", "address", "replace", f"{gateway}/{network.prefixlen}", "dev", interface, *at_once)
            _run("ip", "-n", host.namespace, "address", "add", address, "dev", "eth0", *at_once)
            _run("ip", "-n", host.namespace, "route", "replace", "default", "via", gateway)
        return host

    def settle(self) -> None:
        """Have what the tables say in force on return. Raises NetworkFault, CannotTranslate."""
        self._changed.clear()
        with self._lock:
            wanted = ruleset(self._device)
        if wanted != self._applied:
            self._inside("nft", "-f", "-", text=wanted)
            self._applied = wanted

    def _follow(self) -> None:
        while not self._closing:
            self._changed.wait(_LOOK)
            try:
                self.settle()
                self._look()
            except Exception as fault:  # said at the end: a thread has nobody to tell
                self._fault = self._fault or fault

    def _look(self) -> None:
        """Show the kernel's connections in the router's table."""
        present = dict(self._connections())
        table = self._device.tables[_CONNECTIONS]
        with self._lock:
            known = {_key(row): row for row in table}
            for key, row in known.items():
                if key not in present:
                    table.remove(row)
            for key, values in present.items():
                if key not in known:
                    table.append(values)

    def _connections(self) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
        for line in self._inside("conntrack", "-L", "-f", "ipv4").splitlines():
            words, pairs = line.split(), _PAIRS.findall(line)
            places = [_place(pairs[at : at + 4]) for at in (0, 4)] if len(pairs) == 8 else []
            if places:
                names = ("src-address", "dst-address", "reply-src-address", "reply-dst-address")
                values = {"protocol": words[0], **dict(zip(names, (*places[0], *places[1]), strict=True))}
                yield tuple(values.values())[:3], values

    def _forget(self, row: Row) -> None:
        protocol, source, target = _key(row)
        (host, port), (to, to_port) = (one.rpartition(":")[::2] for one in (source, target))
        with suppress(NetworkFault):  # it has ended by itself
            self._inside(
                *("conntrack", "-D", "-p", protocol, "-s", host, "-d", to, "--sport", port, "--dport", to_port)
            )
        self._device.tables[_CONNECTIONS].remove(row)

    def _inside(self, *command: str, text: str | None = None) -> str:
        return _run("ip", "netns", "exec", self._router, *command, text=text)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row.values.get(name, "") for name in ("protocol", "src-address", "dst-address"))


def _place(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """`src`, `dst`, `sport`, `dport` as two places."""
    found = dict(pairs)
    return f"{found['src']}:{found['sport']}", f"{found['dst']}:{found['dport']}"


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NetworkFault(f"{' '.join(command)}: {' '.join(done.stderr.split())}\n{text or ''}")
    return done.stdout
