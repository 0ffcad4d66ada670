"""Money always posts; of an account with many services only the cut waits, until it is confirmed (R8.4)."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from aaa import clock
from aaa.coa import boundaries
from aaa.commands import breaker, confirm
from aaa.commands.breaker import CutsHeld
from aaa.domain.instant import iso
from aaa.domain.settings import Settings
from aaa.domain.timeline import Cause, Verdict
from aaa.store.database import Database
from aaa.store.tables import access, enforcement, event, held_cut, service
from billing.commands import Posted, charge, pay
from ledgate import load
from tests.integration.command import Ledgate
from tests.integration.ledger import NOW, SEALER, example, make_live, put, ref, rows, subscriber, timeline_of

HOUR = 3_600_000_000
DAY = 24 * HOUR
NAMES = [f"line{number:02}" for number in range(25)]
TOO_MUCH = 900_000


def company(db: Database, count: int = len(NAMES), now: int = NOW) -> None:
    """A company whose 25 lines are on one account, or `count` of them."""
    put(db, example(subscribers=[subscriber(name) for name in NAMES]), now)
    account_id = ref(db, NAMES[0]).account_id
    with db.write() as conn:
        lines = service.update().where(service.c.username.in_(NAMES[:count]))
        conn.execute(lines.values(account_id=account_id))


def charged(db: Database, amount: int = TOO_MUCH, now: int = NOW) -> Posted:
    company_ref = ref(db, NAMES[0])
    return charge(db, company_ref, amount, due_at=now, override=True, actor="test", now=now)


def paid(db: Database, amount: int, now: int = NOW) -> Posted:
    return pay(db, ref(db, NAMES[0]), amount, external_id=str(now), actor="test", now=now)


def online(db: Database, now: int = NOW) -> int:
    return sum(timeline_of(db, name)[0].at(now).verdict is Verdict.ALLOW for name in NAMES)


@pytest.mark.parametrize("count, still_online", [(20, 5), (21, 25)])
def test_r8_4_a_charge_is_posted_and_more_than_twenty_go_on(database: Database, count: int, still_online: int) -> None:
    company(database, count)
    posted = charged(database)
    assert posted.after.debt == TOO_MUCH
    assert posted.held == (count if count > 20 else 0)
    assert online(database) == still_online
    assert len(rows(database, held_cut)) == posted.held


def test_r8_4_a_confirmed_number_cuts_them_and_tells_their_sessions(database: Database) -> None:
    company(database)
    make_live(database, NAMES[:2])
    posted = charged(database)
    assert rows(database, enforcement) == []
    account_id = ref(database, NAMES[0]).account_id
    for number in (None, 24, 26):
        with pytest.raises(CutsHeld) as held:
            confirm.confirm(database, account_id, number, actor="ana", now=NOW + HOUR)
        assert (held.value.preview.cut, held.value.preview.reached) == (25, 25)
    assert online(database) == 25
    assert confirm.confirm(database, account_id, posted.held, actor="ana", now=NOW + HOUR) == 25
    assert online(database, NOW + HOUR) == 0
    assert rows(database, held_cut) == []
    [told] = rows(database, event, event.c.kind == "confirm-cut")
    assert (told.actor, told.subject, told.after) == ("ana", f"account:{account_id}", {"services": 25})
    assert [(row.cause, row.event_id) for row in rows(database, enforcement)] == [("confirm-cut", told.id)] * 2
    assert confirm.confirm(database, account_id, None, actor="ana", now=NOW + HOUR) == 0


def test_r8_4_a_payment_ends_the_waiting(database: Database) -> None:
    company(database)
    charged(database)
    paid(database, TOO_MUCH)
    assert rows(database, held_cut) == [] and online(database) == 25
    assert charged(database, now=NOW + 2).held == 25  # and the next charge is looked at anew


def test_r8_4_a_payment_that_does_not_help_leaves_them_waiting_and_posts(database: Database) -> None:
    company(database)
    charged(database)
    assert paid(database, 1).after.debt == TOO_MUCH - 1
    assert len(rows(database, held_cut)) == 25 and online(database) == 25


def test_r8_4_neither_a_load_nor_the_horizon_cuts_who_waits(database: Database) -> None:
    company(database)
    charged(database)
    idle = {"params": [{"scope": "server", "name": "Idle-Timeout", "value": 60}]}
    assert load.preview(database, idle, SEALER, now=NOW).affected == []
    load.load(database, idle, SEALER, actor="test", now=NOW)
    assert len(rows(database, held_cut)) == 25 and online(database) == 25
    later = NOW + 40 * DAY
    for _ in range(3):
        boundaries.run(database, later)
    assert online(database, later) == 25
    with database.read() as conn:
        first = conn.execute(
            select(func.min(access.c.next_due)).where(access.c.service_id.in_(select(held_cut.c.service_id)))
        ).scalar_one()
    assert later + DAY < first  # the engine need not look again and again


def test_r8_4_a_suspension_by_hand_acts_though_the_account_waits(database: Database) -> None:
    company(database)
    charged(database)
    put(database, {"subscribers": [{"username": NAMES[3], "suspensions": [{"reason": "non_payer"}]}]})
    assert online(database) == 24
    reason = timeline_of(database, NAMES[3])[0].at(NOW).reason
    assert reason is not None and reason.cause == "suspended"
    assert confirm.confirm(database, ref(database, NAMES[0]).account_id, 24, actor="ana", now=NOW) == 24


def test_r8_4_r8_5_while_a_cut_waits_everything_but_money_acts(database: Database) -> None:
    company(database)
    charged(database)
    ends, suspended = NAMES[3], NAMES[4]
    window = {"reason": "profile1", "from": iso(NOW + HOUR), "to": iso(NOW + 3 * HOUR)}
    given = [
        {"username": ends, "active_to": iso(NOW + 2 * HOUR)},
        {"username": suspended, "suspensions": [window]},
    ]
    put(database, {"subscribers": given})
    assert len(rows(database, held_cut)) == 25 and online(database) == 25
    for name, cause, since in ((ends, Cause.EXPIRE, NOW + 2 * HOUR), (suspended, Cause.SUSPENDED, NOW + HOUR)):
        timeline = timeline_of(database, name)[0]
        before, then = timeline.at(since - 1), timeline.at(since)
        assert before.verdict is Verdict.ALLOW
        assert then.reason is not None and then.reason.cause is cause
    assert online(database, NOW + 4 * HOUR) == 24  # the suspension is over, the end is not
    was = {name: timeline_of(database, name)[0].segments for name in NAMES}
    paid(database, 1)
    assert {name: timeline_of(database, name)[0].segments for name in NAMES} == was


def test_r8_4_lifting_a_suspension_cuts_nobody_who_waits(database: Database) -> None:
    company(database)
    charged(database)
    for given in ([{"reason": "not_set"}], []):
        put(database, {"subscribers": [{"username": NAMES[3], "suspensions": given}]})
    assert len(rows(database, held_cut)) == 25 and online(database) == 25


def test_r8_4_the_limit_is_a_share_of_all(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "read_settings", lambda conn: Settings(cut_off_limit_percent=100))
    company(database)
    assert charged(database).held == 0  # 25 of 26: ali has an account of his own
    assert online(database) == 0


def test_r8_4_the_command_line_tells_what_waits_and_how_it_is_confirmed(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    ledgate = Ledgate(database_url, tmp_path / "state")
    company(database, now=clock.now())
    told = ledgate("charge", NAMES[0], str(TOO_MUCH), "--override")
    assert told == (
        f"charge of 900,000 IRR to {NAMES[0]} is posted: the debt is 900,000 IRR; "
        f"25 services are cut off only by: ledgate confirm {NAMES[0]} --yes-cut 25\n"
    )
    ledgate("pay", NAMES[0], "1")
    assert f"a cut waits for a confirmation (ledgate confirm {NAMES[7]})" in ledgate("explain", NAMES[7])
    assert ledgate.json("explain", NAMES[7])["held"] is True
    printed, line = ledgate.stops("confirm", NAMES[7])
    assert printed.startswith("25 of 26 services that are allowed now would be cut off")
    assert printed.endswith(f"ledgate confirm {NAMES[7]} --yes-cut 25\n")
    assert line.endswith("nothing was changed, confirm with --yes-cut 25")
    assert ledgate("confirm", NAMES[7], "--yes-cut", "25") == (
        f"25 services of the account of {NAMES[7]} are cut off\n"
    )
    assert ledgate("confirm", NAMES[7]) == f"nothing of {NAMES[7]} waits\n"
    assert "restrict because debt 899,999 IRR" in ledgate("explain", NAMES[7])
