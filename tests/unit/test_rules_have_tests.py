"""Every rule of docs/rules.md has tests that carry its number, but for those it says are not built yet."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "rules.md"
LAST = (5, 9, 4, 11, 6, 3, 8, 5)
"""The last number of each chapter: numbers are never given anew, so none may go."""
NOT_BUILT = "\n## Not built yet\n"

Number = tuple[int, int]


def told() -> list[Number]:
    """The numbers of the rules in docs/rules.md, in their order."""
    return _numbers(r"^\* \*\*R(\d+)\.(\d+)\*\* ", RULES.read_text().partition(NOT_BUILT)[0])


def not_built() -> list[Number]:
    """The numbers that docs/rules.md lists as not built yet, in their order."""
    return _numbers(r"\bR(\d+)\.(\d+)\b", RULES.read_text().partition(NOT_BUILT)[2])


def carried() -> dict[Number, str]:
    """Every number that the name of a test carries (`test_r4_6_…` has R4.6), and such a name."""
    return {
        number: f"{path.relative_to(ROOT)}::{name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in _tests(path)
        for number in _carried(name)
    }


def _carried(name: str) -> list[Number]:
    return _numbers(r"(?<![^_])r(\d+)_(\d+)(?![^_])", name)


def _tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def _numbers(pattern: str, text: str) -> list[Number]:
    return [(int(chapter), int(rule)) for chapter, rule in re.findall(pattern, text, re.MULTILINE)]


def _spelled(numbers: set[Number]) -> list[str]:
    return [f"R{chapter}.{rule}" for chapter, rule in sorted(numbers)]


def test_every_rule_is_told_once_and_in_order() -> None:
    assert told() == [(chapter, rule) for chapter, last in enumerate(LAST, 1) for rule in range(1, last + 1)]


def test_what_is_not_built_is_listed_in_order_and_is_a_rule() -> None:
    assert not_built() == sorted(set(not_built()))
    assert _spelled(set(not_built()) - set(told())) == []


def test_every_rule_that_is_built_has_a_test() -> None:
    assert _spelled(set(told()) - set(not_built()) - carried().keys()) == []


def test_no_rule_that_is_not_built_has_a_test() -> None:
    """Once it has one, take its number out of the list in docs/rules.md."""
    found = carried()
    assert {number: found[number] for number in not_built() if number in found} == {}


def test_every_number_that_a_test_carries_is_a_rule() -> None:
    assert {number: name for number, name in carried().items() if number not in told()} == {}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_r4_6_what", [(4, 6)]),
        ("test_r4_10", [(4, 10)]),
        ("test_r1_2_r1_3_agree", [(1, 2), (1, 3)]),
        ("test_rfc2865_7_1_ping", []),
        ("test_r2_figures", []),
    ],
)
def test_numbers_are_read_from_names(name: str, numbers: list[Number]) -> None:
    assert _carried(name) == numbers
