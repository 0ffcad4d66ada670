"""The command line as an operator meets it: what it prints, how it refuses, and that it never tells a secret."""

import json
import re
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from aaa.store.database import Database
from aaa.store.tables import event
from billing.tables import payment
from tests.integration.command import Ledgate
from tests.integration.ledger import content as content_of
from tests.integration.ledger import example, make_live, rows, subscriber


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Ledgate:
    return Ledgate(database_url, tmp_path / "state")


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Ledgate:
    """On SQLite only, where the database makes no difference."""
    return Ledgate(sqlite_url, tmp_path / "state")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """The document of the manual, with bob who may not and eve who may."""
    return written(tmp_path, example(subscribers=[subscriber("bob", -800_000), subscriber("eve", -1)]))


def written(folder: Path, value: object, name: str = "load.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_from_load_to_explain(ledgate: Ledgate, document: Path, database: Database) -> None:
    assert ledgate.process("load", str(document)) == (
        f"{document}: 1 visps, 1 plans, 2 controls, 1 finish_rules, 3 params, 1 nas, 3 subscribers; "
        "3 subscribers are new\n"
    )
    assert stat.S_IMODE((ledgate.state_dir / "keys").stat().st_mode) == 0o600
    assert (
        "restrict because debt 800,000 IRR has reached the limit of 800,000 IRR (Home-Users, server)"
        in ledgate.process("explain", "bob")
    )
    assert ledgate.process("pay", "bob", "300000", "--id", "bank-1") == (
        "payment bank-1 for bob of 300,000 IRR is posted: the debt is 500,000 IRR\n"
    )
    before = content_of(database)
    assert "was known already, nothing was posted" in ledgate("pay", "bob", "300000", "--id", "bank-1")
    known = ledgate.refuses("pay", "bob", "5", "--id", "bank-1")
    assert "is known already, with 300000 minor units on this account" in known
    told = ledgate.refuses("charge", "bob", "300001")
    figures = "from 500,000 IRR to 800,001 IRR, above max_debt 800,000 IRR"
    assert told == f"the charge of 300,001 IRR would bring the debt of bob {figures}: nothing was posted"
    assert content_of(database) == before
    assert "allow" in ledgate("explain", "bob@tehran.example")
    charged = ledgate("charge", "bob@tehran", "300001", "--override", "--note", "a router", "--due", "2027-01-31")
    assert charged == "charge of 300,001 IRR to bob is posted: the debt is 800,001 IRR\n"
    assert {row.actor for row in rows(database, event)} == {"cli:ana"}
    [last] = rows(database, event)[-1:]
    assert (last.after["overridden"], last.after["note"]) == (True, "a router")
    assert last.after["due_at"] == 1801341000_000_000  # the VISP's midnight
    assert ledgate("sessions") == "no session is live\n"


def test_json(ledgate: Ledgate, document: Path, database: Database) -> None:
    loaded = ledgate.json("load", str(document))
    assert {key: value for key, value in loaded.items() if value != 0} == {
        "visps": 1,
        "plans": 1,
        "controls": 2,
        "finish_rules": 1,
        "params": 3,
        "nas": 1,
        "subscribers": 3,
        "created": 3,
        "jobs": [],
    }
    money = {"debt": 0, "credit": 9, "currency": "IRR"}
    assert ledgate.json("pay", "eve", "10", "--id", "x") == {
        "username": "eve",
        "id": "x",
        "amount": 10,
        "repeated": False,
        **money,
    }
    assert ledgate.json("pay", "eve", "10", "--id", "x")["repeated"] is True
    assert ledgate.json("charge", "eve", "9") == {"username": "eve", "amount": 9, **money, "credit": 0}
    made = ledgate.json("pay", "eve", "1")["id"]
    assert [row.external_id for row in rows(database, payment)] == ["x", made]
    make_live(database, ["eve"])
    [live] = ledgate.json("sessions")
    assert live == {
        "username": "ali",  # as the router said it
        "nas": "live",
        "address": None,
        "calling_station_id": "",
        "acct_session_id": live["acct_session_id"],
        "started": "2026-09-21T14:13:20Z",
        "seconds": 0,
        "up": 0,
        "down": 0,
    }
    assert re.search(r"^ali +live ", ledgate("sessions"), re.MULTILINE)
    bob = ledgate.json("explain", "bob")
    assert list(bob) == [
        "username",
        "at",
        "verdict",
        "cause",
        "figures",
        "scope",
        "since",
        "until",
        "profile",
        "next",
        "considered",
    ]
    assert (bob["verdict"], bob["cause"], bob["scope"]) == ("restrict", "debit", "server")


def test_every_command_explains_itself(embedded: Ledgate) -> None:
    listed = embedded("--help").split("Commands:\n")[1]
    commands = [line.split()[0] for line in listed.splitlines() if re.match(r"  \w", line)]
    assert set(commands) >= {"run", "migrate", "config", "load", "pay", "charge", "explain", "sessions", "radtest"}
    for command in commands:
        assert f"ledgate {command} [OPTIONS]" in embedded(command, "--help")
    assert re.fullmatch(r"ledgate, version \d+\.\d+\.\d+\n", embedded("--version"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pay", "zoe", "5"], "no subscriber is called 'zoe'"),
        (["pay", "bob@nowhere", "5"], "no subscriber is called 'bob@nowhere'"),
        (["explain", "zoe"], "no subscriber is called 'zoe'"),
        (["pay", "bob", "5.5"], "Invalid value for 'AMOUNT': '5.5' is not a valid integer."),
        (["pay", "bob", "0"], "a payment must be above zero"),
        (["charge", "bob", "0"], "a charge must be above zero"),
        (["pay", "bob", "-5"], "an amount must be above zero, not -5"),
        (["charge", "bob", "-50", "--note", "-7"], "an amount must be above zero, not -50"),
        (["pay", "-x", "bob", "5"], "No such option '-x'."),
        (["pay", "bob", "9" * 30], "a payment must be above zero and at most"),
        (["pay", "bob"], "Missing argument 'AMOUNT'."),
        (["pay", "bob", "5", "--id", "x" * 201], "the id of a payment must have 1 to 200 characters"),
        (["charge", "bob", "5", "--due", "tomorrow"], "--due: 'tomorrow' is not a date"),
        (["charge", "bob", "5", "--due", "9999-12-31"], "--due: '9999-12-31' is not a date"),
        (["explain", "bob", "--at", "noon"], "--at: 'noon' is not an instant"),
        (["explain", "bob", "--at", "9999-12-31"], "--at: '9999-12-31' is not an instant"),
        (["explain", "bob", "--at", "2020-01-01"], "nothing is recorded of bob before "),
        (["explain", "bob", "--att", "2020-01-01"], "No such option '--att'."),
        (["explode"], "No such command 'explode'."),
        (["run", "--role", "portal"], "Invalid value for '--role'"),
        (["radtest", "bob", "hush-hush", "--method", "otp"], "Invalid value for '--method'"),
        (["--config", "/nonexistent.toml", "config"], "/nonexistent.toml: No such file or directory"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_one_line_and_status_2(
    embedded: Ledgate, document: Path, arguments: list[str], told: str
) -> None:
    embedded("load", str(document))
    assert embedded.refuses(*arguments).startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        ('{"subscribers": [', "Expecting value"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ('{"visps": [], "visps": []}', "the key 'visps' is twice in one object"),
        ("[]", "must be an object of sections"),
        ("null", "must be an object of sections"),
    ],
)
def test_a_file_that_is_no_json_is_refused(embedded: Ledgate, tmp_path: Path, content: str, told: str) -> None:
    path = written(tmp_path, content, "bad.json")
    assert embedded.refuses("load", str(path)).startswith(f"{path}: {told}")


def test_a_file_that_is_not_there_or_no_file_is_refused(embedded: Ledgate, tmp_path: Path) -> None:
    assert embedded.refuses("load", "/nonexistent.json") == "/nonexistent.json: No such file or directory"
    assert "is a directory" in embedded.refuses("load", str(tmp_path))


def test_a_name_that_comes_to_several_visps_is_warned_of(embedded: Ledgate, document: Path, tmp_path: Path) -> None:
    embedded("load", str(document))
    brno = {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague"}
    twins = [subscriber(name, visp="brno", plan=None) for name in ("bob", "eve", "joe")]
    told = embedded("load", str(written(tmp_path, {"visps": [brno], "subscribers": twins[:1]}, "one.json")))
    assert told.splitlines()[1:] == [
        "warning: in several VISPs now, so that a login without @realm is refused: bob (brno, tehran)"
    ]
    loaded = embedded.json("load", str(written(tmp_path, {"subscribers": twins[1:]}, "two.json")))
    assert loaded["ambiguous"] == {"eve": ["brno", "tehran"]}


def test_a_fault_in_the_file_is_named_with_its_path_and_no_password(embedded: Ledgate, tmp_path: Path) -> None:
    wrong = subscriber("joe", "much", password="hush-hush")
    path = written(tmp_path, example(subscribers=[wrong]))
    assert embedded.refuses("load", str(path)).startswith("subscribers[1].balance: must be a whole number")
    assert embedded.refuses("explain", "ali") == "no subscriber is called 'ali'"


def test_a_missing_key_file_is_refused_when_there_are_sealed_passwords(embedded: Ledgate, document: Path) -> None:
    embedded("load", str(document))
    keys = embedded.state_dir / "keys"
    keys.rename(keys.with_name("elsewhere"))
    for command in (["load", str(document)], ["run"]):
        assert f"key file {keys} is missing" in embedded.refuses(*command)
    assert not keys.exists()
    keys.write_text("00" * 32 + "\n")
    keys.chmod(0o600)
    assert "the key file does not fit the database" in embedded.refuses("load", str(document))
    (keys.with_name("elsewhere")).chmod(0o644)
    elsewhere = {"LEDGATE_KEY_FILE": str(keys.with_name("elsewhere"))}
    told = embedded.refuses("load", str(document), environment=elsewhere)
    assert "can be read by others" in told


@pytest.mark.parametrize("arguments", [["explain", "bob"], ["pay", "bob", "1"], ["load", "FILE"], ["sessions"]])
def test_a_database_without_this_versions_schema_is_refused(
    tmp_path: Path, document: Path, arguments: list[str]
) -> None:
    (tmp_path / "new.sqlite").touch()
    ledgate = Ledgate(f"sqlite:///{tmp_path / 'new.sqlite'}", tmp_path / "state")
    given = [str(document) if one == "FILE" else one for one in arguments]
    assert "has schema none, this version of ledgate needs" in ledgate.refuses(*given)


@pytest.mark.parametrize("arguments", [["explain", "bob"], ["jobs"], ["pay", "bob", "1"], ["load", "FILE"]])
def test_a_database_that_is_missing_is_told_and_not_made(tmp_path: Path, document: Path, arguments: list[str]) -> None:
    missing = tmp_path / "elsewhere" / "new.sqlite"
    ledgate = Ledgate(f"sqlite:///{missing}", tmp_path / "state")
    given = [str(document) if one == "FILE" else one for one in arguments]
    missing.parent.mkdir()
    told = f"there is no database {missing}: run `ledgate migrate` first, which makes it"
    assert ledgate.refuses(*given) == told
    assert not list(missing.parent.iterdir())
    missing.parent.rmdir()
    assert ledgate.refuses(*given) == told
    assert not missing.parent.exists()


def test_a_database_of_another_schema_is_refused(ledgate: Ledgate, database: Database) -> None:
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in (["sessions"], ["run"]):
        assert ledgate.refuses(*command).startswith("the database has schema 9999, this version of ledgate needs ")


def test_migrate_makes_the_schema_and_may_be_repeated(tmp_path: Path, document: Path) -> None:
    ledgate = Ledgate(f"sqlite:///{tmp_path / 'new.sqlite'}", tmp_path / "state")
    assert ledgate("migrate") == ledgate("migrate")
    ledgate("load", str(document))


def test_a_database_that_is_away_is_named_without_its_password(embedded: Ledgate, tmp_path: Path) -> None:
    away = "postgresql://ana:hush-hush@127.0.0.1:1/ledgate"
    told = embedded.refuses("sessions", status=1, environment={"LEDGATE_DATABASE_URL": away})
    assert told.startswith("postgresql://ana:***@127.0.0.1:1/ledgate cannot be used: connection failed")
    note = written(tmp_path, "no database " * 100, "note.txt")
    told = embedded.refuses("sessions", status=1, environment={"LEDGATE_DATABASE_URL": f"sqlite:///{note}"})
    assert told == f"sqlite:///{note} cannot be used: file is not a database"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LEDGATE_DATABASE_URL", "mysql://ana:hush-hush@127.0.0.1/ledgate"),
        ("LEDGATE_DATABASE_URL", "hush-hush"),
        ("LEDGATE_DATABASE_URL", "postgresql://ana:hush-hush@127.0.0.1:port/ledgate"),
        ("LEDGATE_AUTH_PORT", "0"),
        ("LEDGATE_ACCT_PORT", "radius"),
        ("LEDGATE_LISTEN", "localhost"),
        ("LEDGATE_AUTH_PROCESSES", "none"),
        ("LEDGATE_REJECT_DELAY", "-1"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(embedded: Ledgate, variable: str, value: str) -> None:
    assert embedded.refuses("config", environment={variable: value}).startswith(f"{variable}: ")


def test_config_masks_the_databases_password(embedded: Ledgate, tmp_path: Path) -> None:
    url = "postgresql://ana:hush-hush@127.0.0.1/ledgate?sslpassword=hush-hush&sslmode=require"
    file = written(tmp_path, f'database_url = "{url}"\nauth_port = 11812\n', "ledgate.toml")
    embedded.environment.pop("LEDGATE_DATABASE_URL")
    shown = embedded.json("--config", str(file), "config")
    assert shown["database_url"] == "postgresql://ana:***@127.0.0.1/ledgate?sslmode=require&sslpassword=hidden"
    assert shown["auth_port"] == 11812
    variables = {"LEDGATE_CONFIG": str(file), "LEDGATE_AUTH_PORT": "11813"}
    assert "auth_port = 11813" in embedded("config", environment=variables)
    for line, told in (("autz_port = 11812", "autz_port: no such setting"), ("auth_port = hush-hush", "")):
        wrong = written(tmp_path, f'database_url = "{url}"\n{line}\n', "wrong.toml")
        assert embedded.refuses("config", environment={"LEDGATE_CONFIG": str(wrong)}).startswith(f"{wrong}: {told}")
