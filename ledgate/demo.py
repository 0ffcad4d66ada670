"""`ledgate demo`: the main job, shown (shell). A fake router logs in three subscribers; one pays, and is let out.

The server is the real one, started as `ledgate run` would; only the router is ours. Run again, it shows the same: the
ledger is brought back to where the story begins, by a charge or a payment.
"""

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from typing import Any, Final

import click

from aaa import clock
from aaa.debit.explain import explain
from aaa.debit.wording import why
from aaa.domain.money import format_amount
from aaa.domain.timeline import Verdict
from aaa.store.database import Database
from aaa.store.queries import ServiceRef, find_service
from aaa.store.seal import Sealer
from aaa.store.timelines import read_timeline
from billing import commands as billing
from ledgate import config, load
from ledgate.config import Settings
from ledgate.lab.nas import Change, Nas, Refused, Session, Subscriber

HOST: Final = "127.0.0.1"
SECRET: Final = "testing123"
PATIENCE: Final = 30.0
_CHARGED: Final = {"behrouz": 500_000, "omid": 812_000}
_PAID: Final = 500_000


class DemoFailed(Exception):
    """The demonstration could not be given; the message says at which step."""


def on_free_ports(settings: Settings) -> Settings:
    """The settings for a demonstration: on loopback, on the usual ports if they are free, else on any that are."""
    auth, acct = (_free(port) for port in (settings.auth_port, settings.acct_port))
    return replace(settings, listen=(HOST,), auth_port=auth, acct_port=acct)


def _free(port: int) -> int:
    for wanted in (port, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed(f"no UDP port of {HOST} is free")


@contextmanager
def serving(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The server, ready, in a process of its own; its log goes to a file in the state directory."""
    with (settings.state_dir / "server.log").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "ledgate", "run"),
            env={**os.environ, **config.environment(settings)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise DemoFailed(f"the server did not start: see {settings.state_dir / 'server.log'}")
        yield process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def show(settings: Settings, db: Database, sealer: Sealer) -> None:
    """Tell the story once, then serve until Ctrl-C. Raises DemoFailed."""
    click.echo("Starting the server …")
    disconnected, redialled = threading.Event(), threading.Event()
    taken: list[Change] = []
    outcomes: list[Session | Refused] = []

    def on_change(change: Change) -> None:
        if change.session is not None:
            taken.append(change)
            disconnected.set()

    def on_login(_subscriber: Subscriber, outcome: Session | Refused) -> None:
        outcomes.append(outcome)
        redialled.set()

    auth, acct = (HOST, settings.auth_port), (HOST, settings.acct_port)
    with Nas(auth, acct, SECRET.encode(), identifier="mt1", on_change=on_change, on_login=on_login) as nas:
        nas.behaviour.redial = True
        document = json.loads(resources.files("ledgate").joinpath("demo.json").read_text("utf-8"))
        router = {"name": "mt1", "address": HOST, "identifier": "mt1", "secret": SECRET, "coa_port": nas.coa_port}
        hand = {"name": "by-hand", "address": HOST, "secret": SECRET, "coa_port": nas.coa_port}
        load.load(db, {**document, "nas": [router, hand]}, sealer, actor="demo", now=clock.now())
        passwords = {one["username"]: one["password"] for one in document["subscribers"]}
        _begin_again(db)
        with serving(settings) as process:
            click.echo(f"Ready on {HOST}: authentication on UDP {auth[1]}, accounting on UDP {acct[1]}.\n")
            nas.boot()
            click.echo("A router (ours, speaking as a MikroTik does) logs in three PPPoE subscribers:\n")
            for number, name in enumerate(passwords, start=1):
                subscriber = Subscriber(name, passwords[name], "mschapv2", mac=f"02:00:00:00:00:{number:02X}")
                outcome = nas.login(subscriber)
                click.echo(_told(db, name, outcome))
            click.echo(f"\nNow omid pays {format_amount(_PAID, 'IRR')} at the counter …")
            with db.read() as conn:
                omid = find_service(conn, "omid")
            _pay(db, omid, _PAID)
            paid_at = clock.now()
            _await(disconnected, "the router was told nothing")
            change = taken[0]
            word = "Disconnect-Request" if change.kind == "disconnect" else "CoA-Request"
            click.echo(f"  {(change.at - paid_at) / 1000:6.1f} ms after the commit: {word} for omid, {change.answer}")
            _await(redialled, "omid did not dial in again")
            click.echo(f"  {(clock.now() - paid_at) / 1000:6.1f} ms after the commit: his modem has dialled in again\n")
            click.echo(_told(db, "omid", outcomes[0]))
            click.echo(_try_this(settings))
            sys.stdout.flush()
            process.wait()


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """The only demonstration of this state directory: another would turn its story upside down. Raises DemoFailed."""
    with (settings.state_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(
                f"a demonstration is running in {settings.state_dir}: end it, or name another LEDGATE_STATE_DIR"
            ) from None
        yield


def _begin_again(db: Database) -> None:
    """Charge what is missing to the debts that the story begins with, or pay what is too much."""
    for name, wanted in _CHARGED.items():
        with db.read() as conn:
            ref = find_service(conn, name)
            standing = billing.read_standing(conn, ref.account_id)
        missing = wanted - standing.debt + standing.credit
        if missing > 0:
            _charge(db, ref, missing)
        elif missing < 0:
            _pay(db, ref, -missing)


def _charge(db: Database, ref: ServiceRef, amount: int) -> None:
    now = clock.now()
    billing.charge(db, ref, amount, due_at=now, note="demo", override=True, actor="demo", now=now)


def _pay(db: Database, ref: ServiceRef, amount: int) -> None:
    billing.pay(db, ref, amount, external_id=secrets.token_hex(8), actor="demo", now=clock.now())


def _told(db: Database, name: str, outcome: Session | Refused) -> str:
    """A login's outcome in two or three lines: the verdict and its cause, and what the router was told."""
    with db.read() as conn:
        found = read_timeline(conn, find_service(conn, name).service_id)
        if found is None:
            raise DemoFailed(f"{name} has no timeline")
        said = explain(name, found[0], clock.now())
    accepted = isinstance(outcome, Session)
    if accepted != (said.verdict is not Verdict.DENY):
        raise DemoFailed(f"{name}: the timeline says {said.verdict.word}, RADIUS said otherwise")
    cause = why(said.reason) if said.reason is not None else "nothing stands against it"
    lines = [f"  {name:8} {said.verdict.word.upper():9} {cause}"]
    if isinstance(outcome, Session):
        shown = {key: value for key, value in outcome.told.items() if key in _SHOWN}
        lines.append(f"  {'':8} {'':9} {', '.join(f'{key} = {value}' for key, value in sorted(shown.items()))}")
    return "\n".join(lines)


_SHOWN: Final = ("Framed-Pool", "Mikrotik-Rate-Limit", "Mikrotik-Address-List", "Session-Timeout")


def _await(event: threading.Event, fault: str) -> None:
    if not event.wait(PATIENCE):
        raise DemoFailed(f"{fault} within {PATIENCE:.0f} s")


def _try_this(settings: Settings) -> str:
    lines: list[Any] = [
        "",
        f"It goes on serving: UDP {settings.auth_port} and {settings.acct_port} of {HOST}, "
        f"log in {settings.state_dir / 'server.log'}. Ctrl-C ends it. Try, from another terminal:",
        "",
        "  echo 'User-Name=behrouz,User-Password=in-debt,Framed-Protocol=PPP,Message-Authenticator=0x00' | \\",
        f"    radclient -x {HOST}:{settings.auth_port} auth {SECRET}",
        "",
        f"  export LEDGATE_STATE_DIR={settings.state_dir}",
        "  .venv/bin/ledgate explain behrouz",
        "  .venv/bin/ledgate charge behrouz 400000 --override     # his modem is cut off and put into the garden",
        "  .venv/bin/ledgate sessions",
        "",
    ]
    return "\n".join(lines)
