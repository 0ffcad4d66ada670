"""Queries of the RouterOS API (manual, API, Queries)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgate.lab.routeros.query import Query
from ledgate.lab.routeros.trap import Trap

INDEXED = frozenset(("a", "b"))
ITEMS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2", "10", "x"]), max_size=3)
COMPARISONS = st.tuples(
    st.sampled_from(["?", "?=", "?<", "?>"]), st.sampled_from("abc"), st.sampled_from(["1", "2", "x"])
)
WORDS = st.lists(
    st.one_of(
        COMPARISONS.map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}"),
        st.sampled_from(["?a", "?b", "?-a", "?-c"]),
        st.text("|&!.012", min_size=1, max_size=5).map("?#".__add__),
    ),
    max_size=7,
)


def naive(words: list[str], item: dict[str, str]) -> bool:
    """The manual's rules, read aloud."""
    stack = [True] * 60  # beneath lies no end of true values
    for word in words:
        if word.startswith("?#"):
            text = word[2:]
            while text:
                digits = text[: len(text) - len(text.lstrip("0123456789"))]
                if digits:
                    text = text[len(digits) :]
                    copied = stack[-1 - int(digits)] if int(digits) < len(stack) else True
                    stack = [*stack, copied] if text else [True] * 60 + [copied]
                    text = text.removeprefix(".")
                    continue
                operation, text = text[0], text[1:]
                if operation == ".":
                    stack.append(stack[-1])
                elif operation == "!":
                    stack[-1] = not stack[-1]
                else:
                    top, next_ = stack.pop(), stack.pop()
                    stack.append((top or next_) if operation == "|" else (top and next_))
                    stack.insert(0, True)
        elif word.startswith(("?<", "?>")):
            name, _, value = word[2:].partition("=")
            has = item.get(name)
            if has is None:
                stack.append(False)
            else:
                pair = (has, value) if word[1] == "<" else (value, has)
                stack.append(int(pair[0]) < int(pair[1]) if all(p.isdigit() for p in pair) else pair[0] < pair[1])
        elif word.startswith("?-"):
            stack.append(word[2:] not in item)
        elif "=" in word:
            name, _, value = word[1:].removeprefix("=").partition("=")
            stack.append(item.get(name) == value)
        else:
            stack.append(word[1:] in item)
    return False not in stack


@given(WORDS, ITEMS)
def test_a_query_takes_what_the_manual_says(words: list[str], item: dict[str, str]) -> None:
    assert Query(words).matches(item) == naive(words, item)


@given(WORDS, ITEMS)
def test_what_a_query_takes_is_where_it_says_to_look(words: list[str], item: dict[str, str]) -> None:
    query = Query(words)
    buckets = query.buckets(INDEXED)
    if buckets is not None and query.matches(item):
        assert any(item.get(name) == value for name, value in buckets)


@pytest.mark.parametrize(
    ("words", "looked"),
    [
        (["?list=x"], {("list", "x")}),
        (["?list=x", "?=comment=y"], {("list", "x")}),
        (["?list=x", "?list=y", "?#|"], {("list", "x"), ("list", "y")}),
        (["?list=x", "?list=y", "?#&"], {("list", "y")}),
        (["?list=x", "?comment=y", "?#|"], None),
        (["?list=x", "?#!"], None),
        ([], None),
    ],
)
def test_where_a_query_looks(words: list[str], looked: set[tuple[str, str]] | None) -> None:
    found = Query(words).buckets(frozenset(["list"]))
    assert found == looked or (found is not None and looked is not None and found <= {("list", "x"), ("list", "y")})


def test_the_examples_of_the_manual() -> None:
    ether, vlan, ppp = ({"type": kind} for kind in ("ether", "vlan", "ppp"))
    either = Query(["?type=ether", "?type=vlan", "?#|"])
    neither = Query(["?type=ether", "?type=vlan", "?#|!"])
    assert [either.matches(one) for one in (ether, vlan, ppp)] == [True, True, False]
    assert [neither.matches(one) for one in (ether, vlan, ppp)] == [False, False, True]
    commented = Query(["?>comment="])
    assert [commented.matches(one) for one in ({}, {"comment": ""}, {"comment": "x"})] == [False, False, True]


@pytest.mark.parametrize("word", ["?", "?=", "?<", "?<a", "?>=1", "?#x", "?#1~"])
def test_what_is_no_query_is_refused(word: str) -> None:
    with pytest.raises(Trap, match="invalid query word"):
        Query([word])
