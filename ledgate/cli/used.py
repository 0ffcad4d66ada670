"""What a service has used in its billing period, for `ledgate explain`."""

from dataclasses import dataclass
from typing import Any

from aaa.debit.rules.case import Case
from aaa.debit.rules.fup import in_gigabytes
from aaa.domain.billing_period import period_of
from aaa.domain.local_day import local_day
from aaa.domain.usage import DOWNLOAD, SECONDS, UPLOAD, used


@dataclass(frozen=True, slots=True)
class Used:
    """Octets from and to the subscriber, and seconds online, as far as accounting has told; `gigabyte` in octets."""

    up: int
    down: int
    seconds: int
    gigabyte: int

    def to_json(self) -> dict[str, Any]:
        return {"up": self.up, "down": self.down, "seconds": self.seconds}

    def line(self) -> str:
        """The same for people."""
        down, up = in_gigabytes(self.down, self.gigabyte), in_gigabytes(self.up, self.gigabyte)
        return f"used so far: {down} down, {up} up, {in_hours(self.seconds)} online"


def in_hours(seconds: int) -> str:
    """Seconds as `201 h 14 min`."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min"


def used_so_far(case: Case) -> Used | None:
    """The use in the billing period that holds `case.now`; None if no FupPolicy is in force."""
    if case.policy.fup is None:
        return None
    first, following = period_of(local_day(case.now, case.service.timezone), case.service.billing_day)
    days = [one for one in case.usage if first <= one.day < following]
    return Used(used(UPLOAD, days), used(DOWNLOAD, days), used(SECONDS, days), case.policy.gigabyte)
