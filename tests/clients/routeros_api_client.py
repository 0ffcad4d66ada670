"""routeros-api, driven line by line; see driver.py."""

import threading
from queue import Queue
from typing import Any

import routeros_api
from driver import Refused, drive
from routeros_api.exceptions import RouterOsApiCommunicationError, RouterOsApiError


class Words:
    """Query words as they are."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def get_api_format(self) -> list[bytes]:
        return [word.encode() for word in self.words]


class Client:
    def __init__(self) -> None:
        self.heard_rows: Queue[dict[str, str]] = Queue()

    def open(self, port: int, user: str, password: str, login: str, tls: bool) -> Any:
        pool = routeros_api.RouterOsApiPool(
            "127.0.0.1", user, password, port, plaintext_login=login == "plain", use_ssl=tls, ssl_verify=False
        )
        try:
            return pool.get_api()
        except RouterOsApiCommunicationError as error:
            raise Refused(error.original_message.decode()) from None

    def connect(self, **how: Any) -> None:
        self.how = how
        self.api = self.open(**how)

    def run(self, command: str, arguments: dict[str, str], queries: list[str]) -> list[dict[str, str]]:
        menu, _, verb = command.rpartition("/")
        given = {name: value.encode() for name, value in arguments.items()}
        more = [Words(queries)] if queries else []
        try:
            answer = self.api.get_binary_resource(menu).call(verb, given, additional_queries=more)
        except RouterOsApiCommunicationError as error:
            raise Refused(error.original_message.decode()) from None
        done = [answer.done_message] if answer.done_message else []
        return [as_text(row) for row in [*answer, *done]]

    def listen(self, command: str) -> None:
        other = self.open(**self.how)
        menu, _, verb = command.rpartition("/")
        promise = other.get_binary_resource(menu).call_async(verb)
        threading.Thread(target=self._hear, args=(promise,), daemon=True).start()

    def _hear(self, promise: Any) -> None:
        try:
            for row in promise:
                self.heard_rows.put(as_text(row))
        except RouterOsApiError:
            return

    def heard(self, count: int) -> list[dict[str, str]]:
        return [self.heard_rows.get(timeout=10) for _ in range(count)]


def as_text(row: dict[str, bytes]) -> dict[str, str]:
    """It calls .id id."""
    return {".id" if name == "id" else name: value.decode() for name, value in row.items()}


drive(Client())
