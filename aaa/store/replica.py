"""The replica: what auth needs of the database, in an LMDB file that every process of the machine maps (shell).

`<state dir>/replica/` holds one folder per generation and the file `current`, which names the one to read. One
process, the replica role, writes (it holds `lock`); a reload goes to a new generation, then `current` is replaced.
What is in a generation:

* `name`: user name -> (visp id, service id) pairs: a bare name may stand for a service in several VISPs;
* `access`: service id -> the record, as aaa.store.record packed it;
* `owner`: service id -> visp id and user name, for the writer, so that a renamed or removed service leaves `name`;
* `profile`: profile id -> reply attributes, encoded;
* `live`: (service id, session id) -> the open session;
* `nas`, `visp`: id -> the row as JSON;
* `meta`: format, epoch, position, and how often nas, visp and profile have changed, with the instant since which cuts
  are held behind that, if they are.
"""

import json
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from aaa import clock

FORMAT: Final = b"1"
MAP_SIZE = 1 << 36  # address space, not memory or disk: the file grows as it fills
CHECK_EVERY: Final = 0.1  # seconds between looks for a new generation
AMBIGUOUS: Final = b""  # a bare user name that several VISPs know; no record is empty
KEY_LIMIT: Final = 511  # LMDB's own; a User-Name has at most 253 octets (RFC 2865 §5.1)

NAME_PAIR: Final = struct.Struct("=IQ")  # visp id, service id; native, as LMDB's integer keys are
INTEGER_KEY: Final = struct.Struct("=Q")
PROFILE_KEY: Final = struct.Struct("=q")
VISP_ID: Final = struct.Struct("=I")
LIVE_KEY: Final = struct.Struct("!QQ")  # service, session: sorted
LIVE_PREFIX: Final = struct.Struct("!Q")
CHANGES: Final = struct.Struct("=QQQ")  # nas, visp, profile
HELD_SINCE: Final = struct.Struct("=q")  # UTC microseconds, behind CHANGES while cuts are held
CURRENT: Final = "current"


class ReplicaMissing(Exception):
    """There is no replica to read yet: the replica role has not loaded one."""


class NasRow(NamedTuple):
    """A router as the database has it; the secrets are sealed as nas/secret/id and nas/previous_secret/id."""

    id: int
    name: str
    address: str
    identifier: str | None
    secret: bytes
    previous_secret: bytes | None
    coa_address: str | None
    coa_port: int
    require_message_authenticator: str
    limit_proxy_state: str
    octets: str
    coa_session_timeout: str
    # a file written before there were such columns has none
    total_limit: bool = False
    address_list_by: str | None = None
    api_host: str | None = None


_NAS_SECRETS: Final = (NasRow._fields.index("secret"), NasRow._fields.index("previous_secret"))


class VispRow(NamedTuple):
    """A VISP as the database has it."""

    id: int
    name: str
    currency: str
    timezone: str
    realm: str | None


class LiveSession(NamedTuple):
    """An open session of a service."""

    session_id: int
    calling_station_id: str
    source: str
    identifier: str
    acct_session_id: str


class Generation:
    """One open LMDB environment of the replica, with its databases. Raises lmdb.Error if it is damaged."""

    __slots__ = ("access", "env", "live", "meta", "name", "nas", "owner", "profile", "visp")

    def __init__(self, folder: Path, *, write: bool, sync: bool = True) -> None:
        self.env = lmdb.open(
            str(folder),
            map_size=MAP_SIZE,
            readonly=not write,
            create=write,
            metasync=False,  # a crash of the machine may lose the last batch: its position is lost with it
            sync=sync,
            readahead=False,
            max_dbs=8,
            max_readers=1024,
            max_spare_txns=2,
        )
        try:
            self.name = self.env.open_db(b"name", create=write)
            self.access = self.env.open_db(b"access", create=write, integerkey=True)
            self.owner = self.env.open_db(b"owner", create=write, integerkey=True)
            self.profile = self.env.open_db(b"profile", create=write, integerkey=True)
            self.live = self.env.open_db(b"live", create=write)
            self.nas = self.env.open_db(b"nas", create=write, integerkey=True)
            self.visp = self.env.open_db(b"visp", create=write, integerkey=True)
            self.meta = self.env.open_db(b"meta", create=write)
        except BaseException:
            self.env.close()
            raise


class Replica:
    """The reading side. All look-ups see one instant: call `renew` before each batch of requests, and `rest` before
    waiting for the next (an instant that is held keeps the writer from reusing space). Not for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = (0, 0)
        self._check_at = clock.monotonic() + CHECK_EVERY
        self._profiles: dict[int, bytes] = {}
        self.nas_version = 0
        """Grows whenever `nas_list` may say something new; `visp_version` likewise for `visps`."""
        self.visp_version = 0
        self.held_since = 0
        """Cuts are held since this instant (R8.4), UTC microseconds; 0: they are not."""
        self._adopt(_open_current(folder))
        self._txn = self._env.begin()
        self._changes = (-1, -1, -1)
        self._note_changes()

    @classmethod
    def open(cls, state_dir: str | os.PathLike[str]) -> "Replica":
        """Open the replica under `state_dir`. Raises ReplicaMissing; try again, it may still be loading."""
        return cls(replica_folder(state_dir))

    @staticmethod
    def exists(state_dir: str | os.PathLike[str]) -> bool:
        """Whether there is a replica under `state_dir`, from which logins can be served without the database."""
        return (replica_folder(state_dir) / CURRENT).exists()

    def close(self) -> None:
        """Let go of the file."""
        self._txn.abort()
        self._env.close()

    def rest(self) -> None:
        """Give up the instant that look-ups see; there are none until `renew`."""
        self._txn.abort()

    def renew(self) -> None:
        """See what the writer has committed by now, a new generation at most 100 ms late."""
        self._txn.abort()
        moment = clock.monotonic()
        if moment >= self._check_at:
            self._check_at = moment + CHECK_EVERY
            if _stamp(self._folder) != self._stamp:
                self._follow()
        self._txn = self._env.begin()
        if self._txn.get(b"changes", db=self._meta) != self._seen:
            self._note_changes()

    def find(self, username: bytes, visp_id: int | None = None) -> bytes | None:
        """The access record of a user name, in one VISP or, where unambiguous, in any. None: there is no such
        service; AMBIGUOUS: several VISPs have it."""
        if not 0 < len(username) <= KEY_LIMIT:
            return None
        pairs = self._txn.get(username, None, self._name)
        if pairs is None:
            return None
        if visp_id is None:
            if len(pairs) != NAME_PAIR.size:
                return AMBIGUOUS
            return self._txn.get(pairs[4:], None, self._access)
        for at in range(0, len(pairs), NAME_PAIR.size):
            if VISP_ID.unpack_from(pairs, at)[0] == visp_id:
                return self._txn.get(pairs[at + 4 : at + NAME_PAIR.size], None, self._access)
        return None

    def record(self, service_id: int) -> bytes | None:
        """The access record of a service; None if there is none."""
        return self._txn.get(INTEGER_KEY.pack(service_id), None, self._access)

    def profile(self, profile_id: int) -> bytes | None:
        """The encoded reply attributes of a profile; None if it is not known."""
        encoded = self._profiles.get(profile_id)
        if encoded is None:
            encoded = self._txn.get(PROFILE_KEY.pack(profile_id), None, self._profile)
            if encoded is not None:
                self._profiles[profile_id] = encoded
        return encoded

    def live(self, service_id: int) -> list[LiveSession]:
        """The open sessions of a service, as accounting has them."""
        sessions = []
        prefix = LIVE_PREFIX.pack(service_id)
        with self._txn.cursor(self._live) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                sessions.append(unpack_live(cursor.key(), cursor.value()))
                found = cursor.next()
        return sessions

    def nas_list(self) -> list[NasRow]:
        """Every router, in the order of their ids."""
        with self._txn.cursor(self._nas) as cursor:
            return [unpack_nas(value) for _, value in cursor]

    def visps(self) -> list[VispRow]:
        """Every VISP, in the order of their ids."""
        with self._txn.cursor(self._visp) as cursor:
            return [unpack_visp(value) for _, value in cursor]

    def position(self) -> tuple[str, str]:
        """How far the replica is: the epoch, and the position within it (aaa.store.feed)."""
        epoch, position = (self._txn.get(key, b"", self._meta).decode() for key in (b"epoch", b"position"))
        return epoch, position

    def _follow(self) -> None:
        """Go over to the new generation; stay with the old one if the new one cannot be read."""
        try:
            opened = _open_current(self._folder)
        except ReplicaMissing:
            return
        self._env.close()
        self._adopt(opened)
        self._profiles.clear()
        self.nas_version += 1
        self.visp_version += 1

    def _adopt(self, opened: "tuple[Generation, tuple[int, int]]") -> None:
        generation, self._stamp = opened
        self._env = generation.env
        self._name = generation.name
        self._access = generation.access
        self._profile = generation.profile
        self._live = generation.live
        self._nas = generation.nas
        self._visp = generation.visp
        self._meta = generation.meta

    def _note_changes(self) -> None:
        self._seen = self._txn.get(b"changes", None, self._meta)
        nas, visp, profile = CHANGES.unpack_from(self._seen) if self._seen else (0, 0, 0)
        self.held_since = unpack_held(self._seen)
        if nas != self._changes[0]:
            self.nas_version += 1
        if visp != self._changes[1]:
            self.visp_version += 1
        if profile != self._changes[2]:
            self._profiles.clear()
        self._changes = (nas, visp, profile)


def replica_folder(state_dir: str | os.PathLike[str]) -> Path:
    return Path(state_dir) / "replica"


def read_current(folder: Path) -> str:
    """The name of the generation to read; empty if there is none yet."""
    try:
        return (folder / CURRENT).read_text().strip()
    except FileNotFoundError:
        return ""


def _stamp(folder: Path) -> tuple[int, int]:
    """What tells one `current` file from the next without reading it."""
    try:
        status = os.stat(folder / CURRENT)
    except FileNotFoundError:
        return (0, 0)
    return (status.st_ino, status.st_mtime_ns)


def _open_current(folder: Path) -> tuple[Generation, tuple[int, int]]:
    """The generation to read and its stamp. Raises ReplicaMissing."""
    fault = ""
    for _ in range(3):  # it may be replaced, and its folder removed, while we look
        stamp, current = _stamp(folder), read_current(folder)
        if not current:
            raise ReplicaMissing(f"no replica in {folder} yet")
        try:
            generation = Generation(folder / current, write=False)
        except lmdb.Error as error:
            fault = str(error)
            continue
        with generation.env.begin() as txn:
            if txn.get(b"format", db=generation.meta) == FORMAT:
                return generation, stamp
        generation.env.close()
        raise ReplicaMissing(f"the replica in {folder / current} is of another version: waiting for a reload")
    raise ReplicaMissing(f"the replica in {folder / current} cannot be read ({fault}): waiting for a reload")


def unpack_held(changes: bytes | None) -> int:
    """The instant behind the counters of changes since which cuts are held; 0 if they are not."""
    if not changes or len(changes) == CHANGES.size:
        return 0
    return int(HELD_SINCE.unpack_from(changes, CHANGES.size)[0])


def pack_nas(row: NasRow) -> bytes:
    """JSON cannot hold octets: the sealed secrets go as hexadecimal digits."""
    return json.dumps([field.hex() if isinstance(field, bytes) else field for field in row]).encode()


def unpack_nas(value: bytes) -> NasRow:
    fields = json.loads(value)
    for at in _NAS_SECRETS:
        if fields[at] is not None:
            fields[at] = bytes.fromhex(fields[at])
    return NasRow(*fields)


def pack_visp(row: VispRow) -> bytes:
    return json.dumps(row).encode()


def unpack_visp(value: bytes) -> VispRow:
    return VispRow(*json.loads(value))


def pack_live(texts: tuple[str, ...]) -> bytes:
    """Calling-Station-Id, source, NAS-Identifier and Acct-Session-Id, each after its length in two octets."""
    return b"".join(len(octets).to_bytes(2, "big") + octets for octets in (text.encode() for text in texts))


def unpack_live(key: bytes, value: bytes) -> LiveSession:
    texts = []
    at = 0
    while at < len(value):
        end = at + 2 + int.from_bytes(value[at : at + 2], "big")
        texts.append(value[at + 2 : end].decode())
        at = end
    return LiveSession(LIVE_KEY.unpack(key)[1], *texts)
