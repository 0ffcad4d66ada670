"""The param caller-id-lock: which device may log in (R1.4)."""

from dataclasses import replace

import pytest

from aaa.debit.compile import compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.params import BadParam, check
from aaa.domain.service import SERVER, Param
from tests.unit.debit.cases import SERVICE, USER, check_attribute, owing, policy

OWN = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"


@pytest.mark.parametrize(
    ("param", "mac", "lock", "learns"),
    [
        (None, None, "", False),
        (None, OWN, OWN, False),
        ("off", None, "", False),
        ("off", OWN, "", False),
        ("learn", None, "", True),
        ("learn", OWN, OWN, False),
        (OTHER, None, OTHER, False),
        (OTHER, OWN, OWN, False),
    ],
)
def test_r1_4_the_services_own_mac_goes_before_the_param_but_for_off(
    param: str | None, mac: str | None, lock: str, learns: bool
) -> None:
    found = policy(None, None, *([Param(SERVER, "caller-id-lock", param)] if param else []))
    compiled = compile(found, replace(SERVICE, mac=mac), owing(0), 0)
    assert (compiled.caller_lock, compiled.learns_caller) == (lock, learns)


def test_r1_2_a_stronger_scope_may_switch_it_off() -> None:
    found = policy(None, None, Param(SERVER, "caller-id-lock", "learn"), Param(USER, "caller-id-lock", "off"))
    assert not compile(found, SERVICE, owing(0), 0).learns_caller


def checked(value: object) -> object:
    return check("caller-id-lock", value, Definitions(), check_attribute, path="params[1].value")


def test_r1_4_the_lock_is_off_learn_or_a_mac_address() -> None:
    assert checked("off") == "off"
    assert checked("learn") == "learn"
    assert checked("020000000001") == OWN
    assert checked("02-00-00-00-00-01") == OWN


@pytest.mark.parametrize("value", ["on", "", "02:00:00:00:00", 7, True, ["learn"], {"mac": OWN}, "10.0.0.1"])
def test_r1_4_any_other_lock_is_refused_with_its_path(value: object) -> None:
    with pytest.raises(BadParam) as refused:
        checked(value)
    assert refused.value.path == "params[1].value"
    assert "must be off, learn or a MAC address" in refused.value.message
