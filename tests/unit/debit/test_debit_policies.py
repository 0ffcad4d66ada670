"""SuspendPolicy and OverduePolicy from JSON and back, in ISPadmin's keys and their English names (R4.5, R4.6, R5.1)."""

import pytest

from aaa.debit.controls.definitions import KINDS, OVERDUE_POLICY, SUSPEND_POLICY, Control
from aaa.debit.controls.fields import BadControl
from aaa.debit.controls.overdue_policy import OverduePolicy, overdue_policy
from aaa.debit.controls.suspend_policy import SuspendPolicy, suspend_policy
from tests.unit.debit.cases import check_attribute

CZECH = {
    "pozastavit_neplatice": 1,
    "pozastavit_po_splatnosti": 10,
    "pozastavit_neplatice_min_castka": 39_900,
    "match": "any",
}
ENGLISH = {"suspend_non_payers": 1, "suspend_days_after_due": 10, "suspend_min_amount": 39_900, "match": "any"}
REMINDS = {
    "remind_pay": 1,
    "remind_after_pay_day": 3,
    "remind_time": 2,
    "remind_unaccepted_pay": 1000,
    "overdue_https": "reject",
}


def read(kind: str, value: object) -> Control:
    return KINDS[kind].read("x", value, check_attribute, "policies[2]")


def test_r4_5_ispadmin_s_keys_and_their_english_names_say_the_same() -> None:
    wanted = SuspendPolicy("x", True, 10, 39_900, "any")
    assert suspend_policy("x", CZECH) == suspend_policy("x", ENGLISH) == wanted
    assert wanted.to_json() == CZECH
    assert suspend_policy("x", wanted.to_json()) == wanted


@pytest.mark.parametrize("value", [{}, dict.fromkeys(CZECH), dict.fromkeys(ENGLISH)])
def test_r4_5_absent_and_null_are_off_fourteen_days_and_no_amount(value: object) -> None:
    found = suspend_policy("x", value)
    assert found == SuspendPolicy("x", False, 14, None, "all")
    assert suspend_policy("x", found.to_json()) == found


def test_r4_5_no_days_and_no_amount_are_not_the_defaults() -> None:
    found = suspend_policy("x", {"pozastavit_po_splatnosti": 0, "pozastavit_neplatice_min_castka": 0})
    assert (found.days, found.least) == (0, 0)
    assert suspend_policy("x", found.to_json()) == found


def test_r4_5_a_key_given_under_one_name_replaces_the_one_stored_under_the_other() -> None:
    merged = KINDS[SUSPEND_POLICY].merged(CZECH, {"suspend_days_after_due": 3, "suspend_min_amount": None})
    assert read(SUSPEND_POLICY, merged) == SuspendPolicy("x", True, 3, None, "any")
    assert read(SUSPEND_POLICY, KINDS[SUSPEND_POLICY].merged(CZECH, {})) == SuspendPolicy("x", True, 10, 39_900, "any")
    half = KINDS[SUSPEND_POLICY].merged(CZECH, {"pozastavit_neplatice": 0})
    assert read(SUSPEND_POLICY, half) == SuspendPolicy("x", False, 10, 39_900, "any")


def test_r5_1_an_overdue_policy_comes_back_from_its_json() -> None:
    found = overdue_policy("x", REMINDS)
    assert found == OverduePolicy("x", True, 3, 2, 1000, "reject")
    assert found.to_json() == REMINDS
    merged = KINDS[OVERDUE_POLICY].merged(REMINDS, {"remind_pay": 0, "overdue_https": None})
    assert read(OVERDUE_POLICY, merged) == OverduePolicy("x", False, 3, 2, 1000, "allow")


@pytest.mark.parametrize("value", [{}, dict.fromkeys(REMINDS)])
def test_r5_1_absent_and_null_do_not_remind(value: object) -> None:
    assert overdue_policy("x", value) == OverduePolicy("x", False, 0, 1, 0, "allow")


@pytest.mark.parametrize(
    ("kind", "value", "key", "message"),
    [
        (SUSPEND_POLICY, [], "", "must be an object"),
        (SUSPEND_POLICY, {"pozastavit": 1}, "pozastavit", "unknown key; known are pozastavit_neplatice, "),
        (SUSPEND_POLICY, {"pozastavit_neplatice": 2}, "pozastavit_neplatice", "must be 0 or 1"),
        (SUSPEND_POLICY, {"pozastavit_neplatice": "1"}, "pozastavit_neplatice", "must be 0 or 1"),
        (SUSPEND_POLICY, {"suspend_non_payers": 1.0}, "suspend_non_payers", "must be 0 or 1"),
        (SUSPEND_POLICY, {"suspend_non_payers": True}, "suspend_non_payers", "must be 0 or 1"),
        (SUSPEND_POLICY, {"suspend_non_payers": []}, "suspend_non_payers", "must be 0 or 1"),
        (SUSPEND_POLICY, {"pozastavit_po_splatnosti": -1}, "pozastavit_po_splatnosti", "must be an integer from 0 to"),
        (SUSPEND_POLICY, {"pozastavit_po_splatnosti": 3661}, "pozastavit_po_splatnosti", "must be an integer"),
        (SUSPEND_POLICY, {"suspend_days_after_due": 1.5}, "suspend_days_after_due", "must be an integer"),
        (SUSPEND_POLICY, {"suspend_days_after_due": True}, "suspend_days_after_due", "must be an integer"),
        (SUSPEND_POLICY, {"suspend_min_amount": -1}, "suspend_min_amount", "must be an integer"),
        (SUSPEND_POLICY, {"suspend_min_amount": 2**63}, "suspend_min_amount", "must be an integer"),
        (SUSPEND_POLICY, {"match": "both"}, "match", "must be all or any, not 'both'"),
        (SUSPEND_POLICY, {"match": ["all"]}, "match", "must be all or any"),
        (
            SUSPEND_POLICY,
            {"pozastavit_neplatice": 1, "suspend_non_payers": 1},
            "suspend_non_payers",
            "is the same as pozastavit_neplatice",
        ),
        (
            SUSPEND_POLICY,
            {"suspend_days_after_due": None, "pozastavit_po_splatnosti": 3},
            "pozastavit_po_splatnosti",
            "is the same as suspend_days_after_due",
        ),
        (OVERDUE_POLICY, "remind", "", "must be an object"),
        (OVERDUE_POLICY, {"remind": 1}, "remind", "unknown key; known are remind_pay, "),
        (OVERDUE_POLICY, {"remind_pay": False}, "remind_pay", "must be 0 or 1"),
        (OVERDUE_POLICY, {"remind_pay": "yes"}, "remind_pay", "must be 0 or 1"),
        (OVERDUE_POLICY, {"remind_after_pay_day": -1}, "remind_after_pay_day", "must be an integer from 0 to"),
        (OVERDUE_POLICY, {"remind_time": 0}, "remind_time", "must be an integer from 1 to"),
        (OVERDUE_POLICY, {"remind_unaccepted_pay": "10"}, "remind_unaccepted_pay", "must be an integer"),
        (OVERDUE_POLICY, {"overdue_https": "block"}, "overdue_https", "must be allow, reject or redirect"),
    ],
)
def test_r4_5_r5_1_a_bad_policy_is_refused_with_its_path(kind: str, value: object, key: str, message: str) -> None:
    with pytest.raises(BadControl) as caught:
        read(kind, value)
    assert caught.value.path == (f"policies[2].{key}" if key else "policies[2]")
    assert caught.value.message.startswith(message), caught.value.message
