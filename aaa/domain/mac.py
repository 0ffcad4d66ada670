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


def spellings(name: bytes) -> list[bytes]:
    """The ways to write a MAC address that RouterOS knows (`radius-mac-format`), in capitals, then small letters.

    Empty if `name` is no MAC address.
    """
    if not 12 <= len(name) <= 17 or not name.isascii():
        return []
    normal = normalise(name.decode())
    if normal is None:
        return []
    pairs = normal.split(":")
    digits = "".join(pairs)
    upper = [
        normal,
        "-".join(pairs),
        " ".join(pairs),
        digits,
        f"{digits[:6]}:{digits[6:]}",
        f"{digits[:6]}-{digits[6:]}",
        f"{digits[:4]}:{digits[4:8]}:{digits[8:]}",
    ]
    return [spelling.encode() for spelling in upper] + [spelling.lower().encode() for spelling in upper]
