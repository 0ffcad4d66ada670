"""librouteros, driven line by line; see driver.py."""

import ssl
import threading
from queue import Queue
from typing import Any

import librouteros
from driver import Refused, drive
from librouteros.exceptions import LibRouterosError, MultiTrapError, TrapError
from librouteros.login import plain, token


class Client:
    def __init__(self) -> None:
        self.heard_rows: Queue[dict[str, str]] = Queue()

    def open(self, port: int, user: str, password: str, login: str, tls: bool) -> Any:
        more: dict[str, Any] = {"login_method": plain if login == "plain" else token, "encoding": "utf-8"}
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            more["ssl_wrapper"] = context.wrap_socket
        try:
            return librouteros.connect("127.0.0.1", user, password, port=port, **more)
        except TrapError as error:
            raise Refused(str(error)) from None

    def connect(self, **how: Any) -> None:
        self.how = how
        self.api = self.open(**how)

    def run(self, command: str, arguments: dict[str, str], queries: list[str]) -> list[dict[str, str]]:
        words = [f"={name}={value}" for name, value in arguments.items()]
        try:
            rows = list(self.api.rawCmd(command, *words, *queries))
        except (TrapError, MultiTrapError) as error:
            raise Refused(str(error)) from None
        return [{name: as_sent(value) for name, value in row.items()} for row in rows]

    def listen(self, command: str) -> None:
        """On a connection of its own: this client has no tags."""
        other = self.open(**self.how)
        other.protocol.writeSentence(command)
        threading.Thread(target=self._hear, args=(other,), daemon=True).start()

    def _hear(self, api: Any) -> None:
        try:
            while True:
                _, row = api.readSentence()
                self.heard_rows.put({name: as_sent(value) for name, value in row.items()})
        except (LibRouterosError, OSError):
            return

    def heard(self, count: int) -> list[dict[str, str]]:
        return [self.heard_rows.get(timeout=10) for _ in range(count)]


def as_sent(value: object) -> str:
    """It makes yes and true a bool, and numbers an int."""
    return str(value).lower() if isinstance(value, bool) else str(value)


drive(Client())
