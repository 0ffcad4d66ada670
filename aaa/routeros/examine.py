"""What the doctor looks at: on the router over its API, and in the database (shell)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, select

from aaa import clock
from aaa.debit.controls.definitions import FINISH_RULE
from aaa.debit.reply import FRAMED_POOL
from aaa.routeros import doctor
from aaa.routeros.client import Client, Command, LoginRefused, NameUnknown, RouterAway, Trap, Where
from aaa.routeros.doctor import POOL, POOL_6, PPP_PROFILE, USER_PROFILE, Expected, Facts, Finding
from aaa.routeros.known import Ports, read_box, read_rules
from aaa.routeros.peer import NoApi, where
from aaa.routeros.reconcile import compare
from aaa.store.database import Database
from aaa.store.seal import SealBroken, Sealer
from aaa.store.tables import control, nas, param, plan

_MENUS: Final = {
    "/ip/firewall/filter": ".id,chain,action,dynamic,comment",
    "/ipv6/firewall/filter": ".id,chain,action,dynamic,comment",
    "/radius": "address,service,secret,timeout,authentication-port,accounting-port,disabled",
    "/radius/incoming": "accept,port",
    "/ppp/aaa": "use-radius,accounting",
    "/ip/hotspot": "name,profile,disabled",
    "/ip/hotspot/profile": "name,use-radius",
    POOL: "name",
    POOL_6: "name",
    PPP_PROFILE: "name",
    USER_PROFILE: "name",
    "/system/clock": "date,time,gmt-offset",
}
_PINGS: Final = "2"


def examine(db: Database, keys: Sealer, nas_id: int, ports: Ports, reject_delay: float) -> list[Finding]:
    """Everything that there is to say of a router."""
    try:
        with db.read() as conn:
            expected = _expected(conn, keys, nas_id, ports, reject_delay)
        peer = where(db, keys, nas_id)
    except SealBroken as error:
        return [Finding("fault", str(error), "restore the key file, or load the router's secret and password again")]
    except NoApi as error:
        return [Finding("note", f"it cannot be looked at: {error}"), *doctor.reminders(expected)]
    try:
        client = Client(peer)
    except RouterAway as error:
        return [Finding("fault", str(error), _how_to_reach(peer, error)), *doctor.reminders(expected)]
    try:
        facts = _facts(client, expected, peer)
    except (RouterAway, Trap) as error:
        return [Finding("ok", f"answers at {peer.host} port {peer.port}"), Finding("fault", str(error))]
    finally:
        client.close()
    return [
        Finding("ok", f"answers at {peer.host} port {peer.port}, and lets {peer.user} in"),
        *doctor.judge(facts, expected),
    ]


def _how_to_reach(peer: Where, error: RouterAway) -> str:
    service = "api-ssl" if peer.tls else "api"
    if isinstance(error, NameUnknown):
        return "make the name known to this machine's DNS, or give api.host an address"
    if isinstance(error, LoginRefused):
        return (
            "/user group add name=ledgate policy=read,write,api,test,sensitive; "
            f"/user add name={peer.user} group=ledgate password=…; "
            f"if there is that user: /user set {peer.user} group=ledgate password=…, as in the load file"
        )
    return f"/ip service set {service} disabled=no port={peer.port}; and let this server in by /ip firewall filter"


def _facts(client: Client, expected: Expected, peer: Where) -> Facts:
    found = compare(client, expected.rules, expected.box)
    commands = [Command(f"{menu}/print", ((".proplist", shown),)) for menu, shown in _MENUS.items()]
    asked = ((".proplist", "group"),)
    replies = client.run_all([*commands, Command("/user/print", asked, (f"?name={peer.user}",))])
    menus = {menu: None if reply.trap is not None else reply.rows for menu, reply in zip(_MENUS, replies, strict=False)}
    groups = [row["group"] for row in replies[-1].rows if "group" in row]
    return Facts(
        found.can.version,
        menus,
        found.operations,
        clock.now(),
        _reaches(client, expected.rules.settings.server_ip),
        _policies(client, groups[0]) if groups else None,
    )


def _reaches(client: Client, server: str | None) -> bool | None:
    if server is None:
        return None
    try:
        rows = client.run(Command("/ping", (("address", server), ("count", _PINGS)))).rows
    except Trap:
        return None
    return any(row.get("received", "0") != "0" for row in rows)


def _policies(client: Client, group: str) -> frozenset[str] | None:
    try:
        rows = client.find("/user/group", ("policy",), (f"?name={group}",))
    except Trap:
        return None
    return frozenset(rows[0].get("policy", "").split(",")) if rows else None


def _expected(conn: Connection, keys: Sealer, nas_id: int, ports: Ports, reject_delay: float) -> Expected:
    rows = conn.execute(
        select(nas.c.id, nas.c.name, nas.c.api_host).where(nas.c.removed.is_(False)).order_by(nas.c.name)
    )
    known = rows.all()
    return Expected(
        next(row.name for row in known if row.id == nas_id),
        read_rules(conn),
        read_box(conn, keys, nas_id, ports),
        reject_delay,
        doctor.names_sent(_replies(conn)),
        [row.name for row in known if row.api_host is None],
    )


def _replies(conn: Connection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Whatever may send reply attributes: plans, params, finish rules."""
    for row in conn.execute(select(plan.c.name, plan.c.reply).order_by(plan.c.id)):
        yield f"the plan {row.name}", row.reply
    named = param.c.name.in_(list(doctor.REFERRED))
    for row in conn.execute(select(param.c.name, param.c.value).where(named, param.c.status != "disabled")):
        yield "a param", {row.name: row.value}
    for row in conn.execute(select(control.c.name, control.c.value).where(control.c.kind == FINISH_RULE)):
        for action in _actions(row.value):
            reply = action.get("reply")
            pool = {FRAMED_POOL: action["pool"]} if action.get("pool") is not None else {}
            yield f"the finish rule {row.name}", pool | (reply if isinstance(reply, dict) else {})


def _actions(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for action in value.values():
        if isinstance(action, dict):
            for one in (action, *action.values()):
                if isinstance(one, dict) and isinstance(one.get("restrict"), dict):
                    yield one["restrict"]
