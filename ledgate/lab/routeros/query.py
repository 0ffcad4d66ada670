"""Query words of the API's print (RouterOS manual, API, Queries). Pure.

A query is carried out for each item on a stack of truth values, beneath which there is no end of true ones. The item is
taken if no value on the stack is false in the end.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ledgate.lab.routeros.trap import ARGUMENT, Trap

Bucket = tuple[str, str]
"""A property and the value it must have."""

_HAS: Final = 0
_HAS_NOT: Final = 1
_EQUAL: Final = 2
_LESS: Final = 3
_GREATER: Final = 4
_NOT: Final = 5
_AND: Final = 6
_OR: Final = 7
_COPY: Final = 8
_KEEP: Final = 9
"""Leave nothing but the value at an index."""

Step = tuple[int, str, str, int]
"""What to do, the property, the value to compare with, and the index on the stack."""


class Query:
    """A query, ready to be asked of items. Raises Trap where a word is no query."""

    def __init__(self, words: Sequence[str]) -> None:
        self._steps: list[Step] = []
        for word in words:
            if word.startswith("?#"):
                self._steps += _operations(word[2:])
            else:
                self._steps.append(_comparison(word))

    def matches(self, item: Mapping[str, str]) -> bool:
        """Whether an item, its properties by name, is taken."""
        stack: list[bool] = []
        for kind, name, value, index in self._steps:
            if kind == _EQUAL:
                stack.append(item.get(name) == value)
            elif kind == _OR:
                top = _pop(stack)
                stack.append(_pop(stack) or top)
            elif kind == _AND:
                top = _pop(stack)
                stack.append(_pop(stack) and top)
            elif kind == _NOT:
                stack.append(not _pop(stack))
            elif kind == _HAS:
                stack.append(name in item)
            elif kind == _HAS_NOT:
                stack.append(name not in item)
            elif kind == _LESS:
                stack.append(name in item and _less(item[name], value))
            elif kind == _GREATER:
                stack.append(name in item and _less(value, item[name]))
            elif kind == _COPY:
                stack.append(_at(stack, index))
            else:
                stack = [_at(stack, index)]
        return all(stack)

    def buckets(self, indexed: frozenset[str]) -> frozenset[Bucket] | None:
        """Where to look: whatever matches has one of these values of an indexed property. None: it may be anywhere.

        So a query for one list, or for 64 addresses joined by `|`, need not ask every item.
        """
        stack: list[frozenset[Bucket] | None] = []
        for kind, name, value, index in self._steps:
            if kind == _EQUAL:
                stack.append(frozenset([(name, value)]) if name in indexed else None)
            elif kind == _OR:
                one, other = _pop_bucket(stack), _pop_bucket(stack)
                stack.append(None if one is None or other is None else one | other)
            elif kind == _AND:
                stack.append(_narrower(_pop_bucket(stack), _pop_bucket(stack)))
            elif kind == _NOT:
                _pop_bucket(stack)
                stack.append(None)
            elif kind == _COPY:
                stack.append(_bucket_at(stack, index))
            elif kind == _KEEP:
                stack = [_bucket_at(stack, index)]
            else:
                stack.append(None)
        found: frozenset[Bucket] | None = None
        for buckets in stack:
            found = _narrower(found, buckets)
        return found


def _comparison(word: str) -> Step:
    text = word[1:]
    if text[:1] in ("<", ">"):
        name, equals, value = text[1:].partition("=")
        if not equals or not name:
            raise Trap(f"invalid query word {word}", ARGUMENT)
        return (_LESS if text[0] == "<" else _GREATER), name, value, 0
    if text.startswith("-") and len(text) > 1:
        return _HAS_NOT, text[1:], "", 0
    name, equals, value = text.removeprefix("=").partition("=")
    if not name:
        raise Trap(f"invalid query word {word}", ARGUMENT)
    return (_EQUAL, name, value, 0) if equals else (_HAS, name, "", 0)


def _operations(text: str) -> list[Step]:
    """Digits are an index: before another character it copies that value to the top, at the end it keeps only that. A
    dot does nothing after an index, and copies the top after anything else.
    """
    steps: list[Step] = []
    at = 0
    after_index = False
    while at < len(text):
        end = at
        while end < len(text) and text[end] in "0123456789":
            end += 1
        if end > at:
            steps.append((_KEEP if end == len(text) else _COPY, "", "", int(text[at:end])))
            at, after_index = end, True
            continue
        operation = text[at]
        if operation == ".":
            if not after_index:
                steps.append((_COPY, "", "", 0))
        elif operation in _OPERATIONS:
            steps.append((_OPERATIONS[operation], "", "", 0))
        else:
            raise Trap(f"invalid query word ?#{text}", ARGUMENT)
        at, after_index = at + 1, False
    return steps


_OPERATIONS: Final = {"!": _NOT, "&": _AND, "|": _OR}


def _pop(stack: list[bool]) -> bool:
    return stack.pop() if stack else True


def _at(stack: list[bool], index: int) -> bool:
    return stack[-1 - index] if index < len(stack) else True


def _pop_bucket(stack: list[frozenset[Bucket] | None]) -> frozenset[Bucket] | None:
    return stack.pop() if stack else None


def _bucket_at(stack: list[frozenset[Bucket] | None], index: int) -> frozenset[Bucket] | None:
    return stack[-1 - index] if index < len(stack) else None


def _narrower(one: frozenset[Bucket] | None, other: frozenset[Bucket] | None) -> frozenset[Bucket] | None:
    if one is None or (other is not None and len(other) < len(one)):
        return other
    return one


def _less(one: str, other: str) -> bool:
    """Numbers by size, all else by its letters."""
    if one.isascii() and other.isascii() and one.isdigit() and other.isdigit():
        return int(one) < int(other)
    return one < other
