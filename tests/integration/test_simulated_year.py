"""A year of a small town on a virtual clock, through the real store, against the naive evaluator.

The large one, with 5,000 people: `make soak S=year`. To repeat a run: `python -m tests.load --seed N year --people …`.
"""

import os
import random

from tests.load import year

PEOPLE, CHANGES, MASS_CHANGES = 60, 180, 14


def test_r8_1_r8_3_a_year_on_a_virtual_clock_agrees_with_the_naive_evaluator(sqlite_url: str) -> None:
    seed = 1 if "CI" in os.environ else random.SystemRandom().randrange(1 << 32)
    print(f"seed={seed}")
    with year.unhurried(sqlite_url) as database:
        tally = year.simulate(database, seed, PEOPLE, CHANGES, MASS_CHANGES)
    print(tally.told())
    assert sum(tally.happened.values()) == CHANGES + MASS_CHANGES
    assert {"allow", "restrict (debit)", "deny (expire)"} <= tally.causes.keys()
