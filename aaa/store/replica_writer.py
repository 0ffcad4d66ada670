"""The writing side of the replica: one process of the machine takes over what the feed says (shell)."""

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lmdb
from sqlalchemy import Row

from aaa.store import replica
from aaa.store.feed import Reading, Rows
from aaa.store.replica import (
    CHANGES,
    CURRENT,
    FORMAT,
    HELD_SINCE,
    INTEGER_KEY,
    KEY_LIMIT,
    LIVE_KEY,
    NAME_PAIR,
    PROFILE_KEY,
    VISP_ID,
    Generation,
    NasRow,
    VispRow,
)

_COMMIT_EVERY: Final = 50_000  # rows, while a generation is loaded that nobody reads yet

Started = list[tuple[int, bytes]]
"""(service id, Calling-Station-Id) of sessions that are live."""


class ReplicaBusy(Exception):
    """Another process writes this replica."""


class ReplicaWriter:
    """The sole writer of the replica under `state_dir`. `epoch` and `position` say how far it is, both empty if it has
    nothing that can be continued. Raises ReplicaBusy."""

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self._folder = replica.replica_folder(state_dir)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ReplicaBusy(f"another process writes the replica in {self._folder}") from None
        self.epoch = ""
        self.position = ""
        self._open: Generation | None = None
        self._continue()
        self._sweep()

    def close(self) -> None:
        """Let go of the file and the lock."""
        if self._open is not None:
            self._open.env.close()
            self._open = None
        os.close(self._lock)

    @property
    def ready(self) -> bool:
        """Whether there is something to serve."""
        return self._open is not None

    def take(self, reading: Reading, rows: Rows) -> Started:
        """Take over a reading: into a new generation if it is complete, else in one transaction together with its
        position. The sessions that it says are live."""
        if reading.complete:
            self._load(reading, rows)
            return []
        assert self._open is not None
        started: Started = []
        if reading.tables:
            with self._open.env.begin(write=True) as txn:
                batch = _Batch(self._open, txn, new=False)
                for table, chunk in rows:
                    batch.take(table, chunk)
                batch.finish(reading)
            started = batch.started
        self.position = reading.position
        return started

    def start_over(self) -> None:
        """Do not continue from here: the next reading will be complete. What is there is served meanwhile."""
        self.epoch = self.position = ""

    def tidy(self) -> None:
        """Free what readers that were killed had held."""
        if self._open is not None:
            self._open.env.reader_check()

    def _continue(self) -> None:
        """Go on with the present generation, if there is one and it is sound and of this version."""
        current = replica.read_current(self._folder)
        if not current:
            return
        try:
            generation = Generation(self._folder / current, write=True)
        except lmdb.Error:
            return  # a reload replaces it
        with generation.env.begin() as txn:
            found = [txn.get(key, b"", generation.meta) for key in (b"format", b"epoch", b"position")]
        if found[0] != FORMAT:
            generation.env.close()
            return
        self._open = generation
        self.epoch, self.position = found[1].decode(), found[2].decode()

    def _load(self, reading: Reading, rows: Rows) -> None:
        name = f"generation-{self._last_number() + 1}"
        folder = self._folder / name
        try:
            loaded = Generation(folder, write=True, sync=False)
            try:
                _fill(loaded, reading, rows)
                loaded.env.sync(True)
            finally:
                loaded.env.close()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._publish(name)
        if self._open is not None:
            self._open.env.close()
        self._open = Generation(folder, write=True)
        self.epoch, self.position = reading.epoch, reading.position
        self._sweep()

    def _publish(self, name: str) -> None:
        """Replace `current`, durably and at once."""
        draft = self._folder / f".{CURRENT}"
        with draft.open("w") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._folder / CURRENT)
        directory = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _sweep(self) -> None:
        """Remove the generations that are not read: replaced ones and half-made ones. Who has one open keeps it."""
        current = replica.read_current(self._folder)
        for folder in self._generations():
            if folder.name != current:
                shutil.rmtree(folder, ignore_errors=True)

    def _generations(self) -> list[Path]:
        return list(self._folder.glob("generation-*"))

    def _last_number(self) -> int:
        numbers = [folder.name.rpartition("-")[2] for folder in self._generations()]
        return max((int(number) for number in numbers if number.isdigit()), default=0)


def _fill(generation: Generation, reading: Reading, rows: Rows) -> None:
    txn = generation.env.begin(write=True)
    try:
        batch = _Batch(generation, txn, new=True)
        pending = 0
        for table, chunk in rows:
            batch.take(table, chunk)
            pending += len(chunk)
            if pending >= _COMMIT_EVERY:
                txn.commit()
                txn = generation.env.begin(write=True)
                batch.txn = txn
                pending = 0
        batch.finish(reading)
        txn.put(b"format", FORMAT, db=generation.meta)
        txn.commit()
    except BaseException:
        txn.abort()
        raise


class _Batch:
    """Rows on their way into a transaction. `new`: the generation has no services but those of this batch."""

    def __init__(self, generation: Generation, txn: "lmdb.Transaction[bytes]", *, new: bool) -> None:
        self.txn = txn
        self._new = new
        self.started: Started = []
        self._to = generation
        self._nas = self._visp = self._profile = 0
        self._hold: int | None = None  # None: nothing was said of it

    def take(self, table: str, rows: Sequence[Row[*tuple[Any, ...]]]) -> None:
        match table:
            case "access" if self._new:
                self._fill_access(rows)
            case "access":
                for service_id, visp_id, username, record in rows:
                    self._access(service_id, visp_id, username, record)
            case "session":
                for row in rows:
                    self._session(*row)
            case "profile":
                for profile_id, encoded in rows:
                    self._profiles(profile_id, encoded)
            case "nas":
                for row in rows:
                    self._routers(NasRow(*row[:-1]), removed=row[-1])
            case "visp":
                for row in rows:
                    self._visps(VispRow(*row))
            case "hold":
                for (since,) in rows:
                    self._hold = since or 0

    def finish(self, reading: Reading) -> None:
        meta, txn = self._to.meta, self.txn
        before = txn.get(b"changes", db=meta)
        nas, visp, profile = CHANGES.unpack_from(before) if before else (0, 0, 0)
        since = replica.unpack_held(before) if self._hold is None else self._hold
        changes = CHANGES.pack(nas + self._nas, visp + self._visp, profile + self._profile)
        txn.put(b"changes", changes + HELD_SINCE.pack(since) if since else changes, db=meta)
        txn.put(b"epoch", reading.epoch.encode(), db=meta)
        txn.put(b"position", reading.position.encode(), db=meta)

    def _fill_access(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> None:
        """The short way for services that are not there yet: sorted and put many at a time."""
        records, owners = [], []
        names: dict[bytes, bytes] = {}
        for service_id, visp_id, username, record in rows:
            key, visp, name = INTEGER_KEY.pack(service_id), VISP_ID.pack(visp_id), username.encode()
            records.append((key, record))
            owners.append((key, visp + name))
            if 0 < len(name) <= KEY_LIMIT:
                names[name] = names.get(name, b"") + visp + key
        with self.txn.cursor(self._to.access) as cursor:
            cursor.putmulti(records)
        with self.txn.cursor(self._to.owner) as cursor:
            cursor.putmulti(owners)
        with self.txn.cursor(self._to.name) as cursor:
            for name, pairs in cursor.getmulti(names):
                names[name] = pairs + names[name]
            cursor.putmulti(sorted(names.items()))

    def _access(self, service_id: int, visp_id: int, username: str, record: bytes | None) -> None:
        txn, to = self.txn, self._to
        key = INTEGER_KEY.pack(service_id)
        before = txn.get(key, db=to.owner)
        if record is None:
            if before is not None:
                self._unname(before, key)
                txn.delete(key, db=to.owner)
            txn.delete(key, db=to.access)
            return
        owner = VISP_ID.pack(visp_id) + username.encode()
        if before != owner:
            if before is not None:
                self._unname(before, key)
            self._name(owner, key)
            txn.put(key, owner, db=to.owner)
        txn.put(key, record, db=to.access)

    def _name(self, owner: bytes, key: bytes) -> None:
        name, pair = owner[VISP_ID.size :], owner[: VISP_ID.size] + key
        if 0 < len(name) <= KEY_LIMIT and not self.txn.put(name, pair, overwrite=False, db=self._to.name):
            self.txn.put(name, (self.txn.get(name, db=self._to.name) or b"") + pair, db=self._to.name)

    def _unname(self, owner: bytes, key: bytes) -> None:
        name, pair = owner[VISP_ID.size :], owner[: VISP_ID.size] + key
        if not 0 < len(name) <= KEY_LIMIT:
            return
        pairs = self.txn.get(name, b"", self._to.name)
        rest = b"".join(
            pairs[at : at + NAME_PAIR.size]
            for at in range(0, len(pairs), NAME_PAIR.size)
            if pairs[at : at + NAME_PAIR.size] != pair
        )
        if rest:
            self.txn.put(name, rest, db=self._to.name)
        else:
            self.txn.delete(name, db=self._to.name)

    def _session(self, service_id: int | None, session_id: int, closed_at: int | None, *texts: str) -> None:
        if service_id is None:
            return
        key = LIVE_KEY.pack(service_id, session_id)
        if closed_at is not None:
            self.txn.delete(key, db=self._to.live)
        else:
            self.txn.put(key, replica.pack_live(texts), db=self._to.live)
            self.started.append((service_id, texts[0].encode()))

    def _profiles(self, profile_id: int, encoded: bytes) -> None:
        before = self.txn.replace(PROFILE_KEY.pack(profile_id), encoded, db=self._to.profile)
        if before is not None and before != encoded:
            self._profile = 1

    def _routers(self, row: NasRow, *, removed: bool) -> None:
        key = INTEGER_KEY.pack(row.id)
        if removed:
            self.txn.delete(key, db=self._to.nas)
        else:
            self.txn.put(key, replica.pack_nas(row), db=self._to.nas)
        self._nas = 1

    def _visps(self, row: VispRow) -> None:
        self.txn.put(INTEGER_KEY.pack(row.id), replica.pack_visp(row), db=self._to.visp)
        self._visp = 1
