"""What routers acknowledged and did not do, while somebody else works on the same sessions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa import clock
from aaa.clock import SECOND
from aaa.coa import proof
from aaa.coa.prover import Prover
from aaa.coa.wish import Outcome
from aaa.coa.wishes import Wishes
from aaa.radius.counters import Counters
from aaa.routeros.work import Kept, Work
from aaa.store import tables
from aaa.store.database import Database
from tests.integration.live_change import Live, scene


class _NoApi:
    def submit(self, token: int, nas_id: int, work: Work) -> None: ...

    def cancel(self, token: int) -> None: ...

    def finished(self) -> list[Kept]:
        return []


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as made:
        yield made


def test_who_has_a_session_in_hand_as_it_is_disproven_does_not_end_that(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    ali = live.session_row(live.log_in("ali"))
    now = clock.now()
    same = {"session_id": ali["id"], "cause": "payment"}
    wish = same | {"service_id": ali["service_id"], "wanted_version": 1, "requested_at": now, "not_before": now}
    told = same | {"rung": proof.DISCONNECT, "told_at": now - 60 * SECOND, "look_at": now}
    went_on = {"recorded_at": now + 30 * SECOND, "heard_at": now}
    with live.db.write() as conn:
        conn.execute(tables.enforcement.delete())
        conn.execute(tables.enforcement.insert().values(wish))
        conn.execute(tables.proof.insert().values(told))
        conn.execute(tables.session.update().where(tables.session.c.id == ali["id"]).values(went_on))
    wishes = Wishes(live.db, live.sealer)
    [in_hand] = wishes.claim(clock.now(), 1, ())
    Prover(live.db, _NoApi(), Counters()).turn(clock.now())
    assert [one["result"] for one in live.attempts()] == ["ineffective"]
    wishes.store([Outcome(in_hand)])
    [again] = wishes.claim(clock.now() + 60 * SECOND, 1, ())
    assert again.rung == proof.DISCONNECT and again.tries == 1
