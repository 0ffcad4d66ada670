"""Settings: file, environment, defaults; errors that name the place; no secret shown."""

from pathlib import Path

import pytest

from ledgate import config
from ledgate.config import OPTIONS, BadSetting

POSTGRESQL = "postgresql://ledgate:hunter2@db.example/ledgate"


def write(folder: Path, text: str) -> Path:
    file = folder / "ledgate.toml"
    file.write_text(text)
    return file


def test_the_defaults() -> None:
    found = config.load(None, {"LEDGATE_STATE_DIR": "/srv/ledgate"})
    assert found.database_url == "sqlite:////srv/ledgate/ledgate.sqlite3"
    assert found.key_file == Path("/srv/ledgate/keys")
    assert found.listen == ("0.0.0.0", "::")
    assert (found.auth_port, found.acct_port, found.acct_processes, found.reject_delay) == (1812, 1813, 1, 0.0)
    assert found.auth_processes >= 1
    assert found.notes == ()


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = write(tmp_path, 'auth_port = 2000\nacct_port = 2001\nlisten = ["127.0.0.1", "::1"]\nreject_delay = 0.5\n')
    found = config.load(None, {"LEDGATE_CONFIG": str(file), "LEDGATE_AUTH_PORT": "3000"})
    assert (found.auth_port, found.acct_port, found.listen) == (3000, 2001, ("127.0.0.1", "::1"))
    assert found.reject_delay == 0.5
    assert found.config_file == file


def test_the_command_lines_file_wins_over_the_variable(tmp_path: Path) -> None:
    file = write(tmp_path, "auth_port = 2000\n")
    assert config.load(file, {"LEDGATE_CONFIG": "/nowhere.toml"}).auth_port == 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth_prot = 1\n", "auth_prot: no such setting"),
        ("auth_port = 0\n", "auth_port: 0 is not a whole number from 1 to 65535"),
        ("auth_port = true\n", "auth_port: True is not a whole number"),
        ("auth_port = \n", "ledgate.toml: "),
        ('listen = "127.0.0.1, localhost"\n', "listen: 'localhost' is not an IPv4 or IPv6 address"),
        ("listen = []\n", "listen: needs at least one address"),
        ('reject_delay = "soon"\n', "reject_delay: 'soon' is not a number of seconds from 0 to 10"),
        ("duplicate_window = 60\n", "duplicate_window: 60 is not a number of seconds from 5 to 30"),
        ('database_url = "mysql://root@h/d"\n', "database_url: mysql is not supported"),
        ('login_lines = "maybe"\n', "login_lines: 'maybe' is neither yes nor no"),
        ('state_dir = ""\n', "state_dir: must be a path"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadSetting) as refused:
        config.load(file, {})
    assert str(refused.value).startswith(str(file))
    assert message in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"none\.toml: No such file"):
        config.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LEDGATE_AUTH_PORT", "radius"),
        ("LEDGATE_AUTH_PROCESSES", "0"),
        ("LEDGATE_REJECT_DELAY", "-1"),
        ("LEDGATE_REJECT_DELAY", "nan"),
        ("LEDGATE_LISTEN", ""),
        ("LEDGATE_DATABASE_URL", "postgresql://u:hunter2@h:port/db"),
        ("LEDGATE_DATABASE_URL", ""),
    ],
)
def test_a_bad_variable_is_refused_by_name_and_without_a_password(variable: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        config.load(None, {variable: value})
    assert str(refused.value).startswith(f"{variable}: ")
    assert "hunter2" not in str(refused.value)


def test_passwords_are_masked() -> None:
    for url in (POSTGRESQL, "postgresql://db.example/ledgate?user=ledgate&password=hunter2"):
        found = config.load(None, {"LEDGATE_DATABASE_URL": url})
        shown = config.masked(found)
        assert "hunter2" not in str(shown)
        assert "db.example" in shown["database_url"]
        assert "hunter2" not in repr(found)
        assert found.database_url == url


def test_every_option_is_shown() -> None:
    assert list(config.masked(config.load(None, {}))) == [option.name for option in OPTIONS]


def test_sqlite_has_one_acct_process_and_says_so() -> None:
    found = config.load(None, {"LEDGATE_ACCT_PROCESSES": "2"})
    assert found.acct_processes == 1
    assert "SQLite" in found.notes[0]
    many = config.load(None, {"LEDGATE_ACCT_PROCESSES": "2", "LEDGATE_DATABASE_URL": POSTGRESQL})
    assert (many.acct_processes, many.notes) == (2, ())


def test_another_process_loads_the_very_same_settings(tmp_path: Path) -> None:
    file = write(tmp_path, f'database_url = "{POSTGRESQL}"\nlisten = ["127.0.0.1", "::1"]\nlogin_lines = false\n')
    found = config.load(file, {"LEDGATE_REJECT_DELAY": "0.25", "LEDGATE_STATE_DIR": "/srv/ledgate"})
    again = config.load(None, config.environment(found))
    assert config.masked(again) == config.masked(found)
    assert again.database_url == found.database_url
    assert again.config_file is None


def test_two_state_directories_are_two_machines() -> None:
    machines = {config.load(None, {"LEDGATE_STATE_DIR": where}).machine for where in ("/srv/a", "/srv/b")}
    assert len(machines) == 2
