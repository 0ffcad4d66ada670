"""The ways to prove a password, as the param `allowed-methods` and access records name them."""

from collections.abc import Iterable
from typing import Final

# The numbers are stored in access records: never renumber.
BITS: Final[dict[str, int]] = {"pap": 1, "chap": 2, "mschap": 4, "mschapv2": 8}


def mask(methods: Iterable[str]) -> int:
    """A set of methods as one number; 0 for none of them."""
    found = 0
    for method in methods:
        found |= BITS[method]
    return found
