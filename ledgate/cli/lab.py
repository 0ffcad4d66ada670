"""`ledgate lab`: fake routers to try things with."""

import signal
import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, cast

import click

from aaa import clock
from ledgate.cli.terminal import faults_in_one_line
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.client import METHODS, Address, Method
from ledgate.lab.session import Access, Subscriber

_PORT = click.IntRange(0, 65535)
_Account = tuple[str, str, str, str]
"""User-Name, password, pppoe or hotspot, and method."""


class _AddressType(click.ParamType[Address]):
    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
            self.fail(f"{value!r} is no HOST:PORT", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


class _SubscriberType(click.ParamType[_Account]):
    name = "user:password[:pppoe|hotspot[:method]]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> _Account:
        user, password, access, method, *more = [*str(value).split(":"), "", "", ""]
        access, method = access or "pppoe", method or "pap"
        if not user or not password or any(more):
            self.fail(f"{_user(value)}: write USER:PASSWORD[:pppoe|hotspot[:METHOD]]", param, ctx)
        if access not in ("pppoe", "hotspot"):
            self.fail(f"{_user(value)}: {access!r} is neither pppoe nor hotspot", param, ctx)
        if method not in METHODS:
            self.fail(f"{_user(value)}: {method!r} is none of {', '.join(METHODS)}", param, ctx)
        return user, password, access, method


class _NameType(click.ParamType[tuple[str, tuple[str, ...]]]):
    name = "name=address,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, ...]]:
        name, equals, addresses = str(value).partition("=")
        if not equals or not name or not addresses:
            self.fail(f"{value!r} is no NAME=ADDRESS,…", param, ctx)
        found = tuple(addresses.split(","))
        for one in found:
            try:
                ip_address(one)
            except ValueError:
                self.fail(f"{one!r} is no address of {name}", param, ctx)
        return name.lower(), found


def _user(value: object) -> str:
    """The name alone, for an error: what follows is a password."""
    return f"subscriber {str(value).partition(':')[0]!r}"


@click.group("lab")
def lab_command() -> None:
    """Fake routers, to try a configuration without a real one."""


@lab_command.command("router")
@click.option("--radius", type=_AddressType(), default="127.0.0.1:1812", show_default=True, help="The server.")
@click.option("--acct", type=_AddressType(), help="Where accounting goes (default: the next port of --radius).")
@click.option("--secret", required=True, help="The secret shared with the server.")
@click.option("--identifier", default="mt1", show_default=True, help="NAS-Identifier.")
@click.option("--address", default="127.0.0.1", show_default=True, help="The router's own address.")
@click.option("--coa-port", type=_PORT, metavar="PORT", default=3799, show_default=True, help="0: any free one.")
@click.option("--api-port", type=_PORT, metavar="PORT", default=8728, show_default=True, help="0: any free one.")
@click.option("--api-tls-port", type=_PORT, metavar="PORT", help="Serve the API by TLS as well.")
@click.option("--api-user", default="ledgate", show_default=True)
@click.option("--api-password", default="ledgate", show_default=True)
@click.option("--api-group", type=click.Choice(("full", "read")), default="full", show_default=True)
@click.option("--api-login", type=click.Choice(("plain", "challenge")), default="plain", show_default=True)
@click.option("--version", "version", default="7.16.2", show_default=True, help="RouterOS to be: 6.x or 7.x.")
@click.option("--subscriber", "subscribers", type=_SubscriberType(), multiple=True, help="Dials in. May be repeated.")
@click.option(
    "--interim",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Seconds between interim records, whatever RADIUS says.",
)
@click.option(
    "--traffic",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    default=0.1,
    show_default=True,
    help="Part of its rate a session uses.",
)
@click.option(
    "--retry",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    help="Seconds after a reject.",
)
@click.option("--dns", type=_NameType(), multiple=True, help="What a name on an address-list resolves to.")
@click.option(
    "--foreign-rules", type=click.IntRange(0, 100_000), metavar="N", default=0, help="Other people's firewall rules."
)
@click.option(
    "--foreign-entries", type=click.IntRange(0, 1_000_000), metavar="N", default=0, help="Other people's list entries."
)
@click.option(
    "--drop", type=click.FloatRange(0, 1), metavar="0..1", default=0.0, help="Part of all UDP datagrams that is lost."
)
@click.option(
    "--slow", type=click.IntRange(0), metavar="MS", default=0, help="Milliseconds over each CoA or Disconnect."
)
@click.option("--lie", type=click.Choice(("no", "coa", "disconnect", "both")), default="no", help="ACK, do nothing.")
@click.option(
    "--nak",
    type=click.IntRange(201, 599),
    metavar="CAUSE",
    help="Refuse each CoA and Disconnect with this Error-Cause.",
)
@click.option("--takes-address-list", is_flag=True, help="A CoA may change Mikrotik-Address-List.")
@click.option(
    "--timeout-from",
    type=click.Choice(("start", "now")),
    default="start",
    help="What a CoA's Session-Timeout counts from.",
)
@click.option("--clock-offset", type=int, metavar="SECONDS", default=0, help="Seconds by which its clock is ahead.")
@click.option("--api-slow", type=click.IntRange(0), metavar="MS", default=0, help="Milliseconds over each API command.")
@click.option("--seed", type=int, metavar="N", help="Decides which datagrams are lost.")
@faults_in_one_line
def router_command(radius: Address, acct: Address | None, **chosen: Any) -> None:
    """A fake MikroTik: RADIUS client, CoA server, RouterOS API; runs until Ctrl-C and tells what happens.

    It logs its subscribers in and keeps them dialling, accounts for them, and shows their sessions in /ppp/active and
    /ip/hotspot/active. Its firewall begins as most do: FastTrack, established, invalid, masquerade.
    """
    from ledgate.lab.router import Router  # here, for it takes asyncio, which no other command needs
    from ledgate.lab.routeros.foreign import fill, usual
    from ledgate.lab.routeros.login import User

    try:
        router = Router(
            radius,
            acct or (radius[0], radius[1] + 1),
            chosen["secret"].encode(),
            identifier=chosen["identifier"],
            coa=(chosen["address"], chosen["coa_port"]),
            version=chosen["version"],
            subscribers=_devices(chosen["subscribers"]),
            users=(User(chosen["api_user"], chosen["api_password"], chosen["api_group"]),),
            api_host=chosen["address"],
            api_port=chosen["api_port"],
            api_tls_port=chosen["api_tls_port"],
            api_login=chosen["api_login"],
            names=dict(chosen["dns"]),
            interim=chosen["interim"],
            traffic=chosen["traffic"],
            retry=chosen["retry"],
            seed=chosen["seed"],
            narrate=_narrate,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"UDP {chosen['address']} port {chosen['coa_port']}: {error.strerror}") from None
    usual(router.device)
    fill(router.device, chosen["foreign_rules"], chosen["foreign_entries"], clock.now())
    _misbehave(router.behaviour, chosen)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        with router:
            ports = f"CoA on UDP {router.coa_port}, API on TCP {router.api_port}"
            ports += f", by TLS on {router.api_tls_port}" if chosen["api_tls_port"] is not None else ""
            click.echo(f"{router.identifier} is RouterOS {chosen['version']} at {chosen['address']}: {ports}")
            stop.wait()
    except OSError as error:
        raise click.ClickException(f"the API cannot listen: {error.strerror or error}") from None
    click.echo("stopped")


def _devices(found: tuple[_Account, ...]) -> list[Subscriber]:
    """A MAC address for each, and an address for those of the hotspot."""
    devices: list[Subscriber] = []
    for number, (user, password, access, method) in enumerate(found, start=1):
        mac = f"02:00:00:00:{number // 256:02X}:{number % 256:02X}"
        address = f"192.168.88.{number % 250 + 4}"
        devices.append(Subscriber(user, password, cast(Method, method), mac, cast(Access, access), address))
    return devices


def _misbehave(behaviour: Behaviour, chosen: dict[str, Any]) -> None:
    behaviour.drop = chosen["drop"]
    behaviour.slow_ms = chosen["slow"]
    behaviour.lie = chosen["lie"]
    behaviour.takes_address_list = chosen["takes_address_list"]
    behaviour.counts_timeout_from = chosen["timeout_from"]
    behaviour.clock_offset = chosen["clock_offset"]
    behaviour.api_slow_ms = chosen["api_slow"]
    if chosen["nak"] is not None:
        behaviour.coa = behaviour.disconnect = "nak"
        behaviour.error_cause = chosen["nak"]


def _narrate(line: str) -> None:
    at = datetime.fromtimestamp(clock.now() / clock.SECOND, UTC)
    click.echo(f"{at:%H:%M:%S.%f}"[:-3] + f"  {line}")
