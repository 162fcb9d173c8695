"""The low-entropy code tables: complete, of the published sizes, and with the published first words."""

from fractions import Fraction

import pytest

from lhic.ccsds123.low_entropy import low_entropy_codes

CODES = low_entropy_codes()

# Table 5-16: input symbol limit, threshold.  And for each code: words, longest input word, longest output word.
PUBLISHED = [
    (12, 303336, 105, 3, 13),
    (10, 225404, 144, 3, 13),
    (8, 166979, 118, 3, 12),
    (6, 128672, 120, 4, 13),
    (6, 95597, 92, 4, 13),
    (4, 69670, 116, 6, 15),
    (4, 50678, 101, 6, 15),
    (4, 34898, 81, 5, 18),
    (2, 23331, 88, 12, 16),
    (2, 14935, 106, 12, 17),
    (2, 9282, 103, 12, 18),
    (2, 5510, 127, 16, 20),
    (2, 3195, 109, 27, 21),
    (2, 1928, 145, 46, 18),
    (2, 1112, 256, 85, 17),
    (0, 408, 257, 256, 9),
]


@pytest.mark.parametrize("i", range(16))
def test_sizes(i):
    code = CODES[i]
    longest = max(map(len, code.words)), max(length for length, _ in code.words.values())
    assert (code.input_limit, code.threshold, len(code.words), *longest) == PUBLISHED[i]


@pytest.mark.parametrize("i", range(16))
def test_output_words_fill_the_code_space_and_none_ends_another(i):
    for words in (CODES[i].words, CODES[i].flush):
        assert sum(Fraction(1, 1 << length) for length, _ in words.values()) == 1
        texts = {format(bits, f"0{length}b") for length, bits in words.values()}
        assert len(texts) == len(words)
        assert not any(text[start:] in texts for text in texts for start in range(1, len(text)))


@pytest.mark.parametrize("i", range(16))
def test_every_prefix_goes_on_with_every_symbol(i):
    code = CODES[i]
    assert {word[:n] for word in code.words for n in range(len(word))} == set(code.flush)
    for prefix in code.flush:
        for symbol in range(code.escape + 1):
            assert ((*prefix, symbol) in code.words) != ((*prefix, symbol) in code.flush)


@pytest.mark.parametrize(
    "i, word, bits",
    [
        (0, (0, 0), "11001"),
        (0, (4, 4, 13), "011111111111"),
        (1, (10, 10), "1110111111111"),
        (5, (2, 1, 0, 0, 0, 5), "111111111111111"),
        (7, (1, 1, 2, 5), "111111111111111111"),
        (12, (0, 2, 0, 0, 3), "111111111111111111111"),
        (14, (0,) * 64 + (1,), "10101011"),
        (15, (0,) * 256, "0"),
        (15, (0, 0, 1), "010000001"),
    ],
)
def test_words_of_annex_b(i, word, bits):
    assert CODES[i].words[word] == (len(bits), int(bits, 2))


@pytest.mark.parametrize(
    "i, prefix, bits",
    [(0, (), "0"), (3, (2, 2, 1), "11111111"), (8, (0, 0, 0, 2, 1), "1111111111"), (15, (0,) * 255, "11111111")],
)
def test_flush_words_of_annex_b(i, prefix, bits):
    assert CODES[i].flush[prefix] == (len(bits), int(bits, 2))
