"""How rows are packed for the replica."""

from hypothesis import given
from hypothesis import strategies as st

from aaa.store.dialect import went_back
from aaa.store.replica import (
    LIVE_KEY,
    LiveSession,
    NasRow,
    VispRow,
    pack_live,
    pack_nas,
    pack_visp,
    unpack_live,
    unpack_nas,
    unpack_visp,
)

texts = st.text(max_size=253)


@given(st.tuples(texts, texts, texts, texts), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_live_sessions(fields: tuple[str, str, str, str], service_id: int, session_id: int) -> None:
    packed = pack_live(fields)
    assert unpack_live(LIVE_KEY.pack(service_id, session_id), packed) == LiveSession(session_id, *fields)


@given(st.binary(), st.none() | st.binary(), texts, st.none() | texts)
def test_routers(secret: bytes, previous: bytes | None, name: str, identifier: str | None) -> None:
    row = NasRow(5, name, "10.0.0.1", identifier, secret, previous, None, 3799, "auto", "no", "rfc", "from_now")
    assert unpack_nas(pack_nas(row)) == row


@given(texts, st.none() | texts)
def test_visps(name: str, realm: str | None) -> None:
    row = VispRow(1, name, "IRR", "Asia/Tehran", realm)
    assert unpack_visp(pack_visp(row)) == row


def test_a_position_that_went_back_is_noticed() -> None:
    assert went_back("9", "10") and not went_back("10", "10") and not went_back("11", "10")
    assert went_back("90:100:", "90:101:95,97")
    assert not went_back("90:101:", "95:101:95") and not went_back("90:200:91", "100:101:")
