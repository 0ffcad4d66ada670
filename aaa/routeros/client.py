"""A router's API, over librouteros (shell): rows as text, many commands in flight, faults that name what failed.

What librouteros does not do is here: it would read a byte at a time, ask for one thing after the other, and know
numbers and booleans where RouterOS spells them in its own ways.
"""

import logging
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from librouteros import Api
from librouteros.exceptions import LibRouterosError, TrapError
from librouteros.login import token
from librouteros.protocol import ApiProtocol

logging.getLogger("librouteros").setLevel(logging.WARNING)  # it would log every word, passwords included

CONNECT_WAIT: Final = 5.0
ANSWER_WAIT: Final = 30.0
IN_FLIGHT: Final = 64
"""Commands sent ahead of their answers: a router may be far away."""

Row = Mapping[str, str]


class RouterAway(Exception):
    """The router cannot be reached, broke off, or does not speak the API there."""


class NameUnknown(RouterAway):
    """The router's name does not resolve on this machine."""


class LoginRefused(RouterAway):
    """The router does not know this user and password, or allows him nothing."""


class Trap(Exception):
    """The router did not do what it was told: `command`, and `message` in its own words."""

    def __init__(self, command: str, message: str, category: int | None = None) -> None:
        super().__init__(f"{command}: {message}")
        self.command = command
        self.message = message
        self.category = category

    @property
    def gone(self) -> bool:
        """Whether the row that was meant is there no more."""
        return "no such item" in self.message

    @property
    def exists(self) -> bool:
        """Whether there is such a row already."""
        return "already have" in self.message

    @property
    def unknown(self) -> bool:
        """Whether this RouterOS has no such menu or command."""
        return "no such command" in self.message


@dataclass(frozen=True, slots=True)
class Where:
    """A router's API: where it is, and as whom to speak to it. TLS takes any certificate: routers sign their own, and
    what is to be kept secret from whoever can put himself between belongs onto a network of its own.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """`path` such as /ip/firewall/nat/add, its `values`, and the words of a query."""

    path: str
    values: tuple[tuple[str, str], ...] = ()
    query: tuple[str, ...] = ()

    def words(self) -> list[str]:
        return [*(f"={name}={value}" for name, value in self.values), *self.query]


@dataclass(slots=True)
class Reply:
    """The rows of an answer, `ret` of a command that gives one, and the trap that ended it."""

    rows: list[dict[str, str]] = field(default_factory=list)
    ret: str = ""
    trap: Trap | None = None


class Client:
    """A connection, logged in. Raises RouterAway and Trap; after RouterAway it is of no use any more."""

    def __init__(self, where: Where) -> None:
        """Raises RouterAway, LoginRefused."""
        self._api = _log_in(where)
        self._protocol: ApiProtocol = self._api.protocol

    def close(self) -> None:
        self._protocol.close()

    def find(
        self, menu: str, shown: Sequence[str], query: Sequence[str] = (), values: Mapping[str, str] | None = None
    ) -> list[dict[str, str]]:
        """The rows of a menu that fit the query's words (`?list=x`, `?#|`), with the fields `shown` that they have."""
        asked = {".proplist": ",".join(shown), **(values or {})}
        return self.run(Command(f"{menu}/print", tuple(asked.items()), tuple(query))).rows

    def run(self, command: Command) -> Reply:
        """One command. Raises RouterAway, Trap."""
        [reply] = self.run_all([command])
        if reply.trap is not None:
            raise reply.trap
        return reply

    def run_all(self, commands: Sequence[Command]) -> list[Reply]:
        """All commands, in order, each with its reply, be that a trap or not. RouterOS may carry out what is in flight
        side by side, so nothing may depend on what comes before it. Raises RouterAway.
        """
        replies = [Reply() for _ in commands]
        sent = answered = 0
        done = [False] * len(commands)
        try:
            while answered < len(commands):
                while sent < len(commands) and sent - answered < IN_FLIGHT:
                    command = commands[sent]
                    self._protocol.writeSentence(command.path, *command.words(), f".tag={sent}")
                    sent += 1
                at = self._read(commands, replies)
                if at is not None and not done[at]:
                    done[at] = True
                    answered += 1
        except (OSError, LibRouterosError, ValueError, LookupError) as error:
            self.close()
            raise RouterAway(_said(error)) from None
        return replies

    def _read(self, commands: Sequence[Command], replies: Sequence[Reply]) -> int | None:
        """Take one sentence; the position of the command that it ends, if it does."""
        word, words = self._protocol.readSentence()
        values = dict(_split(one) for one in words)
        at = int(values.pop(".tag"))
        reply = replies[at]
        if word == "!re":
            reply.rows.append(values)
        elif word == "!trap":
            category = values.get("category", "")
            trap = Trap(commands[at].path, values.get("message", ""), int(category) if category.isdecimal() else None)
            reply.trap = reply.trap or trap
        elif word == "!done":
            reply.ret = values.get("ret", "")
            return at
        return None


class _Transport:
    """A socket as librouteros reads it: a byte here, a word there, of what came at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = sock.makefile("rb", buffering=65_536)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, length: int) -> bytes:
        data: bytes = self._reader.read(length)
        if len(data) != length:
            raise ConnectionError("the router broke off")
        return data

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


def any_of(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """The words of a query for rows whose field has one of these values."""
    words: list[str] = []
    for count, value in enumerate(values):
        words.append(f"?{name}={value}")
        if count:
            words.append("?#|")
    return tuple(words)


def _log_in(where: Where) -> Api:
    """In clear, as RouterOS wants it since 6.43; by challenge if that is what it answers with."""
    place = f"{where.host} port {where.port}"
    try:
        transport = _connect(where)
    except socket.gaierror as error:
        raise NameUnknown(f"{where.host} does not resolve: {_said(error)}") from None
    except OSError as error:
        raise RouterAway(f"{place}: {_said(error)}") from None
    # UTF-8: the library's ASCII would drop letters from comments
    api = Api(protocol=ApiProtocol(transport=transport, encoding="utf-8"))
    try:
        answer = list(api("/login", name=where.user, password=where.password))
        if answer and "ret" in answer[0]:
            token(api, where.user, where.password)
    except TrapError as trap:
        transport.close()
        raise LoginRefused(f"{place} refuses user {where.user}: {trap}") from None
    except UnicodeError:  # its words would tell a letter of the password
        transport.close()
        raise LoginRefused(f"{place} is so old a RouterOS that the password of {where.user} must be ASCII") from None
    except (OSError, LibRouterosError, ValueError, LookupError) as error:
        transport.close()
        raise RouterAway(f"{place}: {_said(error)}") from None
    return api


def _connect(where: Where) -> _Transport:
    sock = socket.create_connection((where.host, where.port), CONNECT_WAIT)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if where.tls:
            sock = _any_certificate().wrap_socket(sock, server_hostname=where.host)
        sock.settimeout(ANSWER_WAIT)
    except OSError:
        sock.close()
        raise
    return _Transport(sock)


def _any_certificate() -> ssl.SSLContext:
    """Also none: a router without a certificate agrees on a key with anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:ADH:@SECLEVEL=0")
    return context


def _split(word: str) -> tuple[str, str]:
    """`=name=value`, or `.tag=value`."""
    name, _, value = word.removeprefix("=").partition("=")
    return name, value


def _said(error: Exception) -> str:
    """What went wrong, without the number that only this machine's kernel knows it by."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
