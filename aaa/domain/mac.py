"""MAC addresses in the seven spellings that RouterOS can send (`radius-mac-format`)."""

from typing import Final

_DROP: Final = str.maketrans("", "", ":-. ")
_HEX: Final = frozenset("0123456789ABCDEF")


def normalise(text: str) -> str | None:
    """`aa-bb-cc-dd-ee-ff`, `AABBCC:DDEEFF`, … -> `AA:BB:CC:DD:EE:FF`; None if it is no MAC address."""
    digits = text.translate(_DROP).upper()
    if len(digits) != 12 or not _HEX.issuperset(digits):
        return None
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
