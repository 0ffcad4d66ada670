"""In which order live sessions are told of changes: whoever gets more comes first. Pure."""

from typing import Final

from aaa.domain.timeline import Verdict

LIFT: Final = 0
NEITHER: Final = 1
CUT: Final = 2
RANKS: Final = (LIFT, NEITHER, CUT)


def rank(has: int | None, wanted: int, *, listed: bool = False) -> int:
    """Of a session that has verdict `has` (None: nobody knows) and is to have `wanted` (aaa.domain.timeline.Verdict).
    One that is `listed` on its router, and allowed, may come off a list.
    """
    if has is not None and has != wanted:
        return LIFT if wanted < has else CUT
    return LIFT if listed and wanted == Verdict.ALLOW else NEITHER
