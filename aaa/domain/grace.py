"""The grace between a verdict's end and the Session-Timeout that enforces it when every CoA is lost."""

from typing import Final

LEAST: Final = 30
MOST: Final = 90

_STEPS: Final = MOST - LEAST + 1
_SPREAD: Final = 2654435761  # 2**32 divided by the golden ratio: neighbouring ids land far apart


def grace(service_id: int) -> int:
    """Seconds from 30 to 90, always the same for a service and spread evenly over services.

    The engine acts first, at the verdict's end; the router's own Session-Timeout strikes this much later, not for all
    at once.
    """
    return LEAST + ((service_id * _SPREAD & 0xFFFFFFFF) * _STEPS >> 32)
