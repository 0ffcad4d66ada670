"""Manual suspension in the timeline: windows, repeats in local time, precedence, what each reason gets (R3.1, R4)."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.debit.compile import HORIZON, compile
from aaa.debit.wording import figures_json, why
from aaa.domain.instant import iso
from aaa.domain.suspension import REASONS, BadSuspension, Repeat, Suspension
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, Verdict
from tests.unit.debit import cases, suspensions
from tests.unit.debit.cases import DAY, SERVICE, Facts, control, owing, policy, rule
from tests.unit.debit.suspensions import at

HOUR = DAY // 24
SPRING = at("2026-03-20T00:00:00+00:00")


def timeline(*held: Suspension, now: int = 0, zone: str = "Europe/Prague") -> Timeline:
    return compile(policy(), replace(SERVICE, timezone=zone, suspensions=held), owing(0), now).timeline


def suspended(found: Timeline) -> list[tuple[str, str]]:
    """From when to when the service is suspended."""
    return [(iso(one.start), iso(one.end)) for one in found.segments if one.reason is not None]


def reason(segment: Segment) -> Reason:
    assert segment.reason is not None
    return segment.reason


# --- R4.1: one window ------------------------------------------------------------------------------------------------


def test_r4_1_the_twelve_reasons() -> None:
    assert len(REASONS) == len(set(REASONS)) == 12
    for name in REASONS:
        assert dict(reason(timeline(Suspension(name)).segments[0]).figures)["reason"] == name


def test_r4_1_from_and_to_are_half_open() -> None:
    found = timeline(Suspension("profile3", 2 * DAY, 5 * DAY))
    assert [(one.start, one.verdict) for one in found.segments] == [
        (0, Verdict.ALLOW),
        (2 * DAY, Verdict.DENY),
        (5 * DAY, Verdict.ALLOW),
    ]
    assert found.at(2 * DAY - 1).reason is None and found.at(5 * DAY).reason is None
    assert reason(found.at(5 * DAY - 1)) == Reason(
        Cause.SUSPENDED,
        (("reason", "profile3"), ("from_at", 2 * DAY), ("to_at", 5 * DAY), ("repeat", "none")),
        "user:ali",
    )


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [(0, HORIZON)]),
        (3 * DAY, None, [(3 * DAY, HORIZON)]),
        (None, 3 * DAY, [(0, 3 * DAY)]),
        (None, 0, []),
        (HORIZON, None, []),
    ],
)
def test_r4_1_open_ends(start: int | None, end: int | None, expected: list[tuple[int, int]]) -> None:
    found = timeline(Suspension("not_set", start, end))
    assert [(one.start, one.end) for one in found.segments if one.reason is not None] == expected


@pytest.mark.parametrize(
    ("key", "message", "values"),
    [
        ("reason", "must be one of not_set, non_payer, ", ("lazy",)),
        ("to", "must be later than from", ("not_set", 5, 5)),
        ("repeat", "weekly needs both from and to", ("not_set", 5, None, Repeat.WEEKLY)),
        ("repeat", "yearly needs both from and to", ("not_set", None, 5, Repeat.YEARLY)),
        ("to", "must not be more than 7 days after from", ("not_set", 0, 7 * DAY + HOUR + 1, Repeat.WEEKLY)),
        ("to", "must not be more than 31 days after from", ("not_set", 0, 32 * DAY, Repeat.MONTHLY)),
        ("to", "must not be more than 366 days after from", ("not_set", 0, 367 * DAY, Repeat.YEARLY)),
    ],
)
def test_r4_1_what_cannot_be_is_refused(key: str, message: str, values: tuple[str, int | None]) -> None:
    with pytest.raises(BadSuspension) as caught:
        Suspension(*values)
    assert caught.value.key == key
    assert caught.value.message.startswith(message)


# --- R4.3: repeats ---------------------------------------------------------------------------------------------------


def test_r4_3_weekly_keeps_its_local_hours_when_clocks_change() -> None:
    night = Suspension("not_set", at("2026-03-21T22:00:00+01:00"), at("2026-03-22T06:00:00+01:00"), Repeat.WEEKLY)
    assert suspended(timeline(night, now=SPRING))[:3] == [
        ("2026-03-21T21:00:00Z", "2026-03-22T05:00:00Z"),
        ("2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z"),  # one hour less
        ("2026-04-04T20:00:00Z", "2026-04-05T04:00:00Z"),
    ]


def test_r4_3_a_local_time_that_clocks_skip_or_repeat() -> None:
    skipped = Suspension("not_set", at("2026-03-22T02:30:00+01:00"), at("2026-03-22T04:00:00+01:00"), Repeat.WEEKLY)
    assert suspended(timeline(skipped, now=SPRING))[1] == ("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")
    twice = Suspension("not_set", at("2026-10-18T02:30:00+02:00"), at("2026-10-18T04:00:00+02:00"), Repeat.WEEKLY)
    autumn = suspended(timeline(twice, now=at("2026-10-17T00:00:00+00:00")))
    assert autumn[1] == ("2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z")


@pytest.mark.parametrize(
    ("repeat", "start", "end", "now", "expected"),
    [
        ("yearly", "2024-02-29", "2024-03-02", "2025-02-20", ("2025-02-28", "2025-03-02")),
        ("yearly", "2024-02-29", "2024-03-02", "2028-02-20", ("2028-02-29", "2028-03-02")),
        ("yearly", "2024-02-20", "2024-02-29", "2025-02-20", ("2025-02-20", "2025-02-28")),
        ("monthly", "2026-01-31", "2026-02-02", "2026-02-10", ("2026-02-28", "2026-03-02")),
        ("monthly", "2026-01-31", "2026-02-02", "2026-04-10", ("2026-04-30", "2026-05-02")),
        ("monthly", "2026-01-31", "2026-02-02", "2026-05-10", ("2026-05-31", "2026-06-02")),
        ("yearly", "2026-12-20", "2027-01-07", "2030-01-03", ("2030-01-03", "2030-01-07")),
    ],
)
def test_r4_3_leap_days_and_month_ends(repeat: str, start: str, end: str, now: str, expected: tuple[str, str]) -> None:
    held = Suspension("not_set", at(f"{start}T00:00:00Z"), at(f"{end}T00:00:00Z"), Repeat(repeat))
    found = suspended(timeline(held, now=at(f"{now}T00:00:00Z"), zone="UTC"))
    assert found[0] == tuple(f"{day}T00:00:00Z" for day in expected)


def test_r4_3_a_window_may_come_to_nothing_in_a_short_month() -> None:
    held = Suspension("not_set", at("2026-01-29T00:00:00Z"), at("2026-01-31T00:00:00Z"), Repeat.MONTHLY)
    found = suspended(timeline(held, now=at("2026-02-20T00:00:00Z"), zone="UTC"))
    assert found == []
    assert suspended(timeline(held, now=at("2026-03-20T00:00:00Z"), zone="UTC"))[0][0] == "2026-03-29T00:00:00Z"


def test_r4_3_it_does_not_hold_before_its_first_window() -> None:
    held = Suspension("not_set", at("2027-07-01T00:00:00Z"), at("2027-09-01T00:00:00Z"), Repeat.YEARLY)
    assert suspended(timeline(held, now=at("2026-06-20T00:00:00Z"), zone="UTC")) == []
    assert len(suspended(timeline(held, now=at("2028-06-20T00:00:00Z"), zone="UTC"))) == 1


def test_r4_3_the_figures_are_those_of_the_window_that_holds() -> None:
    held = Suspension("profile3", at("2026-07-01T00:00:00Z"), at("2026-09-01T00:00:00Z"), Repeat.YEARLY)
    found = reason(timeline(held, now=at("2030-08-01T00:00:00Z"), zone="UTC").segments[0])
    assert figures_json(found) == {
        "reason": "profile3",
        "from_at": "2030-07-01T00:00:00Z",
        "to_at": "2030-09-01T00:00:00Z",
        "repeat": "yearly",
    }
    assert why(found) == (
        "an operator suspended it, profile3 from 2030-07-01T00:00:00Z to 2030-09-01T00:00:00Z, yearly (user:ali)"
    )
    assert why(reason(timeline(Suspension("not_set")).segments[0])) == "an operator suspended it, not_set (user:ali)"


# --- R3.1, R3.4: several causes and reasons --------------------------------------------------------------------------


def test_r3_4_suspended_is_stronger_than_debit_and_expire() -> None:
    held = Suspension("not_set", DAY, 2 * DAY)
    service = replace(SERVICE, suspensions=(held,), active_to=0)
    for standing, below in ((owing(10), Cause.DEBIT), (owing(0), Cause.EXPIRE)):
        found = compile(policy(control(max_debt=0)), service, standing, 0).timeline
        assert [reason(one).cause for one in found.segments] == [below, Cause.SUSPENDED, below]


def test_r4_1_of_several_the_one_that_began_first_decides() -> None:
    found = timeline(
        Suspension("profile1", 3 * DAY, 8 * DAY),
        Suspension("profile2", 2 * DAY, 5 * DAY),
        Suspension("profile3", 2 * DAY, 4 * DAY),
        Suspension("profile4", None, DAY),
    )
    assert [(one.start, dict(one.reason.figures)["reason"] if one.reason else None) for one in found.segments] == [
        (0, "profile4"),
        (DAY, None),
        (2 * DAY, "profile2"),
        (5 * DAY, "profile1"),
        (8 * DAY, None),
    ]


def test_r3_1_each_reason_has_its_action() -> None:
    by_reason = {
        "non_payer": {"restrict": {"address_list": "pay"}},
        "profile1": "deny",
        "*": {"restrict": {"pool": "finish"}},
    }
    found = policy(None, rule(suspended=by_reason))
    service = replace(
        SERVICE,
        suspensions=(
            Suspension("non_payer", 0, DAY),
            Suspension("profile1", DAY, 2 * DAY),
            Suspension("not_set", 2 * DAY, 3 * DAY),
        ),
    )
    segments = compile(found, service, owing(0), 0).timeline.segments
    assert [one.verdict for one in segments] == [Verdict.RESTRICT, Verdict.DENY, Verdict.RESTRICT, Verdict.ALLOW]
    assert dict(segments[0].profile)["Mikrotik-Address-List"] == "pay"
    assert dict(segments[2].profile)["Framed-Pool"] == "finish"
    assert found.grant(Cause.DEBIT, "non_payer").verdict is Verdict.DENY


def test_r4_4_a_payment_never_lifts_it() -> None:
    service = replace(SERVICE, suspensions=(Suspension("non_payer"),))
    owes, paid = (
        compile(policy(control(max_debt=0)), service, standing, DAY).timeline
        for standing in (owing(10), owing(0, paid=DAY))
    )
    assert owes == paid
    assert reason(paid.segments[0]).cause is Cause.SUSPENDED


# --- what always holds -----------------------------------------------------------------------------------------------

zones = st.sampled_from(suspensions.ZONES)
moments = st.builds(lambda start, days: start + days * DAY, suspensions.instants, st.integers(-40, 500))


@settings(max_examples=40)
@given(suspensions.lists, zones, moments, st.lists(st.integers(0, HORIZON - 1), max_size=5))
def test_r4_3_every_instant_agrees_with_the_naive_evaluator(
    held: tuple[Suspension, ...], zone: str, now: int, offsets: list[int]
) -> None:
    found = timeline(*held, now=now, zone=zone)
    edges = [one.start + off for one in found.segments for off in (-1, 0, 1) if one.start > now]
    for instant in (now, *(now + offset for offset in offsets), *edges[:12]):
        expected = suspensions.deciding(held, zone, instant)
        told = found.at(instant).reason
        assert (told is not None) == (expected is not None), iso(instant)
        if told is not None and expected is not None:
            began, one = expected
            figures = dict(told.figures)
            assert (figures["reason"], figures["repeat"]) == (one.reason, one.repeat)
            assert figures["from_at"] == (None if one.start is None else began)


@given(cases.facts, cases.instants, st.lists(st.tuples(cases.instants, st.integers(1, 9)), max_size=4), st.booleans())
def test_r3_4_suspended_comes_before_what_the_oracle_says_of_money_and_time(
    facts: Facts, now: int, windows: list[tuple[int, int]], open_end: bool
) -> None:
    held = tuple(Suspension("not_set", start, start + days * DAY) for start, days in windows)
    if open_end and windows:
        held = (replace(held[0], end=None), *held[1:])
    service = replace(facts.service, suspensions=held)
    found = compile(facts.policy, service, facts.standing, now).timeline
    for segment in found.segments:
        open_now = any(
            one.start is not None and one.start <= segment.start and (one.end is None or segment.start < one.end)
            for one in held
        )
        cause = segment.reason.cause if segment.reason else None
        if open_now:
            assert (segment.verdict, cause) == (Verdict.DENY, Cause.SUSPENDED)
        else:
            assert (segment.verdict, cause) == cases.verdict_at(facts, segment.start)


@given(suspensions.lists, zones, moments)
def test_r4_segments_cover_the_timeline_without_gap_or_overlap_and_compile_is_deterministic(
    held: tuple[Suspension, ...], zone: str, now: int
) -> None:
    found = timeline(*held, now=now, zone=zone)
    assert (found.start, found.horizon) == (now, now + HORIZON)
    for before, after in pairwise(found.segments):
        assert before.start < before.end == after.start < after.end
        assert not before.same_step(after)
    assert timeline(*held, now=now, zone=zone) == found


@given(suspensions.lists, zones, moments, st.integers(0, HORIZON - 1))
def test_r8_1_a_later_compile_of_the_same_suspensions_agrees(
    held: tuple[Suspension, ...], zone: str, now: int, passed: int
) -> None:
    stored = timeline(*held, now=now, zone=zone)
    assert timeline(*held, now=now + passed, zone=zone).agrees_with(stored, now + passed)
