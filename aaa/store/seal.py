"""Sealed columns: AES-256-GCM, bound to the table, column and row they belong to (shell: the key file, random bytes).

Sealed bytes are key id (4) + nonce (12) + ciphertext + tag (16). The row is the additional data (NIST SP
800-38D): what is copied to another row or column does not open there. A key's id is taken from its SHA-256, so
that a wrong key file is told apart from damaged bytes.

The key file has a key of 64 hexadecimal digits on each line; the first seals, all of them open. To rotate, put
a new one on top.
"""

import os
import stat
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Connection, select

from aaa.store.tables import nas, service

KEY_SIZE: Final = 32
_ID: Final = 4
_NONCE: Final = 12
_HEAD: Final = _ID + _NONCE
_TAG: Final = 16
_SEALED_COLUMNS: Final = ((service.c.password, service.c.id), (nas.c.secret, nas.c.id))


class KeyFileError(Exception):
    """The key file cannot be used: the message names it and says what to do. The caller must refuse to start."""


class SealBroken(Exception):
    """Sealed bytes do not open: damaged, of another row, or of a key that the key file does not hold."""


class Sealer:
    """Seals with the first of its keys and opens with any of them. `keys` are 32 octets each; at least one."""

    __slots__ = ("_ciphers", "_first", "_first_id")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._first_id = _key_id(keys[0])
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._first = self._ciphers[self._first_id]

    def seal(self, table: str, column: str, row_id: int, plain: bytes) -> bytes:
        """`plain` sealed for one column of one row."""
        nonce = os.urandom(_NONCE)
        return self._first_id + nonce + self._first.encrypt(nonce, plain, _row(table, column, row_id))

    def unseal(self, table: str, column: str, row_id: int, sealed: bytes) -> bytes:
        """The plain bytes. Raises SealBroken, which names the row but never what it holds."""
        try:
            return self._ciphers[sealed[:_ID]].decrypt(sealed[_ID:_HEAD], sealed[_HEAD:], _row(table, column, row_id))
        except KeyError:
            raise SealBroken(
                f"{table}.{column} of row {row_id} is sealed with key {sealed[:_ID].hex()}, not in the key file"
            ) from None
        except (InvalidTag, ValueError):
            raise SealBroken(f"{table}.{column} of row {row_id} is damaged, or was sealed for another row") from None


def _row(table: str, column: str, row_id: int) -> bytes:
    return f"{table}/{column}/{row_id}".encode()


def _key_id(key: bytes) -> bytes:
    return sha256(b"ledgate key id:" + key).digest()[:_ID]


def open_keys(path: str | os.PathLike[str], database_holds_sealed: bool) -> Sealer:
    """The keys of the key file at `path`. A missing file is made, with a new key, only when the database holds
    nothing sealed: a new key could not open what an old one sealed. Raises KeyFileError."""
    file = Path(path)
    if not file.exists():
        if database_holds_sealed:
            raise KeyFileError(
                f"key file {file} is missing, and the database holds passwords sealed with it: restore it from backup"
            )
        _make(file)
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            text = opened.read()
    except OSError as error:
        raise KeyFileError(f"key file {file} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise KeyFileError(f"key file {file} can be read by others (mode {mode:04o}): chmod 600 {file}")
    return Sealer(_parse(file, text))


def _parse(file: Path, text: bytes) -> list[bytes]:
    keys = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            key = bytes.fromhex(line.decode("ascii"))
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise KeyFileError(f"key file {file}, line {number}: a key has {2 * KEY_SIZE} hexadecimal digits") from None
        keys.append(key)
    if not keys:
        raise KeyFileError(f"key file {file} holds no key")
    return keys


def _make(file: Path) -> None:
    """Write a whole file, then link it into place: of several processes that start at once, one makes the key."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, os.urandom(KEY_SIZE).hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # another process was first: its key counts
        finally:
            os.unlink(draft)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"key file {file} cannot be made: {error.strerror}") from None


def holds_sealed(conn: Connection) -> bool:
    """Whether the database holds anything sealed."""
    return any(conn.execute(select(row_id).limit(1)).scalar() is not None for _, row_id in _SEALED_COLUMNS)


def verify(sealer: Sealer, conn: Connection) -> None:
    """Open the oldest and the newest password and router secret, so that a wrong key file is noticed at start and
    not at the first login. Raises KeyFileError."""
    for column, row_id in _SEALED_COLUMNS:
        for order in (row_id.asc(), row_id.desc()):
            # A Row is declared a tuple but is none, which compiled code would notice.
            found: Any = conn.execute(select(row_id, column).order_by(order).limit(1))
            row = found.first()
            if row is not None:
                _verify_row(sealer, column, row[0], row[1])


def _verify_row(sealer: Sealer, column: Column[bytes], row_id: int, sealed: bytes) -> None:
    try:
        sealer.unseal(column.table.name, column.name, row_id, sealed)
    except SealBroken as error:
        raise KeyFileError(f"the key file does not fit the database: {error}") from None
