"""200,000 mutants of signed requests against the processes of both ports: none accepted, none fatal, none uncounted."""

import random
from pathlib import Path

from sqlalchemy import func, select

from aaa.radius.packet import ACCESS_ACCEPT, ACCOUNTING_RESPONSE, parse
from aaa.store.database import open_database
from aaa.store.tables import nas_contact, session
from tests.integration.serving import Installation, document, installation, router, running, subscriber
from tests.load.mutants import LOGINS, RECORDS, attack, request

MUTANTS = 200_000
SEED = 2865
PROCESSES = {"auth": 2, "acct": 1}


def stored(made: Installation) -> int:
    """How many rows accounting has written."""
    database = open_database(made.database_url)
    try:
        with database.read() as conn:
            tables = (session, nas_contact)
            return sum(conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
    finally:
        database.close()


def test_200000_mutants_are_dropped_and_counted(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", auth_processes=2, login_lines=False, auth_log_rate=0)
    strict = router("mt1", "127.0.0.1", require_message_authenticator="yes")
    made.load(document(nas=[strict], subscribers=[subscriber("ali")]))
    with running(made, "replica", "auth", "acct"):
        pids = [made.pid(role, index) for role, count in PROCESSES.items() for index in range(count)]
        tally = attack(made, PROCESSES, MUTANTS, SEED)
        assert stored(made) == 0
        assert [made.pid(role, index) for role, count in PROCESSES.items() for index in range(count)] == pids
        # Unharmed they would have been taken, so the damage it was.
        chance = random.Random(SEED)
        for kind in LOGINS:
            assert parse(made.exchange(request(kind, 1, chance))).code == ACCESS_ACCEPT
        for kind in RECORDS:
            reply = made.exchange(request(kind, 1, chance), port=made.acct_port)
            assert parse(reply).code == ACCOUNTING_RESPONSE
        assert stored(made) > 0
    assert tally.kernel_drops == 0
    assert tally.counted["status"] == tally.replies == tally.probes
    assert sum(tally.drops.values()) == MUTANTS
    assert tally.counted.keys() == tally.drops.keys() | {"status"}
    assert tally.drops.keys() >= {
        "drop-authenticator-wrong",
        "drop-malformed-attribute-length",
        "drop-malformed-attribute-overrun",
        "drop-malformed-code",
        "drop-malformed-length",
        "drop-malformed-message-authenticator",
        "drop-malformed-truncated",
        "drop-message-authenticator-missing",
        "drop-message-authenticator-wrong",
        "drop-unexpected-code",
    }
