"""Sealed columns and the key file."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.store.seal import KeyFileError, SealBroken, Sealer, open_keys

SEALER = Sealer([bytes(range(32))])


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=2**63 - 1))
def test_what_is_sealed_opens_in_its_place(plain: bytes, row_id: int) -> None:
    assert SEALER.unseal("service", "password", row_id, SEALER.seal("service", "password", row_id, plain)) == plain


@pytest.mark.parametrize(
    "place",
    [("service", "password", 8), ("service", "secret", 7), ("nas", "password", 7), ("service/password", "7", 7)],
)
def test_it_opens_in_no_other_place(place: tuple[str, str, int]) -> None:
    sealed = SEALER.seal("service", "password", 7, b"hello")
    with pytest.raises(SealBroken, match="another row"):
        SEALER.unseal(*place, sealed)


@given(st.data())
def test_no_damaged_bytes_open(data: st.DataObject) -> None:
    sealed = bytearray(SEALER.seal("nas", "secret", 1, b"testing123"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        SEALER.unseal("nas", "secret", 1, bytes(sealed))


@given(st.binary(max_size=60))
def test_no_other_bytes_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        SEALER.unseal("nas", "secret", 1, sealed)


def test_errors_hold_nothing_that_was_sealed() -> None:
    sealed = SEALER.seal("nas", "secret", 1, b"testing123")
    with pytest.raises(SealBroken) as caught:
        SEALER.unseal("nas", "secret", 2, sealed)
    assert str(caught.value) == "nas.secret of row 2 is damaged, or was sealed for another row"
    assert "testing123" not in repr(SEALER)


def test_equal_plain_bytes_are_sealed_differently() -> None:
    assert len({SEALER.seal("service", "password", 1, b"secret") for _ in range(100)}) == 100


def test_rotation_the_first_key_seals_and_all_open() -> None:
    old, new = bytes(32), bytes([1]) * 32
    by_old = Sealer([old]).seal("service", "password", 1, b"hello")
    both = Sealer([new, old])
    assert both.unseal("service", "password", 1, by_old) == b"hello"
    by_new = both.seal("service", "password", 1, b"hello")
    assert Sealer([new]).unseal("service", "password", 1, by_new) == b"hello"
    with pytest.raises(SealBroken, match="not in the key file"):
        Sealer([old]).unseal("service", "password", 1, by_new)


def test_a_key_file_is_made_for_an_empty_database_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "key"
    with pytest.raises(KeyFileError, match=r"missing.*restore"):
        open_keys(file, database_holds_sealed=True)
    assert not file.exists()
    sealed = open_keys(file, database_holds_sealed=False).seal("service", "password", 1, b"hello")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert open_keys(file, database_holds_sealed=True).unseal("service", "password", 1, sealed) == b"hello"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    open_keys(file, database_holds_sealed=False)
    file.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"mode 0{mode:o}.*chmod 600"):
        open_keys(file, database_holds_sealed=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no key"),
        ("\n \n", "holds no key"),
        ("00" * 31, "line 1: a key has 64"),
        ("00" * 32 + "\n" + "zz" * 32, "line 2: a key has 64"),
        ("é" * 64, "line 1"),
    ],
)
def test_a_bad_key_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match=message) as caught:
        open_keys(file, database_holds_sealed=True)
    assert "zz" not in str(caught.value)


def test_a_key_file_may_have_several_keys_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("11" * 32 + "\n\n" + "22" * 32 + "\n")
    file.chmod(0o600)
    sealed = Sealer([bytes([0x22]) * 32]).seal("nas", "secret", 1, b"x")
    assert open_keys(file, database_holds_sealed=True).unseal("nas", "secret", 1, sealed) == b"x"


def test_a_key_file_that_cannot_be_made_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError, match="cannot be made"):
        open_keys(tmp_path / "file" / "key", database_holds_sealed=False)
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        open_keys(tmp_path, database_holds_sealed=False)


def test_of_many_who_make_the_key_file_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "key"
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                open_keys(file, database_holds_sealed=False)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert file.read_text().count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]
