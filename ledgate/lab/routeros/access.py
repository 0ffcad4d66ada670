"""The menus of those who are connected: HotSpot and PPP (RouterOS manual, HotSpot, PPP AAA, PPPoE). Pure."""

from typing import Final

from ledgate.lab.routeros.firewall import protocol
from ledgate.lab.routeros.menus import COMMENT, COMMON, DISABLED, FLAG_SHOWN, NEVER, Field, Menu, shown, texts
from ledgate.lab.routeros.values import (
    Reader,
    address4,
    either,
    flag,
    name,
    negatable,
    number,
    one_of,
    ports,
    range4,
    some_of,
    text,
    time,
    yes_no,
)


def _default(reader: Reader) -> Reader:
    return either("default", reader)


_HOTSPOT: Final = (
    Menu(
        "/ip/hotspot",
        "list",
        {
            "name": Field(name),
            "interface": Field(name),
            "address-pool": Field(text, "none"),
            "profile": Field(text, "default"),
            "idle-timeout": Field(either("none", time), "5m"),
            "keepalive-timeout": Field(either("none", time), "none"),
            "login-timeout": Field(either("none", time), "none"),
            "addresses-per-mac": Field(either("unlimited", number(1, 65535)), "2"),
            "disabled": DISABLED,
            "invalid": FLAG_SHOWN,
            "HTTPS": FLAG_SHOWN,
        },
        required=("name", "interface"),
        unique=("name",),
        rows=({"name": "hotspot1", "interface": "bridge-hotspot", "profile": "hsprof1"},),
    ),
    Menu(
        "/ip/hotspot/profile",
        "list",
        {
            "name": Field(name),
            "hotspot-address": Field(address4, "0.0.0.0"),
            "dns-name": Field(text, ""),
            "html-directory": Field(text, "hotspot"),
            "html-directory-override": Field(text, ""),
            "http-cookie-lifetime": Field(time, "3d"),
            "http-proxy": Field(text, "0.0.0.0:0"),
            "smtp-server": Field(address4, "0.0.0.0"),
            "login-by": Field(
                some_of("cookie", "http-chap", "http-pap", "https", "mac", "mac-cookie", "trial"), "cookie,http-chap"
            ),
            "mac-auth-mode": Field(one_of("mac-as-username", "mac-as-username-and-password"), "mac-as-username"),
            "mac-auth-password": Field(text, ""),
            "nas-port-type": Field(text, "wireless-802.11"),
            "split-user-domain": Field(flag, "false"),
            "use-radius": Field(flag, "false"),
            "radius-accounting": Field(flag, "true"),
            "radius-interim-update": Field(either("received", time), "received"),
            "radius-default-domain": Field(text, ""),
            "radius-location-id": Field(text, ""),
            "radius-location-name": Field(text, ""),
            "radius-mac-format": Field(text, "XX:XX:XX:XX:XX:XX"),
            "rate-limit": Field(text, ""),
            "https-redirect": Field(flag, "true", since=(7,)),
            "install-hotspot-queue": Field(flag, "false", since=(7, 10)),
            "ssl-certificate": Field(text),
            "trial-uptime-limit": Field(time),
            "trial-user-profile": Field(text),
            "default": FLAG_SHOWN,
        },
        required=("name",),
        unique=("name",),
        rows=(
            {"name": "default", "default": "true"},
            {"name": "hsprof1", "hotspot-address": "192.168.88.1", "use-radius": "true"},
        ),
    ),
    Menu(
        "/ip/hotspot/user/profile",
        "list",
        {
            "name": Field(name),
            "address-pool": Field(text, "none"),
            "address-list": Field(text, ""),
            "session-timeout": Field(either("none", time)),
            "idle-timeout": Field(either("none", time), "none"),
            "keepalive-timeout": Field(either("none", time), "2m"),
            "status-autorefresh": Field(either("none", time), "1m"),
            "shared-users": Field(either("unlimited", number(1, 65535)), "1"),
            "rate-limit": Field(text),
            "add-mac-cookie": Field(flag, "true"),
            "mac-cookie-timeout": Field(time, "3d"),
            "transparent-proxy": Field(flag, "false"),
            "advertise": Field(flag, "false"),
            "open-status-page": Field(one_of("always", "http-login"), "always"),
            **texts("incoming-filter outgoing-filter incoming-packet-mark outgoing-packet-mark parent-queue on-login"),
            "default": FLAG_SHOWN,
        },
        required=("name",),
        unique=("name",),
        rows=({"name": "default", "default": "true"},),
    ),
    Menu(
        "/ip/hotspot/walled-garden",
        "ordered",
        {
            **COMMON,
            "action": Field(one_of("allow", "deny"), "allow"),
            "dst-host": Field(text),
            "dst-port": Field(negatable(ports)),
            "dst-address": Field(negatable(range4)),
            "src-address": Field(negatable(range4)),
            **texts("method path server"),
            "hits": Field(text, "0", settable=NEVER),
            "dynamic": FLAG_SHOWN,
            "invalid": FLAG_SHOWN,
        },
        indexed=frozenset(("comment",)),
    ),
    Menu(
        "/ip/hotspot/walled-garden/ip",
        "ordered",
        {
            **COMMON,
            "action": Field(one_of("accept", "drop", "reject"), "accept"),
            "dst-host": Field(text),
            "dst-address": Field(negatable(range4)),
            "dst-address-list": Field(text),
            "src-address": Field(negatable(range4)),
            "src-address-list": Field(text),
            "dst-port": Field(negatable(ports)),
            "protocol": Field(negatable(protocol)),
            "server": Field(text),
            "hits": Field(text, "0", settable=NEVER),
            "dynamic": FLAG_SHOWN,
            "invalid": FLAG_SHOWN,
        },
        indexed=frozenset(("comment",)),
    ),
    Menu(
        "/ip/hotspot/active",
        "seen",
        shown(
            "server user address mac-address login-by uptime idle-time session-time-left idle-timeout "
            "keepalive-timeout bytes-in bytes-out packets-in packets-out radius comment"
        ),
        indexed=frozenset(("user", "address", "mac-address")),
    ),
    Menu(
        "/ip/hotspot/host",
        "seen",
        shown(
            "mac-address address to-address server uptime idle-time bytes-in bytes-out packets-in packets-out "
            "authorized bypassed blocked DHCP dynamic comment"
        ),
        indexed=frozenset(("address", "mac-address")),
    ),
)

_PPP: Final = (
    Menu(
        "/ppp/active",
        "seen",
        shown(
            "name service caller-id address uptime encoding session-id radius limit-bytes-in limit-bytes-out comment"
        ),
        indexed=frozenset(("name", "address", "session-id", "caller-id")),
    ),
    Menu(
        "/ppp/profile",
        "list",
        {
            "name": Field(name),
            "address-list": Field(text, ""),
            "bridge-learning": Field(_default(yes_no), "default"),
            "change-tcp-mss": Field(_default(yes_no), "yes"),
            "only-one": Field(_default(yes_no), "default"),
            "use-compression": Field(_default(yes_no), "default"),
            "use-encryption": Field(_default(either("required", yes_no)), "default"),
            "use-ipv6": Field(_default(either("required", yes_no)), "yes"),
            "use-mpls": Field(_default(either("required", yes_no)), "default"),
            "use-upnp": Field(_default(yes_no), "default"),
            "session-timeout": Field(time),
            "idle-timeout": Field(time),
            "on-up": Field(text, ""),
            "on-down": Field(text, ""),
            "comment": Field(text),
            **texts(
                "bridge dns-server incoming-filter insert-queue-before interface-list local-address outgoing-filter "
                "parent-queue queue-type rate-limit remote-address wins-server remote-ipv6-prefix-pool dhcpv6-pd-pool"
            ),
            "default": FLAG_SHOWN,
        },
        required=("name",),
        unique=("name",),
        rows=(
            {"name": "default", "default": "true"},
            {"name": "default-encryption", "default": "true", "use-encryption": "yes"},
        ),
    ),
    Menu(
        "/ppp/aaa",
        "singleton",
        {
            "use-radius": Field(flag, "false"),
            "accounting": Field(flag, "true"),
            "interim-update": Field(time, "0s"),
            "use-circuit-id-in-nas-port-id": Field(flag, "false"),
            "enable-ipv6-accounting": Field(flag, "false", since=(7, 15)),
        },
        rows=({"use-radius": "true"},),
    ),
    Menu(
        "/interface/pppoe-server/server",
        "list",
        {
            "service-name": Field(text, ""),
            "interface": Field(name),
            "max-mtu": Field(either("auto", number(512, 65535)), "auto"),
            "max-mru": Field(either("auto", number(512, 65535)), "auto"),
            "mrru": Field(either("disabled", number(512, 65535)), "disabled"),
            "authentication": Field(some_of("pap", "chap", "mschap1", "mschap2"), "pap,chap,mschap1,mschap2"),
            "keepalive-timeout": Field(either("disabled", number(1, 65535)), "10"),
            "one-session-per-host": Field(flag, "false"),
            "max-sessions": Field(either("unlimited", number(1, 65535)), "unlimited"),
            "pado-delay": Field(number(0, 65535), "0"),
            "default-profile": Field(text, "default"),
            "accept-empty-service": Field(flag, "true", since=(7,)),
            "disabled": Field(flag, "true"),
            "comment": COMMENT,
            "invalid": FLAG_SHOWN,
        },
        required=("interface",),
        rows=({"service-name": "internet", "interface": "ether2", "disabled": "false"},),
    ),
)

MENUS: Final = (*_HOTSPOT, *_PPP)
