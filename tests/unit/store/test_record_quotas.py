"""Quotas in the access record: kept, compared without what was used, and brought up to date in place (R6.3)."""

from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.allowance import KINDS
from aaa.domain.timeline import Segment, Timeline, Verdict
from aaa.domain.usage import Quota
from aaa.store import record

LINE = Timeline(
    (
        Segment(0, 100, Verdict.ALLOW, (("Framed-Pool", "pool1"),)),
        Segment(100, 1_000, Verdict.RESTRICT, (("Framed-Pool", "finish"),)),
    )
)
THIS = Quota("total", -50, 400, 20_000, 20_030, 10**10, 7)
NEXT = Quota("total", 400, 900, 20_030, 20_060, 2 * 10**10, 0)
LATER = Quota("total", 1_000, 1_500, 20_060, 20_090, 2 * 10**10, 0)

some_quotas = st.lists(
    st.builds(
        Quota,
        st.sampled_from(KINDS),
        st.integers(-(2**62), 2**62),
        st.integers(-(2**62), 2**62),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 10**15),
        st.integers(0, 2**63 - 1),
    ),
    max_size=12,
).map(tuple)


def packed(*quotas: Quota, version: int = 1) -> bytes:
    return record.pack(12, version, LINE, sealed=b"sealed", caller_lock="x", allowed_nas=("mt1",), quotas=quotas)[0]


@given(some_quotas)
def test_r6_3_what_is_packed_comes_out_again(quotas: tuple[Quota, ...]) -> None:
    octets, named = record.pack(12, 1, LINE, sealed=b"sealed", quotas=quotas)
    head = record.entry(octets)
    assert tuple(record.quotas(head)) == quotas
    assert record.timeline(octets, named) == LINE


def test_r6_3_a_record_of_before_there_were_quotas_has_none() -> None:
    octets = packed()
    assert record.quotas(record.entry(b"\x02" + octets[1:])) == []
    assert record.refreshed(b"\x02" + octets[1:], octets) is None


def test_r6_3_records_agree_whatever_was_used() -> None:
    assert record.agrees(packed(THIS), packed(THIS._replace(used=8), version=2), 0)
    assert not record.agrees(packed(THIS), packed(THIS._replace(limit=9)), 0)
    assert not record.agrees(packed(THIS), packed(THIS._replace(kind="upload")), 0)
    assert not record.agrees(packed(THIS), packed(), 0)
    assert not record.agrees(packed(), packed(THIS), 0)
    # a period that is over, and one behind the horizon, make no difference
    assert record.agrees(packed(THIS, NEXT), packed(NEXT, LATER), 400)
    assert not record.agrees(packed(THIS, NEXT), packed(NEXT, LATER), 399)


def test_r6_3_what_was_used_is_brought_up_to_date_in_place() -> None:
    stored = packed(THIS, NEXT, version=4)
    assert record.refreshed(stored, packed(THIS, NEXT, version=5)) is None
    now = record.refreshed(stored, packed(NEXT._replace(used=3), LATER, version=5))
    assert now is not None
    assert now == packed(THIS, NEXT._replace(used=3), version=4)
    assert record.timeline(now, record.pack(12, 4, LINE, sealed=b"sealed")[1]) == LINE
