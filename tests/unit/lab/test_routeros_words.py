"""Words and sentences of the RouterOS API (manual, API, Protocol)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgate.lab.routeros.words import MOST, BadFraming, Decoder, decode_length, encode_length, encode_sentence

BOUNDARIES = (0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0xFFFFFFF, 0x10000000, 0xFFFFFFFF)
WORDS = st.lists(st.text(min_size=1, max_size=300).filter(lambda word: word.isprintable()), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("length", "octets"),
    [
        (0x7F, "7f"),
        (0x80, "8080"),
        (0x3FFF, "bfff"),
        (0x4000, "c04000"),
        (0x1FFFFF, "dfffff"),
        (0x200000, "e0200000"),
        (0xFFFFFFF, "efffffff"),
        (0x10000000, "f010000000"),
    ],
)
def test_lengths_are_those_of_the_manual(length: int, octets: str) -> None:
    assert encode_length(length).hex() == octets


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_length_comes_back(length: int) -> None:
    octets = encode_length(length)
    assert decode_length(octets, 0) == (length, len(octets))
    assert all(decode_length(octets[:short], 0) is None for short in range(len(octets)))


@pytest.mark.parametrize("length", [-1, 1 << 32])
def test_no_other_length_has_octets(length: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        encode_length(length)


@pytest.mark.parametrize("size", [0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000])
def test_a_word_of_the_length_of_a_boundary_comes_back(size: int) -> None:
    word = "x" * size
    assert Decoder(most=1 << 22).feed(encode_sentence(["/a", word])) == [["/a", word]]


@given(st.lists(WORDS, max_size=4), st.data())
def test_sentences_come_back_however_they_are_cut(sentences: list[list[str]], data: st.DataObject) -> None:
    octets = b"".join(encode_sentence(words) for words in sentences)
    decoder, found, at = Decoder(), [], 0
    while at < len(octets):
        step = data.draw(st.integers(1, len(octets) - at))
        found += decoder.feed(octets[at : at + step])
        at += step
    assert found == sentences


@given(st.binary(min_size=1, max_size=200))
def test_words_that_are_no_utf8_go_out_as_they_came(word: bytes) -> None:
    octets = encode_length(len(word)) + word + b"\0"
    assert [encode_sentence(words) for words in Decoder().feed(octets)] == [octets]


def test_empty_sentences_are_left_out() -> None:
    assert Decoder().feed(b"\0\0\x02/a\0\0") == [["/a"]]


@pytest.mark.parametrize("first", range(0xF8, 0x100))
def test_control_bytes_are_refused(first: int) -> None:
    with pytest.raises(BadFraming, match="reserved"):
        Decoder().feed(bytes([first]) + bytes(5))


@given(st.binary(max_size=400))
def test_no_octets_bring_anything_else_than_sentences_or_bad_framing(octets: bytes) -> None:
    try:
        found = Decoder(most=4096).feed(octets)
    except BadFraming:
        return
    assert all(words and all(words) for words in found)


def test_a_word_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(BadFraming, match="too long"):
        Decoder().feed(encode_length(MOST + 1))


def test_a_sentence_without_an_end_is_refused() -> None:
    with pytest.raises(BadFraming, match="words"):
        Decoder().feed(b"\x01x" * 5000)
