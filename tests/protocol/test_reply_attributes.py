"""What a plan may send in an Access-Accept, by the RFCs' tables of attributes."""

import pytest

from aaa.radius import dictionary
from aaa.radius.attributes import InvalidAttribute

NAMES = dictionary.load()
BY_NUMBER = {one.number: name for name in NAMES.names() if not (one := NAMES.attribute(name)).vendor}


def refused(numbers: set[int]) -> set[int]:
    """Those of these that no plan may send."""
    found = set()
    for number in numbers & BY_NUMBER.keys():
        try:
            NAMES.check_name(BY_NUMBER[number])
        except InvalidAttribute:
            found.add(number)
    return found


def test_rfc2865_5_44_an_accept_has_what_the_table_allows() -> None:
    none = {2, 3, 4, 5, 30, 31, 32, 60, 61}
    ours = {1, 6, 7, 24, 25, 33}  # allowed there, but not for a plan to say
    assert refused(set(range(1, 40)) | {60, 61, 62, 63}) == none | ours


def test_rfc2866_5_13_accounting_attributes_are_in_no_accept() -> None:
    assert refused(set(range(40, 52))) == set(range(40, 52))


def test_rfc2869_5_19_an_accept_has_what_the_table_allows() -> None:
    none = {52, 53, 55, 70, 73, 74, 75, 76, 77, 87}
    ours = {79, 80}
    assert refused({52, 53, 55, *range(70, 81), 84, 85, 87, 88}) == none | ours


def test_rfc3162_3_an_accept_has_what_the_table_allows() -> None:
    assert refused(set(range(95, 101))) == {95}


def test_rfc5176_3_6_error_cause_is_in_no_accept() -> None:
    assert refused({101}) == {101}


@pytest.mark.parametrize("name", ["NAS-IP-Address", "Acct-Session-Id", "Calling-Station-Id", "MS-CHAP-Challenge"])
def test_a_refusal_says_why(name: str) -> None:
    with pytest.raises(InvalidAttribute, match=f"^{name}: has no place in an Access-Accept$"):
        NAMES.check_name(name)
