"""Logins while cuts are held, for the clock cannot be trusted (R8.4)."""

from aaa.domain.authorisation import unpack
from aaa.domain.grace import grace
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, Verdict, build
from aaa.radius.access import ACCEPT, REJECT, Answer
from aaa.radius.packet import CLASS, parse
from aaa.store.record import HOLD_LEASE
from tests.unit.radius.logins import DAY, HORIZON, NOW, PLAN, PPP, SECOND, World, told

EXPIRED = Reason(Cause.EXPIRE, (("active_to_at", NOW),), "user:ali")
END = NOW + DAY
LEASE = HOLD_LEASE // SECOND


def ends(first: Verdict, then: Verdict) -> Timeline:
    """`first` up to a day from now, and `then`."""
    return build([Segment(NOW - DAY, END, first, PLAN), Segment(END, HORIZON, then, PLAN, EXPIRED)])


def login(timeline: Timeline, now: int, since: int) -> Answer:
    world = World()
    world.add(timeline=timeline)
    world.access.held_since = since
    return world.login(now=now, more=PPP)


def timeout(answer: Answer) -> int:
    [seconds] = told(answer.reply)["Session-Timeout"]
    assert isinstance(seconds, int)
    return seconds


def test_r8_4_a_deadline_that_only_a_doubtful_clock_has_reached_cuts_nobody() -> None:
    timeline = ends(Verdict.ALLOW, Verdict.DENY)
    now = END + 3 * DAY
    assert login(timeline, now, 0).kind == REJECT
    answer = login(timeline, now, NOW)
    assert (answer.kind, answer.verdict, answer.cause) == (ACCEPT, Verdict.ALLOW, "")
    assert timeout(answer) == LEASE + grace(7)
    granted = parse(answer.reply).first[CLASS]
    found = unpack(granted)
    assert found is not None and found.end == (now + HOLD_LEASE) // SECOND


def test_r8_4_a_deadline_before_the_hold_acts() -> None:
    assert login(ends(Verdict.ALLOW, Verdict.DENY), END + DAY, END).kind == REJECT


def test_r8_4_a_deadline_ahead_is_told_as_it_is_until_it_is_near() -> None:
    timeline = ends(Verdict.ALLOW, Verdict.RESTRICT)
    assert timeout(login(timeline, NOW, NOW - 1)) == DAY // SECOND + grace(7)
    near = END - 60 * SECOND
    assert timeout(login(timeline, near, 0)) == 60 + grace(7)
    assert timeout(login(timeline, near, NOW)) == LEASE + grace(7)


def test_r8_4_lifting_is_served_as_it_comes() -> None:
    timeline = ends(Verdict.DENY, Verdict.ALLOW)
    assert login(timeline, END - 1, NOW).kind == REJECT
    assert login(timeline, END, NOW).kind == ACCEPT
    restricted = ends(Verdict.RESTRICT, Verdict.ALLOW)
    assert timeout(login(restricted, END - 60 * SECOND, NOW)) == 60 + grace(7)


def test_r8_4_a_clock_that_fell_back_takes_nobody_back_behind_a_lift() -> None:
    answer = login(ends(Verdict.DENY, Verdict.ALLOW), NOW, END + DAY)
    assert (answer.kind, answer.verdict) == (ACCEPT, Verdict.ALLOW)
