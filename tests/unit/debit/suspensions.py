"""Drawn suspensions, and an evaluator of them that works without windows: is one open at this instant?"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from aaa.domain.suspension import REASONS, BadSuspension, Repeat, Suspension
from tests.unit.debit.cases import DAY

ZONES = ("Europe/Prague", "Asia/Tehran", "America/New_York", "Australia/Lord_Howe")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def at(text: str) -> int:
    """UTC microseconds of an ISO 8601 instant."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


# Around days on which clocks change, months end and a leap day comes; any time of the day.
DAYS = [
    date(2024, 2, 28),
    date(2024, 2, 29),
    date(2025, 1, 31),
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2026, 3, 8),
]
instants = st.builds(
    lambda day, shift, second: at(f"{day}T00:00:00+00:00") + shift * DAY + second * 1_000_000,
    st.sampled_from(DAYS),
    st.integers(-3, 3),
    st.sampled_from((0, 3_600, 5_400, 20_000, 86_399)),
)


@st.composite
def drawn(draw: st.DrawFn) -> Suspension:
    reason, repeat = draw(st.sampled_from(REASONS)), draw(st.sampled_from(Repeat))
    if repeat is Repeat.NONE:
        start, end = draw(st.none() | instants), draw(st.none() | instants)
        if start is not None and end is not None and end <= start:
            start, end = end, start + 1
    else:
        start = draw(instants)
        longest = {"weekly": 7, "monthly": 31, "yearly": 366}[repeat]
        end = start + draw(st.sampled_from((1, DAY // 3, DAY, 6 * DAY + 5, longest * DAY)))
        end = min(end, start + longest * DAY)
    try:
        return Suspension(reason, start, end, repeat)
    except BadSuspension as error:
        raise AssertionError(f"{start} to {end}: {error}") from error


lists = st.lists(drawn(), max_size=4).map(tuple)


def wall(instant: int, zone: str) -> datetime:
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def instant(local: datetime, zone: str) -> int:
    """The first instant at which the clock of `zone` shows `local` or later, found by looking at every offset."""
    universal = local.replace(tzinfo=UTC)
    around = [universal + quarters * QUARTER for quarters in range(-4 * 15, 4 * 15)]
    offsets = {moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0) for moment in around}
    shown = [at((universal - offset).isoformat()) for offset in offsets]
    exact = [one for one in shown if wall(one, zone) == local]
    if exact:
        return min(exact)
    midnight = universal.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    ticks = [at((midnight + number * QUARTER).isoformat()) for number in range(4 * 24 * 3)]
    return min(one for one in ticks if wall(one, zone) >= local)


def later(local: datetime, repeat: str, number: int) -> datetime:
    """A local time `number` intervals on; a day that its month does not have gives way to the one before."""
    if repeat == "weekly":
        return local + number * timedelta(days=7)
    year, month, day = local.year, local.month, local.day
    for _ in range(number * (12 if repeat == "yearly" else 1)):
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    while True:
        try:
            return local.replace(year=year, month=month, day=day)
        except ValueError:
            day -= 1


def began(one: Suspension, zone: str, instant_asked: int) -> int | None:
    """When the window of this suspension that is open at an instant began, -2**70 for an open FROM; None: none is."""
    if one.repeat == "none":
        opened = -(2**70) if one.start is None else one.start
        return opened if opened <= instant_asked and (one.end is None or instant_asked < one.end) else None
    assert one.start is not None and one.end is not None
    found = []
    for number in range(200):
        start = instant(later(wall(one.start, zone), one.repeat, number), zone) if number else one.start
        end = instant(later(wall(one.end, zone), one.repeat, number), zone) if number else one.end
        if start <= instant_asked < end:
            found.append(start)
        if start > instant_asked:
            break
    return min(found, default=None)


def deciding(suspensions: tuple[Suspension, ...], zone: str, instant_asked: int) -> tuple[int, Suspension] | None:
    """The open window that began first and its suspension, the first of the list among equals; None: none is open."""
    opened = [(began(one, zone, instant_asked), one) for one in suspensions]
    return min([(start, one) for start, one in opened if start is not None], key=lambda found: found[0], default=None)
