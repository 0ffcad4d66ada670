"""The access record: what is packed comes out again, and tells at every instant what the timeline tells."""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aaa.debit.params import MOST_NAS
from aaa.domain.timeline import (
    AttributeValue,
    Cause,
    Profile,
    Reason,
    Segment,
    Timeline,
    Verdict,
    build,
    profile,
)
from aaa.store import record

HORIZON = 10_000
SEALED = bytes(range(44))

addresses = st.integers(1, 2**32 - 1).map(lambda number: ".".join(str(octet) for octet in number.to_bytes(4, "big")))
values: st.SearchStrategy[AttributeValue] = st.one_of(
    st.integers(0, 2**32 - 1),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=5)), min_size=1, max_size=3).map(tuple),
)
names = st.sampled_from(
    ("Acct-Interim-Interval", "Framed-Pool", "Mikrotik-Address-List", "Mikrotik-Rate-Limit", "Tabs")
)
profiles: st.SearchStrategy[Profile] = st.builds(
    lambda shared, address: profile([*shared.items(), *([("Framed-IP-Address", address)] if address else [])]),
    st.dictionaries(names, values, max_size=3),
    st.none() | addresses | st.just("0.0.0.0"),
)
figures = st.lists(
    st.tuples(
        st.sampled_from(("debt", "max_debt", "control")), st.integers(-(2**62), 2**62) | st.text(max_size=9) | st.none()
    ),
    max_size=3,
).map(tuple)
reasons = st.builds(Reason, st.sampled_from(Cause), figures, st.sampled_from(("server", "visp:تهران", "user:ali")))


@st.composite
def timelines(draw: st.DrawFn, most: int = 12) -> Timeline:
    """Segments that start between -5 and the horizon, neighbours different from each other."""
    starts = sorted(draw(st.sets(st.integers(-5, HORIZON - 1), min_size=1, max_size=most)))
    horizon = draw(st.integers(starts[-1] + 1, HORIZON + 1))
    kinds = draw(st.lists(st.tuples(st.sampled_from(Verdict), profiles, st.none() | reasons), min_size=1, max_size=3))
    picked = [kinds[draw(st.integers(0, len(kinds) - 1))] for _ in starts]
    return build(
        Segment(start, end, *kind) for start, end, kind in zip(starts, [*starts[1:], horizon], picked, strict=True)
    )


instants = st.integers(-20, HORIZON + 20)


def packed(timeline: Timeline, version: int = 1, **limits: object) -> bytes:
    return record.pack(12, version, timeline, sealed=SEALED, **limits)[0]  # type: ignore[arg-type]


@given(
    timelines(),
    st.integers(1, 2**32 - 1),
    st.binary(max_size=200),
    st.integers(0, 65_535),
    st.sampled_from(("", "AA:BB:CC:DD:EE:FF")),
    st.booleans(),
    st.integers(1, 2**63 - 1),
    st.integers(0, 15),
    st.lists(st.sampled_from(("mt1", "برج", "tower b")), max_size=3).map(tuple),
)
def test_what_is_packed_comes_out_again(
    timeline: Timeline,
    version: int,
    sealed: bytes,
    limit: int,
    lock: str,
    mac_auth: bool,
    service_id: int,
    methods: int,
    routers: tuple[str, ...],
) -> None:
    octets, named = record.pack(
        service_id,
        version,
        timeline,
        sealed=sealed,
        simultaneous_use=limit,
        caller_lock=lock,
        mac_auth=mac_auth,
        allowed_methods=methods,
        allowed_nas=routers,
    )
    head = record.entry(octets)
    assert (head.service_id, head.version, head.sealed) == (service_id, version, sealed)
    assert (head.simultaneous_use, head.caller_lock, head.mac_auth) == (limit, lock, mac_auth)
    assert (head.allowed_methods, head.allowed_nas) == (methods, "\0".join(routers).encode())
    assert (head.segments, head.horizon) == (len(timeline.segments), timeline.horizon)
    assert record.timeline(octets, named) == timeline
    assert all(record.profile_id(shared) == name for name, shared in named.items())


@given(timelines(), instants)
def test_a_look_up_finds_what_the_timeline_has_at_that_instant(timeline: Timeline, now: int) -> None:
    octets, named = record.pack(12, 1, timeline, sealed=SEALED)
    head = record.entry(octets)
    step = record.step_at(octets, head, now)
    wanted = timeline.at(now)
    assert step.position == timeline.index_at(now)
    assert (step.start, Verdict(step.verdict)) == (wanted.start, wanted.verdict)
    assert step.verdict_end == (timeline.verdict_end(step.position) or 0)
    assert record.join_address(named[step.profile], step.framed_ip) == wanted.profile
    told = record.reasons(octets, head)
    assert (told[step.reason] if step.reason >= 0 else None) == wanted.reason


def test_128_segments_fit_and_each_is_found() -> None:
    timeline = build(
        Segment(start, start + 1, Verdict(start % 3), (("Framed-Pool", f"p{start % 40}"),), None)
        for start in range(128)
    )
    octets = packed(timeline)
    head = record.entry(octets)
    assert head.segments == 128
    assert [record.step_at(octets, head, now).position for now in range(128)] == list(range(128))


@given(profiles)
def test_services_with_addresses_of_their_own_share_a_profile(given_profile: Profile) -> None:
    shared, address = record.split_address(given_profile)
    assert record.join_address(shared, address) == given_profile
    if address:
        assert "Framed-IP-Address" not in dict(shared)


@given(profiles)
def test_a_profile_survives_json_and_its_name_is_its_content(given_profile: Profile) -> None:
    assert record.profile_from_json(record.profile_json(given_profile)) == given_profile
    assert record.profile_id(given_profile) == record.profile_id(record.profile_from_json(json.dumps(given_profile)))


def test_a_profiles_name_is_fixed() -> None:
    """The first octets of SHA-256 of `[["Framed-Pool","pool1"]]`: names are stored, so they must never change."""
    assert record.profile_id((("Framed-Pool", "pool1"),)) == 3072852156379703882


# --- whether a stored record says already what a fresh one says -------------------------------------------------------


@given(timelines(), instants)
def test_a_record_agrees_with_itself_at_every_instant_whatever_its_version(timeline: Timeline, now: int) -> None:
    assert record.agrees(packed(timeline, 1), packed(timeline, 2), now)


@given(timelines(), timelines(), st.data())
def test_two_records_agree_where_their_timelines_do(stored: Timeline, fresh: Timeline, data: st.DataObject) -> None:
    start, horizon = max(stored.start, fresh.start), min(stored.horizon, fresh.horizon)
    assume(start < horizon)
    now = data.draw(st.integers(start, horizon - 1))
    moments = {now, *(one.start for one in (*stored.segments, *fresh.segments) if now < one.start < horizon)}
    same = all(stored.at(moment).same_step(fresh.at(moment)) for moment in moments)
    assert record.agrees(packed(stored), packed(fresh), now) == same


def test_records_with_the_same_reasons_at_other_places_differ() -> None:
    reminder, debit = Reason(Cause.OVERDUE, (), "server"), Reason(Cause.DEBIT, (), "server")

    def of(last: Reason | None) -> Timeline:
        steps = ((Verdict.ALLOW, reminder), (Verdict.DENY, debit), (Verdict.ALLOW, last))
        return build(Segment(10 * at, 10 * at + 10, verdict, (), reason) for at, (verdict, reason) in enumerate(steps))

    assert record.agrees(packed(of(reminder)), packed(of(reminder)), 5)
    assert not record.agrees(packed(of(reminder)), packed(of(None)), 5)
    assert not record.agrees(packed(of(None)), packed(of(reminder)), 5)


@given(timelines(), st.data())
def test_a_later_compile_of_the_same_facts_agrees(timeline: Timeline, data: st.DataObject) -> None:
    """The fresh timeline begins later and reaches further; from `now` to the stored horizon both say the same."""
    now = data.draw(st.integers(timeline.start, timeline.horizon - 1))
    left = [replace(one, start=max(one.start, now)) for one in timeline.segments if one.end > now]
    further = build([*left, replace(left[-1], start=timeline.horizon, end=timeline.horizon + 50)])
    assert record.agrees(packed(timeline, 1), packed(further, 2), now)


ONE = Timeline((Segment(0, 100, Verdict.ALLOW, (("Framed-Pool", "pool1"),)),))


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE.segments[0], verdict=Verdict.RESTRICT),
        replace(ONE.segments[0], profile=(("Framed-Pool", "pool2"),)),
        replace(ONE.segments[0], profile=(("Framed-IP-Address", "10.0.0.1"), ("Framed-Pool", "pool1"))),
        replace(ONE.segments[0], reason=Reason(Cause.DEBIT, (("debt", 1),), "server")),
    ],
)
def test_whatever_differs_in_a_step_is_noticed(other: Segment) -> None:
    assert not record.agrees(packed(ONE), packed(Timeline((other,))), 50)


def test_whatever_differs_beside_the_steps_is_noticed() -> None:
    stored = packed(ONE)
    assert not record.agrees(stored, packed(ONE, simultaneous_use=1), 50)
    assert not record.agrees(stored, packed(ONE, caller_lock="AA:BB:CC:DD:EE:FF"), 50)
    assert not record.agrees(stored, packed(ONE, learns_caller=True), 50)
    assert not record.agrees(stored, packed(ONE, mac_auth=True), 50)
    assert not record.agrees(stored, packed(ONE, allowed_methods=1), 50)
    assert not record.agrees(stored, packed(ONE, allowed_nas=("mt1",)), 50)
    assert not record.agrees(stored, record.pack(12, 1, ONE, sealed=SEALED[1:])[0], 50)
    assert not record.agrees(stored, record.pack(13, 1, ONE, sealed=SEALED)[0], 50)


def test_the_past_does_not_count() -> None:
    changed = build([replace(ONE.segments[0], end=40, verdict=Verdict.DENY), replace(ONE.segments[0], start=40)])
    assert record.agrees(packed(ONE), packed(changed), 40)
    assert not record.agrees(packed(ONE), packed(changed), 39)


@pytest.mark.parametrize("written", [0, 4, 9])
def test_a_record_of_another_format_is_refused_by_name(written: int) -> None:
    octets = packed(ONE)
    with pytest.raises(record.UnknownFormat, match=f"format {written}, this version reads 1 to 3"):
        record.entry(bytes((written,)) + octets[1:])


FIRST_FORMAT = bytes.fromhex(
    "0101000000000000000c0000000100000006110200000000000000647365616c656441413a42423a43433a44443a4545"
    "3a46460000000000000000000000000000003c002aa4f6c16c4e2a4a000000000000000000000000003c000000000000"
    "0000024f53cda18c2baa0c0000000000015b5b226465626974222c22736572766572222c5b5b22636f6e74726f6c222c"
    "22486f6d65225d2c5b2264656274222c355d5d5d5d"
)


def test_a_record_of_the_first_format_is_read_and_allows_every_method_and_router() -> None:
    denied = Reason(Cause.DEBIT, (("control", "Home"), ("debt", 5)), "server")
    both = Timeline(
        (Segment(0, 60, Verdict.ALLOW, (("Framed-Pool", "pool1"),)), Segment(60, 100, Verdict.DENY, (), denied))
    )
    fresh, named = record.pack(12, 1, both, sealed=b"sealed", caller_lock="AA:BB:CC:DD:EE:FF", mac_auth=True)
    head = record.entry(FIRST_FORMAT)
    assert (head.allowed_methods, head.allowed_nas, head.mac_auth) == (0, b"", True)
    assert record.timeline(FIRST_FORMAT, named) == both
    assert record.agrees(FIRST_FORMAT, fresh, 50)  # so an upgrade rewrites nothing


def test_reasons_take_a_third_of_their_json() -> None:
    figures = (
        ("control", "Big-Debtors"),
        ("currency", "CZK"),
        ("debt", 4123),
        ("limit", "max_debt"),
        ("max_debt", 2512),
    )
    owing = replace(ONE.segments[0], reason=Reason(Cause.DEBIT, figures, "visp:tehran"))
    assert len(packed(Timeline((owing,)))) - len(packed(ONE)) < len(str(figures)) / 2


def test_as_many_routers_as_a_param_may_list_fit() -> None:
    names = tuple(f"{number:03}" + "برج" * 20 for number in range(MOST_NAS))
    head = record.entry(packed(ONE, allowed_nas=names))
    assert head.allowed_nas.decode().split("\0") == list(names)


def test_a_record_says_whether_the_first_device_is_to_be_learnt() -> None:
    for methods in (0, 15):
        for routers in ((), ("mt1",)):
            for learns in (False, True):
                head = record.entry(packed(ONE, learns_caller=learns, allowed_methods=methods, allowed_nas=routers))
                assert head.learns_caller is learns
                assert (head.allowed_methods, head.allowed_nas) == (methods, "\0".join(routers).encode())
                assert not head.mac_auth
