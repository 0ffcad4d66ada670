"""Loading a file so that it cuts off nobody by mistake, and seeing beforehand what it would do (R8.4) (shell)."""

from aaa.commands import breaker
from aaa.store.database import Database
from aaa.store.seal import Sealer
from ledgate.load.apply import Counts, Progress, apply


def load(
    db: Database,
    document: object,
    sealer: Sealer,
    *,
    actor: str,
    now: int,
    confirmed: int | None = None,
    progress: Progress = lambda done: None,
    looked: breaker.Progress = lambda done, total: None,
) -> Counts:
    """Insert or update every object of `document` by name. Raises BadLoad, and then nothing was changed; likewise
    CutsHeld if too many services would be cut off, unless exactly so many are `confirmed`.

    `progress` is told how many more subscribers are done, `looked` how far the services that a job would compile have
    been looked at; that comes first, and then the subscribers once more.
    """
    guard = breaker.Guard(db, now, confirmed)
    while True:
        try:
            return apply(db, document, sealer, actor=actor, now=now, guard=guard, progress=progress)
        except breaker.Rehearsed as found:
            guard.learn(found.ahead, *breaker.foresee(db, found.ahead, now, looked))


def preview(
    db: Database,
    document: object,
    sealer: Sealer,
    *,
    now: int,
    progress: Progress = lambda done: None,
    looked: breaker.Progress = lambda done, total: None,
) -> breaker.Preview:
    """What loading `document` at `now` would do, and to whom; nothing is changed. Raises BadLoad."""
    guard = breaker.Guard(db, now, rehearsing=True)
    try:
        apply(db, document, sealer, actor="preview", now=now, guard=guard, progress=progress)
    except breaker.Rehearsed as found:
        return breaker.previewed(db, found.ahead, now, looked)
    raise AssertionError("a rehearsal is always rolled back")
