"""Settings: one registry of options, each read from a TOML file and overridable by an environment variable.

The file is named by `--config` or LEDGATE_CONFIG; the key `auth_port` has the variable LEDGATE_AUTH_PORT, and so on.
The environment wins over the file, the file over the default.
"""

import hashlib
import os
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

PREFIX: Final = "LEDGATE_"
CONFIG_VARIABLE: Final = "LEDGATE_CONFIG"


class BadSetting(ValueError):
    """A setting that cannot be used; the message names the file and key, or the variable, never a secret value."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings. Paths are absolute; `reject_delay` and `duplicate_window` are seconds.

    `auth_log_rate` is rows per second and process, 0 for none; `machine` names this machine's replica in the database.
    `config_file` is where they came from, None if there was no file; `notes` says what was changed in them and why.
    """

    database_url: str
    state_dir: Path
    key_file: Path
    machine: str
    listen: tuple[str, ...]
    auth_port: int
    acct_port: int
    auth_processes: int
    acct_processes: int
    reject_delay: float
    duplicate_window: float
    login_lines: bool
    auth_log_rate: int
    config_file: Path | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value in masked(self).items())})"


class _Refused(ValueError):
    """Why a value cannot be used; the caller adds where it stands."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its name, how its value is read (from text or a TOML value), and what it is for.

    A `secret` one is masked wherever settings are shown and its value is never repeated in an error.
    """

    name: str
    read: Callable[[Any], Any]
    about: str
    secret: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def load(config: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; `config` (the command line's `--config`) wins over LEDGATE_CONFIG. Raises BadSetting."""
    named = str(config) if config is not None else environment.get(CONFIG_VARIABLE, "")
    path = Path(named).absolute() if named else None
    found = _from_file(path) if path is not None else {}
    for option in OPTIONS:
        text = environment.get(option.variable)
        if text is not None:
            found[option.name] = _read(option, text, option.variable)
    return _complete(found, path, environment)


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which another process loads the very same settings, without the file."""
    given = {CONFIG_VARIABLE: ""}
    for option in OPTIONS:
        value = getattr(settings, option.name)
        given[option.variable] = ",".join(value) if isinstance(value, tuple) else str(value)
    return given


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as `ledgate config` shows them: values of JSON, secrets masked."""
    shown: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(settings, option.name)
        if option.secret:
            value = _masked_url(value)
        elif isinstance(value, Path):
            value = str(value)
        elif isinstance(value, tuple):
            value = list(value)
        shown[option.name] = value
    return shown


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise BadSetting(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path}: {error}") from None
    known = {option.name: option for option in OPTIONS}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise BadSetting(f"{path}: {key}: no such setting; there are {', '.join(sorted(known))}")
        found[key] = _read(known[key], value, f"{path}: {key}")
    return found


def _read(option: Option, value: Any, place: str) -> Any:
    try:
        return option.read(value)
    except _Refused as refused:
        raise BadSetting(f"{place}: {refused}") from None


def _complete(found: dict[str, Any], path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Fill in the defaults, of which some follow from other settings."""
    state_dir: Path = found.get("state_dir") or _default_state_dir(environment)
    url: str = found.get("database_url") or f"sqlite:///{state_dir / 'ledgate.sqlite3'}"
    acct_processes: int = found.get("acct_processes", 1)
    notes: list[str] = []
    if acct_processes > 1 and make_url(url).get_backend_name() == "sqlite":
        notes.append(f"acct_processes lowered from {acct_processes} to 1: SQLite has a single writer")
        acct_processes = 1
    return Settings(
        database_url=url,
        state_dir=state_dir,
        key_file=found.get("key_file") or state_dir / "keys",
        machine=found.get("machine") or _default_machine(state_dir),
        listen=found.get("listen", ("0.0.0.0", "::")),
        auth_port=found.get("auth_port", 1812),
        acct_port=found.get("acct_port", 1813),
        auth_processes=found.get("auth_processes", os.cpu_count() or 1),
        acct_processes=acct_processes,
        reject_delay=found.get("reject_delay", 0.0),
        duplicate_window=found.get("duplicate_window", 10.0),
        login_lines=found.get("login_lines", True),
        auth_log_rate=found.get("auth_log_rate", 1000),
        config_file=path,
        notes=tuple(notes),
    )


def _default_state_dir(environment: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/ledgate")
    home = environment.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "ledgate"


def _default_machine(state_dir: Path) -> str:
    """The host's name and a mark of the state directory: each state directory holds a replica of its own."""
    return f"{socket.gethostname()[:55]}-{hashlib.sha256(str(state_dir).encode()).hexdigest()[:8]}"


def _database_url(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Refused(
            "must be a URL such as sqlite:////var/lib/ledgate/ledgate.sqlite3 or postgresql://user@host/name"
        )
    try:
        backend = make_url(value).get_backend_name()
    except (ArgumentError, ValueError):
        raise _Refused("is not of the form sqlite:////path or postgresql://user@host/name") from None
    if backend not in ("sqlite", "postgresql"):
        raise _Refused(f"{backend} is not supported: use sqlite or postgresql")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise _Refused("must be a path")
    return Path(value).expanduser().absolute()


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise _Refused("must be a name of 1 to 64 characters")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise _Refused("must be addresses: a text with commas, or a list")
    addresses: list[str] = []
    for part in parts:
        try:
            addresses.append(str(ip_address(part.strip())))
        except ValueError:
            raise _Refused(f"{part.strip()!r} is not an IPv4 or IPv6 address") from None
    if not addresses or len(set(addresses)) != len(addresses):
        raise _Refused("needs at least one address, each once")
    return tuple(addresses)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _Refused(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return read


def _seconds(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number: float | None = None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except ValueError:
                number = None
        if number is None or not low <= number <= high:
            raise _Refused(f"{value!r} is not a number of seconds from {low:g} to {high:g}")
        return number

    return read


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("1", "yes", "true", "on"):
        return True
    if isinstance(value, str) and value.lower() in ("0", "no", "false", "off"):
        return False
    raise _Refused(f"{value!r} is neither yes nor no")


def _masked_url(url: str) -> str:
    parsed: URL = make_url(url)
    hidden = {key: "hidden" for key in parsed.query if "password" in key.lower()}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


OPTIONS: Final = (
    Option("database_url", _database_url, "sqlite:////path or postgresql://user:password@host/name", secret=True),
    Option("state_dir", _path, "where this machine keeps its replica, keys and counters"),
    Option("key_file", _path, "the keys that seal passwords and secrets (default: keys in the state directory)"),
    Option("machine", _name, "this machine's name in the database; unique per state directory"),
    Option("listen", _addresses, "addresses to serve on"),
    Option("auth_port", _whole(1, 65535), "UDP port of authentication"),
    Option("acct_port", _whole(1, 65535), "UDP port of accounting"),
    Option("auth_processes", _whole(1, 64), "processes that answer Access-Requests (default: one per core)"),
    Option("acct_processes", _whole(1, 64), "processes that take accounting (SQLite: always 1)"),
    Option("reject_delay", _seconds(0, 10), "seconds before an Access-Reject leaves"),
    Option("duplicate_window", _seconds(5, 30), "seconds that a reply is kept for retransmissions"),
    Option("login_lines", _switch, "one log line per login"),
    Option("auth_log_rate", _whole(0, 1_000_000), "logins kept in the database, per second and process; 0: none"),
)
