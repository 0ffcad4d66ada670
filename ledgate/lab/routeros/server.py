"""The API of a fake RouterOS over TCP or TLS (shell). One thread serves all connections of one router, or of many."""

import asyncio
import secrets
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from aaa import clock
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.routeros.certificate import server_context
from ledgate.lab.routeros.commands import READS, Sentence, read_sentence, run, shown
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.login import REFUSED, Method, User, log_in
from ledgate.lab.routeros.tables import Item, Row, Table
from ledgate.lab.routeros.trap import API, INTERRUPTED, MISSING, Trap
from ledgate.lab.routeros.words import MOST, BadFraming, Decoder, encode_sentence

SESSIONS: Final = 20
"""Connections at once: RouterOS's own default (max-sessions, 7.16)."""
_BEFORE_LOGIN: Final = 4096
_UNREAD: Final = 64 << 20
"""Octets that a client may leave unread before it is cut off."""
_CHUNK: Final = 1 << 18
_SECRETS: Final = frozenset(("secret", "password", "mac-auth-password"))
_EMPTY_SINCE: Final = (7, 18)


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """Something that a client did: logged in, was refused, or changed something. Secrets are left out of `what`."""

    kind: Literal["login", "refused", "write", "trap"]
    user: str
    what: str


class ApiLoop:
    """The thread in which API servers run. Use it as a context manager to serve several routers by one thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="routeros api")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def call(self, work: Any) -> Any:
        """Run a coroutine in the thread and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


class ApiServer:
    """The API of one device. Use it as a context manager; `port` is then the port it listens on.

    `lock` is held while a command is carried out: whoever else touches the device takes it too. `on_event` is called in
    the server's thread. Without `loop` the server has a thread of its own.
    """

    def __init__(
        self,
        device: Device,
        users: Iterable[User],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        login: Method = "plain",
        behaviour: Behaviour | None = None,
        lock: AbstractContextManager[object] | None = None,
        on_event: Callable[[ApiEvent], None] | None = None,
        loop: ApiLoop | None = None,
    ) -> None:
        self.device = device
        self.users = {user.name: user for user in users}
        self.host = host
        self.port = port
        self.login: Method = login
        self.behaviour = behaviour or Behaviour()
        self.lock = lock or threading.RLock()
        self.on_event = on_event
        self.connections: set[Connection] = set()
        self.tls = tls
        self.off = False
        """Whether the whole router is off, and nobody gets in."""
        self._own = ApiLoop() if loop is None else None
        self._loop = loop or self._own
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        assert self._loop is not None
        if self._own is not None:
            self._own.__enter__()
        try:
            self._loop.call(self._open())
        except OSError:
            if self._own is not None:
                self._own.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call(self._close())
        if self._own is not None:
            self._own.__exit__()

    @property
    def closed(self) -> bool:
        """Whether nobody gets in now."""
        return self.off or self.behaviour.api_down

    def drop(self) -> None:
        """Cut every connection, as a reboot does."""
        assert self._loop is not None
        self._loop.loop.call_soon_threadsafe(self._cut)

    async def _open(self) -> None:
        context: ssl.SSLContext | None = server_context() if self.tls else None
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        self._watch = asyncio.create_task(self._watch_behaviour())

    async def _close(self) -> None:
        assert self._server is not None and self._watch is not None
        self._watch.cancel()
        self._server.close()
        tasks = [connection.task for connection in self.connections]
        self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _watch_behaviour(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.closed:
                self._cut()

    def _cut(self) -> None:
        for connection in tuple(self.connections):
            connection.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(self, reader, writer, task)
        if self.closed or len(self.connections) >= SESSIONS:
            connection.cut()
            return
        self.connections.add(connection)
        try:
            await connection.serve()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self.connections.discard(connection)
            connection.end()

    def tell(self, kind: Literal["login", "refused", "write", "trap"], user: str, what: str) -> None:
        if self.on_event is not None:
            self.on_event(ApiEvent(kind, user, what))


class Connection:
    """One client. Commands are carried out in the order in which they come; only `listen` goes on meanwhile."""

    def __init__(
        self, server: ApiServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        self.task = task
        self._server = server
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder(_BEFORE_LOGIN)
        self._user: User | None = None
        self._challenge = secrets.token_bytes(16)
        self._challenged = False
        self._taken = 0
        self._listening: dict[str, Listener] = {}
        self._loop = asyncio.get_running_loop()

    def cut(self) -> None:
        """End the connection without a word."""
        self._writer.transport.abort()

    def end(self) -> None:
        """Close it, and stop listening."""
        for listener in self._listening.values():
            listener.stop()
        self._writer.close()

    async def serve(self) -> None:
        while data := await self._reader.read(_CHUNK):
            try:
                sentences = self._decoder.feed(data)
            except BadFraming as error:
                await self._fatal(str(error))
                return
            for words in sentences:
                if not await self._take(words):
                    return

    async def _take(self, words: list[str]) -> bool:
        """Answer one sentence; whether the connection goes on."""
        behaviour = self._server.behaviour
        if behaviour.api_slow_ms:
            await asyncio.sleep(behaviour.api_slow_ms / 1000)
        self._taken += 1
        if self._server.closed:
            self.cut()
            return False
        if behaviour.api_close_after is not None and self._taken > behaviour.api_close_after:
            self.cut()
            return False
        sentence = read_sentence(words)
        command = f"{sentence.path}/{sentence.verb}"
        if command == "/quit":
            await self._fatal("session terminated on request")
            return False
        if self._user is None and command != "/login":
            await self._fatal("not logged in")
            return False
        try:
            if command == "/login":
                self._log_in(sentence)
            elif command == "/cancel":
                self._cancel(sentence)
            elif sentence.verb == "listen":
                self._listen(sentence)
            else:
                self._command(sentence)
        except Trap as trap:
            self._trap(sentence.tag, trap)
            self._say("!done", sentence.tag)
        await self._writer.drain()
        return True

    def _log_in(self, sentence: Sentence) -> None:
        server = self._server
        name = sentence.arguments.get("name", "")
        try:
            if server.behaviour.api_refuses:
                raise Trap(REFUSED[server.login])
            user = log_in(server.users, sentence.arguments, server.login, self._challenge, self._challenged)
        except Trap as trap:
            server.tell("refused", name, trap.message)
            raise
        if user is None:
            self._challenged = True
            self._say("!done", sentence.tag, {"ret": self._challenge.hex()})
            return
        self._user = user
        self._decoder.most = MOST
        with server.lock:
            server.device.log(clock.now(), "system,info,account", f"user {user.name} logged in via api")
        server.tell("login", user.name, "")
        self._say("!done", sentence.tag)

    def _command(self, sentence: Sentence) -> None:
        server, user = self._server, self._user
        assert user is not None
        writes = sentence.verb not in READS and sentence.path != "/tool"
        if writes and user.group == "read":
            raise Trap("not enough permissions (9)")
        try:
            with server.lock:
                answer = run(server.device, sentence, clock.now())
        except Trap as trap:
            server.tell("trap", user.name, f"{spelled(sentence)}: {trap.message}")
            raise
        if writes:
            server.tell("write", user.name, spelled(sentence))
        self._say_all(answer.items, sentence)
        self._say("!done", sentence.tag, dict(answer.done))

    def _say_all(self, items: Iterable[Item], sentence: Sentence) -> None:
        head = ["!re", f".tag={sentence.tag}"] if sentence.tag else ["!re"]
        out = bytearray()
        for item in items:
            out += encode_sentence(head + [f"={name}={value}" for name, value in item.items()])
        self._writer.write(out)
        reads = sentence.verb in ("print", "getall") and "count-only" not in sentence.arguments
        if not out and reads and self._server.device.version >= _EMPTY_SINCE:
            self._say("!empty", sentence.tag)

    def _listen(self, sentence: Sentence) -> None:
        with self._server.lock:
            table = self._server.device.table(sentence.path)
            if table is None or table.menu.kind == "singleton":
                raise Trap("no such command", MISSING)
            if sentence.tag in self._listening:
                raise Trap("already running with such tag", API)
            listener = Listener(table, sentence.arguments.get(".proplist"), sentence.tag, self._heard)
            self._listening[sentence.tag] = listener

    def _heard(self, tag: str, item: Item) -> None:
        """Called by whoever changed a row, in any thread."""
        self._loop.call_soon_threadsafe(self._pass_on, tag, item)

    def _pass_on(self, tag: str, item: Item) -> None:
        if self._writer.transport.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _UNREAD:
            self.cut()
            return
        self._say("!re", tag, item)

    def _cancel(self, sentence: Sentence) -> None:
        """Interrupt one command, or all; nothing else than `listen` runs for long."""
        named = sentence.arguments.get("tag")
        tags = list(self._listening) if named is None else [named]
        for tag in tags:
            listener = self._listening.pop(tag, None)
            if listener is None:
                raise Trap("no such command", MISSING)
            listener.stop()
        self._loop.call_soon(self._cancelled, tags, sentence.tag)  # what they have heard goes out before

    def _cancelled(self, tags: list[str], own: str) -> None:
        for tag in tags:
            self._trap(tag, Trap("interrupted", INTERRUPTED))
        self._say("!done", own)
        for tag in tags:
            self._say("!done", tag)

    def _trap(self, tag: str, trap: Trap) -> None:
        category = {} if trap.category is None else {"category": str(trap.category)}
        self._say("!trap", tag, {**category, "message": trap.message})

    def _say(self, word: str, tag: str, properties: Item | None = None) -> None:
        words = [word, f".tag={tag}"] if tag else [word]
        words += [f"={name}={value}" for name, value in (properties or {}).items()]
        self._writer.write(encode_sentence(words))

    async def _fatal(self, why: str) -> None:
        self._writer.write(encode_sentence(["!fatal", why]))
        await self._writer.drain()


class Listener:
    """One `listen`: it passes on what happens to the rows of a table."""

    def __init__(self, table: Table, proplist: str | None, tag: str, heard: Callable[[str, Item], None]) -> None:
        self._table = table
        self._proplist = proplist
        self._tag = tag
        self._pass_on = heard
        table.watchers.append(self._changed)

    def stop(self) -> None:
        self._table.watchers.remove(self._changed)

    def _changed(self, row: Row, gone: bool) -> None:
        if gone:
            self._pass_on(self._tag, {".id": row.id, ".dead": "yes"})
            return
        for item in shown([self._table.item(row, clock.now())], self._proplist):
            self._pass_on(self._tag, item)


def spelled(sentence: Sentence) -> str:
    """A command as one line for people, without secrets."""
    words = [f"{name}={'***' if name in _SECRETS else value}" for name, value in sentence.arguments.items()]
    return " ".join([f"{sentence.path}/{sentence.verb}", *words])
