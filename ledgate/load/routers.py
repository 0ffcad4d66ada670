"""The section `nas` of a load file: one router's columns (pure)."""

from ipaddress import ip_network
from typing import Any, Final

from aaa.domain.router import LEVERS
from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader

_API: Final = ("host", "port", "tls", "user", "password")
_PORT: Final = 8728
_TLS_PORT: Final = 8729
_MOST_DISCONNECTS: Final = 1_000


def values(reader: Reader, known: Any) -> dict[str, Any]:
    """The columns of `nas` that the entry gives; `known` is the row there is, None: it is new. Raises BadLoad."""
    found: dict[str, Any] = {}
    for key, read in (("address", fields.network), ("secret", fields.text(128))):
        if reader.has(key) or known is None:
            found[key] = reader.need(key, read)
    for key, read in (
        ("identifier", fields.text(253)),
        ("previous_secret", fields.text(128)),
        ("coa_address", fields.address),
        ("address_list_by", fields.one_of(*LEVERS)),
    ):
        if reader.has(key):
            found[key] = reader.take(key, read)
    for key, default, choices in (
        ("require_message_authenticator", "auto", ("yes", "no", "auto")),
        ("limit_proxy_state", "auto", ("yes", "no", "auto")),
        ("octets", "rfc", ("rfc", "client")),
        ("coa_session_timeout", "from_start", ("from_start", "from_now")),
    ):
        if reader.has(key):
            found[key] = reader.take(key, fields.one_of(*choices)) or default
    for key in ("total_limit", "keep_packets"):
        if reader.has(key):
            found[key] = reader.take(key, fields.switch) or False
    for key, usual, read_whole in (
        ("coa_port", 3799, fields.whole(1, 65535)),
        ("disconnects_per_second", 20, fields.whole(1, _MOST_DISCONNECTS)),
    ):
        if reader.has(key):
            found[key] = reader.take(key, read_whole) or usual
    if reader.has("api"):
        found |= _api(reader, known)
    _check(reader, found, known)
    return found


def _api(reader: Reader, known: Any) -> dict[str, Any]:
    """The router as peer of its API; null: it is none. A new peer needs `host`, `user` and `password`."""
    if reader.raw("api") is None:
        return {"api_host": None, "api_port": None, "api_tls": False, "api_user": None, "api_password": None}
    api = Reader(reader.raw("api"), reader.at("api"), _API)
    new = known is None or known.api_host is None
    found: dict[str, Any] = {}
    for key, read in (("host", fields.host), ("user", fields.text(64)), ("password", fields.text(128, 0))):
        if api.has(key) or new:
            found[f"api_{key}"] = api.need(key, read)
    if api.has("tls"):
        found["api_tls"] = api.take("tls", fields.switch) or False
    if api.has("port") or new or "api_tls" in found:
        tls = found.get("api_tls", False if known is None else known.api_tls)
        found["api_port"] = api.take("port", fields.whole(1, 65535)) or (_TLS_PORT if tls else _PORT)
    return found


def _check(reader: Reader, found: dict[str, Any], known: Any) -> None:
    """What must go together: lists by the API need one, and an API is one box's."""
    now = {name: found.get(name, getattr(known, name, None)) for name in ("address", "address_list_by", "api_host")}
    if now["address_list_by"] == "api" and now["api_host"] is None:
        path = reader.at("address_list_by" if reader.has("address_list_by") else "api")
        raise BadLoad(path, "address lists by the API need the router's api")
    if now["api_host"] is not None and ip_network(str(now["address"])).num_addresses > 1:
        path = reader.at("api" if reader.has("api") else "address")
        raise BadLoad(path, f"{now['address']} may be many routers, and an api is one router's")
