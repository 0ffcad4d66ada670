"""The keys that the objects of each section of a load file may have."""

from typing import Final

from aaa.debit.controls.definitions import KINDS
from ledgate.load.scopes import MEMBERSHIPS

VISP: Final = ("name", "currency", "timezone", "realm")
SCOPE: Final = ("name",)
PLAN: Final = ("name", "visp", "price", "reply")
CONTROLS: Final = {kind: ("name", *found.keys) for kind, found in KINDS.items()}
PARAM: Final = ("scope", "name", "value", "status")
NAS: Final = (
    "name",
    "address",
    "identifier",
    "secret",
    "previous_secret",
    "coa_address",
    "coa_port",
    "require_message_authenticator",
    "limit_proxy_state",
    "octets",
    "coa_session_timeout",
    "total_limit",
    "keep_packets",
    "address_list_by",
    "disconnects_per_second",
    "api",
)
SUBSCRIBER: Final = (
    "username",
    "password",
    "visp",
    "plan",
    *MEMBERSHIPS,
    "balance",
    "last_payment",
    "static_ip",
    "mac",
    "mac_auth",
    "active_to",
    "suspensions",
    "account",
    "billing_day",
    "dont_show_overdue",
)
