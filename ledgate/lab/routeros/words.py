"""Words and sentences of the RouterOS API as octets (RouterOS manual, API). Pure.

A word is its length in 1 to 5 octets, then its content. A sentence is some words and one of no length.
"""

from collections.abc import Iterable
from typing import Final

RESERVED: Final = 0xF8
"""From here on, the first octet of a length is a control byte, which nothing has a meaning for yet."""
MOST: Final = 1 << 20
"""The longest word that is taken: RouterOS has a limit too, and does not say which."""
MOST_WORDS: Final = 4096


class BadFraming(Exception):
    """Octets that are no words: whatever follows them has no meaning. The message says what is wrong."""


def encode_length(length: int) -> bytes:
    """A word's length as octets. Raises ValueError outside 0..2**32-1."""
    if length < 0x80:
        return length.to_bytes(1, "big")
    if length < 0x4000:
        return (length | 0x8000).to_bytes(2, "big")
    if length < 0x200000:
        return (length | 0xC00000).to_bytes(3, "big")
    if length < 0x10000000:
        return (length | 0xE0000000).to_bytes(4, "big")
    if length < 1 << 32:
        return b"\xf0" + length.to_bytes(4, "big")
    raise ValueError(f"a word of {length} octets is too long")


def encode_sentence(words: Iterable[str]) -> bytes:
    """A sentence as octets. Text that came in as no UTF-8 (see `Decoder`) goes out as it came."""
    out = bytearray()
    for word in words:
        octets = word.encode("utf-8", "surrogateescape")
        out += encode_length(len(octets))
        out += octets
    out.append(0)
    return bytes(out)


def decode_length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """The length that begins at `at` and where its word begins; None if more octets are needed. Raises BadFraming."""
    if at >= len(data):
        return None
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first >= RESERVED:
        raise BadFraming(f"control byte 0x{first:02x} is reserved")
    if first < 0xC0:
        width, mask = 2, 0x3FFF
    elif first < 0xE0:
        width, mask = 3, 0x1FFFFF
    elif first < 0xF0:
        width, mask = 4, 0x0FFFFFFF
    else:
        width, mask = 5, 0xFFFFFFFF
    end = at + width
    if end > len(data):
        return None
    return int.from_bytes(data[at:end], "big") & mask, end


class Decoder:
    """Takes octets as they come and gives whole sentences. Empty sentences are left out, as the manual says.

    Words become text by UTF-8; octets that are none are kept as surrogates, so that `encode_sentence` gives them back
    (clients also send Windows code pages).
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._data = bytearray()
        self._words: list[str] = []

    def feed(self, data: bytes) -> list[list[str]]:
        """The sentences that are complete with these octets. Raises BadFraming; then nothing more can be read."""
        self._data += data
        sentences: list[list[str]] = []
        at = 0
        while (found := decode_length(self._data, at)) is not None:
            length, start = found
            if length > self.most:
                raise BadFraming(f"a word of {length} octets is too long")
            if start + length > len(self._data):
                break
            at = start + length
            if length:
                self._words.append(self._data[start:at].decode("utf-8", "surrogateescape"))
                if len(self._words) > MOST_WORDS:
                    raise BadFraming(f"a sentence of more than {MOST_WORDS} words is too long")
            elif self._words:
                sentences.append(self._words)
                self._words = []
        del self._data[:at]
        return sentences
