"""Params: their values, and which one counts (R1)."""

from itertools import product

import pytest
from hypothesis import given

from aaa.debit.controls.definitions import Definitions
from aaa.debit.params import BadParam, check, is_reply, require_currency, resolve
from aaa.debit.reply import BadValue
from aaa.domain.service import SERVER, Param, Scope, Status
from tests.unit.debit import cases
from tests.unit.debit.cases import SCOPES, USER, VISP

YES, NO, OFF = Status.PASSTHROUGH_YES, Status.PASSTHROUGH_NO, Status.DISABLED
KNOWN = Definitions(
    {"Home-Users": cases.control(currency="IRR"), "VIP": cases.control("VIP")}, {"garden": cases.rule()}
)

ROUTERS = ("mt1", "mt2")


# Rows: status on server, visp and user (None: not set there) and the scope whose value counts.
@pytest.mark.parametrize(
    ("server", "visp", "user", "winner"),
    [
        (None, None, None, None),
        (YES, None, None, SERVER),
        (NO, None, None, SERVER),
        (OFF, None, None, None),
        (YES, YES, None, VISP),
        (NO, YES, None, SERVER),
        (OFF, YES, None, VISP),
        (YES, NO, None, VISP),
        (YES, OFF, None, SERVER),
        (YES, YES, YES, USER),
        (YES, NO, YES, VISP),
        (NO, NO, NO, SERVER),
        (YES, OFF, NO, USER),
        (NO, OFF, YES, SERVER),
        (OFF, NO, YES, VISP),
        (YES, YES, OFF, VISP),
        (OFF, OFF, OFF, None),
        (OFF, OFF, NO, USER),
    ],
)
def test_r1_3_status_matrix(
    server: Status | None, visp: Status | None, user: Status | None, winner: Scope | None
) -> None:
    given_params = [
        Param(scope, "FinishRule", str(scope), status)
        for scope, status in ((USER, user), (SERVER, server), (VISP, visp))
        if status is not None
    ]
    found = resolve(given_params).get("FinishRule")
    assert (found.scope if found else None) == winner
    assert (found.value if found else None) == (str(winner) if winner else None)


def test_r1_2_the_nearest_to_the_user_wins_on_all_seven_levels() -> None:
    for count in range(1, len(SCOPES) + 1):
        found = resolve([Param(scope, "Idle-Timeout", number) for number, scope in enumerate(SCOPES[:count])])
        assert found["Idle-Timeout"].scope == SCOPES[count - 1]
        assert found["Idle-Timeout"].value == count - 1


def test_r1_3_first_final_one_of_all_combinations_on_all_levels_wins() -> None:
    for statuses in product((YES, NO, OFF), repeat=4):
        found = resolve([Param(scope, "x-y", 0, status) for scope, status in zip(SCOPES[3:], statuses, strict=True)])
        walk = [(scope, status) for scope, status in zip(SCOPES[3:], statuses, strict=True) if status is not OFF]
        finals = [scope for scope, status in walk if status is NO]
        expected = finals[0] if finals else walk[-1][0] if walk else None
        assert (found["x-y"].scope if found else None) == expected


def test_r1_5_an_effective_value_names_what_it_hid_weakest_first_without_disabled_ones() -> None:
    server, visp, off = Param(SERVER, "x-y", 1), Param(VISP, "x-y", 2, NO), Param(SCOPES[4], "x-y", 3, OFF)
    user = Param(USER, "x-y", 4)
    found = resolve([user, off, visp, server])["x-y"]
    assert (found.name, found.value, found.scope, found.hidden) == ("x-y", 2, VISP, (server, user))


def test_r1_5_an_effective_value_is_told_with_its_scope_and_what_it_hid() -> None:
    server, visp = Param(SERVER, "Mikrotik-Group", "گروه"), Param(VISP, "Mikrotik-Group", "b")
    found = resolve([server, visp])["Mikrotik-Group"]
    assert found.line() == 'Mikrotik-Group = "b" from visp:tehran, hides "گروه" of server'
    assert found.to_json() == {
        "name": "Mikrotik-Group",
        "group": "reply",
        "value": "b",
        "scope": "visp:tehran",
        "status": "passthrough-yes",
        "hides": [{"value": "گروه", "scope": "server", "status": "passthrough-yes"}],
    }
    final = resolve([Param(SERVER, "simultaneous-use", 1, NO), Param(USER, "simultaneous-use", 2, NO)])
    assert final["simultaneous-use"].line() == "simultaneous-use = 1 from server (final), hides 2 of user:ali"
    assert [final["simultaneous-use"].to_json()[key] for key in ("group", "status")] == ["auth", "passthrough-no"]
    alone = resolve([Param(USER, "Framed-Route", ("10.0.0.0/8", "10.1.0.0/16"))])["Framed-Route"]
    assert alone.line() == 'Framed-Route = ["10.0.0.0/8", "10.1.0.0/16"] from user:ali'


def test_r1_2_names_do_not_touch_each_other() -> None:
    found = resolve([Param(SERVER, "a-b", 1, NO), Param(USER, "c-d", 2)])
    assert {name: one.value for name, one in found.items()} == {"a-b": 1, "c-d": 2}


@given(cases.params())
def test_r1_2_r1_3_agree_with_the_oracle_in_any_order(params: tuple[Param, ...]) -> None:
    found = resolve(params)
    for name in ("DebitControl", "FinishRule"):
        assert (found[name].value if name in found else None) == cases.value_of(name, params)
        if name in found:
            alive = [one for one in params if one.name == name and one.status is not OFF]
            assert len(found[name].hidden) == len(alive) - 1


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("simultaneous-use", 1, 1),
        ("simultaneous-use", 65_535, 65_535),
        ("allowed-methods", ["mschapv2", "chap"], ("mschapv2", "chap")),
        ("allowed-nas", ["mt2"], ("mt2",)),
        ("DebitControl", "VIP", "VIP"),
        ("FinishRule", "garden", "garden"),
        ("Idle-Timeout", 60, 60),
        ("Framed-Route", ["10.0.0.0/8", "192.168.0.0/16"], ("10.0.0.0/8", "192.168.0.0/16")),
    ],
)
def test_r1_4_good_values(name: str, value: object, stored: object) -> None:
    assert check(name, value, KNOWN, cases.check_attribute, routers=ROUTERS) == stored


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("simultaneous-use", 0, "must be an integer from 1"),
        ("simultaneous-use", 65_536, "must be an integer from 1"),
        ("simultaneous-use", True, "must be an integer from 1"),
        ("simultaneous-use", "2", "must be an integer from 1"),
        ("simultaneous-use", None, "must be an integer from 1"),
        ("DebitControl", "Nobody", "no DebitControl called 'Nobody'"),
        ("DebitControl", ["VIP"], "no DebitControl called"),
        ("FinishRule", "VIP", "no FinishRule called 'VIP'"),
        ("finishrule", "garden", "finishrule: no such attribute"),
        ("Idle-Timeout", 1.5, "Idle-Timeout: must be text or a number"),
        ("Framed-IP-Address", ["192.0.2.1"], "must be one value"),
        ("Framed-Route", [], "must not be empty"),
    ],
)
def test_r1_4_bad_values_are_refused_with_their_path(name: str, value: object, message: str) -> None:
    with pytest.raises(BadParam, match=message) as caught:
        check(name, value, KNOWN, cases.check_attribute, path="params[2].value")
    assert caught.value.path == "params[2].value"
    assert str(caught.value).startswith("params[2].value: ")
    assert isinstance(caught.value, BadValue)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("allowed-methods", [], "value: allowed-methods must be a list of 1 to 4 names"),
        ("allowed-methods", "pap", "value: allowed-methods must be a list of 1 to 4 names"),
        ("allowed-methods", ["pap", "eap"], r"value\[1\]: must be one of pap, chap, mschap, mschapv2, not 'eap'"),
        ("allowed-methods", ["PAP"], r"value\[0\]: must be one of .*, not 'PAP'"),
        ("allowed-methods", ["pap", "pap"], r"value\[1\]: 'pap' is there twice"),
        ("allowed-nas", [], "value: allowed-nas must be a list of 1 to 200 names"),
        ("allowed-nas", ["mt1", "mt3"], r"value\[1\]: there is no NAS called 'mt3'"),
        ("allowed-nas", [1], r"value\[0\]: there is no NAS called 1"),
        ("allowed-nas", [["mt1"]], r"value\[0\]: there is no NAS called"),
        ("allowed-nas", ["mt1"] * 201, "value: allowed-nas must be a list of 1 to 200 names"),
    ],
)
def test_r1_4_a_bad_list_is_refused_with_the_path_of_its_item(name: str, value: object, message: str) -> None:
    with pytest.raises(BadParam, match=f"^{message}"):
        check(name, value, KNOWN, cases.check_attribute, routers=ROUTERS)


def test_r1_4_groups() -> None:
    assert [is_reply(name) for name in ("Framed-Pool", "simultaneous-use", "DebitControl", "FinishRule")] == [
        True,
        False,
        False,
        False,
    ]


def test_r2_8_a_control_with_a_currency_is_refused_where_a_visp_has_another() -> None:
    require_currency(KNOWN.controls["Home-Users"], "IRR", "value")
    require_currency(KNOWN.controls["VIP"], "CZK", "value")
    with pytest.raises(BadParam, match=r"^value: DebitControl Home-Users counts in IRR, the VISP brno in CZK$"):
        require_currency(KNOWN.controls["Home-Users"], "CZK", "value", "the VISP brno")
