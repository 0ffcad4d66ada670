"""What the auth processes of one machine share among themselves, in `<state dir>/scratch/` (shell).

Two LMDB files, which any of the processes may write; LMDB's lock is robust, so that one killed while it writes stops
nobody:

* `reservations-<boot id>`: logins that were accepted and whose Start has not arrived yet. It is never synced and does
  not outlive the machine's boot: a reservation is worth ten seconds.
* `learnt`: what each router has shown that it can do. Synced, for a router that has once proved to sign its requests
  must never again be believed without (CVE-2024-3596).
"""

import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import lmdb

from aaa import clock

RESERVED_FOR: Final = 10 * clock.SECOND
MESSAGE_AUTHENTICATOR_SEEN: Final = 1
NO_PROXY_STATE_SEEN: Final = 2

_MAP_SIZE: Final = 1 << 32  # address space, not memory or disk
_CHECK_EVERY: Final = 0.1  # seconds
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_KEY: Final = struct.Struct("!Q")
_RESERVATION: Final = struct.Struct("!qH")  # expires at, length of the device that follows


class Scratch:
    """One process's hold on the shared scratch files. Not for use by several threads."""

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        folder = Path(state_dir) / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        present = folder / f"reservations-{_boot_id()}"
        for stale in folder.glob("reservations-*"):
            if stale != present:
                shutil.rmtree(stale, ignore_errors=True)  # of an earlier boot
        self._reservations = _open(present, sync=False)
        try:
            self._learnt = _open(folder / "learnt", sync=True)
        except BaseException:
            self._reservations.close()
            raise
        self._flags: dict[tuple[int, bytes], int] = {}
        self._learnt_id = -1
        self._check_at = 0.0
        self.renew()

    def close(self) -> None:
        """Let go of the files."""
        self._reservations.close()
        self._learnt.close()

    # --- learnt flags ---

    def renew(self) -> None:
        """Take over what other processes have learnt, at most 100 ms late. Cheap: call it once per batch."""
        moment = clock.monotonic()
        if moment < self._check_at:
            return
        self._check_at = moment + _CHECK_EVERY
        with self._learnt.begin() as txn:
            if txn.id() != self._learnt_id:
                self._learnt_id = txn.id()
                with txn.cursor() as cursor:
                    self._flags = {(_KEY.unpack_from(key)[0], key[_KEY.size :]): value[0] for key, value in cursor}

    def flags(self, nas_id: int, identifier: bytes) -> int:
        """What is known of a router by its NAS-Identifier (empty: it sends none): an or of the `_SEEN` bits."""
        return self._flags.get((nas_id, identifier), 0)

    def learn(self, nas_id: int, identifier: bytes, flag: int) -> None:
        """Note a `_SEEN` bit for good. Call it only for requests whose secret has been proved."""
        if self.flags(nas_id, identifier) & flag:
            return
        key = _KEY.pack(nas_id) + identifier
        with self._learnt.begin(write=True) as txn:
            known = txn.get(key, b"\0")[0] | flag
            txn.put(key, bytes((known,)))
        self._flags[nas_id, identifier] = known

    # --- reservations ---

    def reserve(self, service_id: int, limit: int, device: bytes, live_devices: list[bytes], now: int) -> bool:
        """Reserve one of the `limit` simultaneous sessions of a service for `device` (its Calling-Station-Id; empty:
        unknown), for ten seconds. False: the limit is reached.

        Other devices count, once each, whether live (`live_devices`, one entry for each open session) or holding a
        reservation; a device that connects again takes its own place. Devices that are unknown count one by one.
        """
        others = {other for other in live_devices if other and other != device}
        unknown = live_devices.count(b"")
        if len(others) + unknown >= limit:
            return False
        key = _KEY.pack(service_id)
        with self._reservations.begin(write=True) as txn:
            held = [
                (expires, holder)
                for expires, holder in _unpack(txn.get(key, b""))
                if expires > now and (holder != device or not holder)
            ]
            for _, holder in held:
                if holder:
                    others.add(holder)
                else:
                    unknown += 1
            if len(others) + unknown >= limit:
                return False
            held.append((now + RESERVED_FOR, device))
            txn.put(key, _pack(held))
        return True

    def settle(self, started: Iterable[tuple[int, bytes]]) -> None:
        """Give back the reservations of (service id, device) pairs that are live by now: from here on the session
        itself counts, so that its end frees the place at once."""
        with self._reservations.begin(write=True) as txn:
            for service_id, device in started:
                key = _KEY.pack(service_id)
                stored = txn.get(key)
                if stored is None:
                    continue
                held = _unpack(stored)
                for at, (_, holder) in enumerate(held):
                    if holder == device:
                        del held[at]
                        break
                if held:
                    txn.put(key, _pack(held))
                else:
                    txn.delete(key)


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _open(folder: Path, *, sync: bool) -> lmdb.Environment:
    env = lmdb.open(str(folder), map_size=_MAP_SIZE, sync=sync, max_readers=1024, max_spare_txns=1)
    env.reader_check()  # what readers that were killed had held
    return env


def _pack(held: list[tuple[int, bytes]]) -> bytes:
    return b"".join(_RESERVATION.pack(expires, len(device)) + device for expires, device in held)


def _unpack(stored: bytes) -> list[tuple[int, bytes]]:
    held = []
    at = 0
    while at < len(stored):
        expires, size = _RESERVATION.unpack_from(stored, at)
        at += _RESERVATION.size
        held.append((expires, stored[at : at + size]))
        at += size
    return held
