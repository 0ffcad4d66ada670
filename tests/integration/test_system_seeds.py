"""What the product was asked to do, from end to end with radclient: DeltaSIB's DebitControl and FinishRule, ISPadmin's
keys of automatic suspension. On both databases.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aaa import clock
from aaa.domain.instant import iso
from ledgate.lab.nas import Session
from tests.integration.serving import Reply, until
from tests.integration.system import PROMPTLY, System

MAX_DEBT = 800_000
MAX_DELAY = 2_592_000


def home_users(name: str, finish: dict[str, Any], **limits: int) -> dict[str, list[dict[str, Any]]]:
    """Sections that give one subscriber the seed's DebitControl, which `limits` change, and a FinishRule."""
    return {
        "controls": [{"name": f"home-{name}", "max_debt": MAX_DEBT, "max_delay": MAX_DELAY, **limits}],
        "finish_rules": [{"name": f"finish-{name}", **finish}],
        "params": [
            {"scope": f"user:{name}", "name": "DebitControl", "value": f"home-{name}"},
            {"scope": f"user:{name}", "name": "FinishRule", "value": f"finish-{name}"},
        ],
    }


def radclient(world: System, name: str, code: str) -> Reply:
    """Log in by PAP with radclient until that is the answer: the load reaches the server within a second."""

    def answered() -> Reply | None:
        sent = f'User-Name = "{name}"\nUser-Password = "secret"\nNAS-Identifier = "others"\nFramed-Protocol = PPP\n'
        reply = world.made.radclient(sent, secret="testing123")
        return reply if reply is not None and reply.code == code else None

    found = until(answered, f"radclient gets {code} for {name}")
    assert isinstance(found, Reply)
    return found


def last_line(world: System, name: str, result: str) -> str:
    """The last log line of a login of his that ended so, once it is written."""

    def lines() -> list[str]:
        return re.findall(rf"^.* login user={name} .*result={result}.*$", world.made.log, re.MULTILINE)

    return str(until(lines, f"a log line of {name}")[-1])


def test_r2_9_max_debt_reached_is_rejected_and_the_log_says_so_with_figures(world: System, name: str) -> None:
    world.load({"username": name, "balance": -MAX_DEBT + 1}, **home_users(name, {"debit": None}))
    radclient(world, name, "Access-Accept")
    world.charge(name, 1)  # reaching the ceiling exactly blocks (R2.2)
    radclient(world, name, "Access-Reject")
    figures = f"control=home-{name} currency=IRR debt=800000 limit=max_debt max_debt=800000 scope=user:{name}"
    assert last_line(world, name, "reject").endswith(f"verdict=deny cause=debit {figures}")


def test_r2_9_with_a_finish_rule_he_gets_the_finish_ip_and_the_log_says_that(world: System, name: str) -> None:
    finish = {"debit": {"restrict": {"ip": "10.99.0.7", "rate_limit": "64k/64k"}}}
    world.load({"username": name, "balance": -MAX_DEBT, "static_ip": "192.0.2.9"}, **home_users(name, finish))
    reply = radclient(world, name, "Access-Accept")
    assert reply.attributes["Framed-IP-Address"] == "10.99.0.7"  # R3.3: not his static address
    assert "Framed-Pool" not in reply.attributes
    assert "verdict=restrict cause=debit" in last_line(world, name, "accept")
    world.pay(name, 1)
    until(
        lambda: radclient(world, name, "Access-Accept").attributes["Framed-IP-Address"] == "192.0.2.9",
        "the payment gives him his own address back",
    )


def test_r2_3_a_deadline_of_three_seconds_passes_while_he_is_online(world: System, name: str) -> None:
    world.router.behaviour.redial = True
    began = clock.now()
    finish = {"debit": {"restrict": {"ip": "10.99.0.8"}}}
    world.load(
        {"username": name, "balance": -1_000, "last_payment": iso(began)}, **home_users(name, finish, max_delay=3)
    )
    world.everywhere(lambda process: world.ask(name, process=process)[0] == "Access-Accept", "he is known")
    session = world.log_in(name)
    assert "Framed-IP-Address" not in session.told
    change = world.change_of(name)
    assert change.kind == "disconnect"
    assert began + 3 * clock.SECOND <= change.at < began + (3 + PROMPTLY) * clock.SECOND
    assert world.redial_of(name).told["Framed-IP-Address"] == "10.99.0.8"


def test_r4_5_ispadmins_keys_suspend_a_non_payer_and_the_switch_lifts_and_restores(world: System, name: str) -> None:
    world.router.behaviour.redial = True
    due = datetime.now(UTC) - timedelta(days=16)
    policy = {
        "name": f"strict-{name}",
        "pozastavit_neplatice": 1,
        "pozastavit_po_splatnosti": 14,
        "pozastavit_neplatice_min_castka": 39_900,
    }
    suspended = {"suspended": {"non_payer": {"restrict": {"address_list": "neplatici"}}}}
    sections = home_users(name, suspended, max_debt=10**9, max_delay=10**9)
    sections["params"].append({"scope": f"user:{name}", "name": "SuspendPolicy", "value": f"strict-{name}"})

    def switch(on: int, *subscribers: dict[str, Any]) -> None:
        world.load(*subscribers, suspend_policies=[{**policy, "pozastavit_neplatice": on}], **sections)

    def listed(session: Session) -> bool:
        return session.told.get("Mikrotik-Address-List") == "neplatici"

    switch(1, {"username": name, "balance": -39_901, "last_payment": due.isoformat()})
    world.everywhere(lambda process: "Mikrotik-Address-List" in world.ask(name, process=process)[1], "he is suspended")
    assert listed(world.log_in(name))
    assert "verdict=restrict cause=suspended" in last_line(world, name, "accept")
    switch(0)  # R4.8
    world.change_of(name)
    assert not listed(world.redial_of(name))
    switch(1)
    world.change_of(name, 1)
    assert listed(world.redial_of(name, 1))
    world.pay(name, 1)  # 39,900 do not exceed the least amount (R4.6)
    world.change_of(name, 2)
    assert not listed(world.redial_of(name, 2))
