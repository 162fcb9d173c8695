"""The 16 variable-to-variable length codes of the hybrid coder (CCSDS 123.0-B-2, 5.4.3.3, Annex B).

The standard prints some 2,800 code words.  All of them are canonical: reversed, the words of one code are a
canonical prefix code over the input words sorted by word length, then by input length, then by input symbols.
So `low_entropy_codes.txt` holds word lengths only, and this file makes the words.  That the lengths were
copied correctly is shown by tests: each code is complete (its Kraft sum is exactly 1), its input words are a
complete prefix set, and reference streams use every code.

Symbols are integers 0 .. input_limit; ``input_limit + 1`` is the escape symbol, X in the standard.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

N_CODES = 16
THRESHOLD_BITS = 14  # code i is used while Sigma * 2^14 < Gamma * threshold_i
TABLE_FILE = Path(__file__).with_name("low_entropy_codes.txt")

Word = tuple[int, int]  # length in bits, and the bits, first one most significant


@dataclass(frozen=True)
class LowEntropyCode:
    """One code: what it accepts, when it is used, and its words.

    Attributes
    ----------
    input_limit : int
        L_i, largest mapped quantizer index with a symbol of its own.
    threshold : int
        T_i.
    words : dict
        Complete input word (tuple of symbols) -> output word.
    flush : dict
        Incomplete input word, the empty one included -> word that ends the image.
    """

    input_limit: int
    threshold: int
    words: dict[tuple[int, ...], Word]
    flush: dict[tuple[int, ...], Word]

    @property
    def escape(self) -> int:
        return self.input_limit + 1


@cache
def low_entropy_codes() -> tuple[LowEntropyCode, ...]:
    """The codes 0..15 of the standard."""
    codes = []
    for section in TABLE_FILE.read_text(encoding="ascii").split("\ncode ")[1:]:
        head, *rows = section.strip().splitlines()
        _, input_limit, threshold = map(int, head.split())
        words: dict[tuple[int, ...], int] = {}
        flush: dict[tuple[int, ...], int] = {}
        for row in rows:
            left, right = row.split(" : ")
            prefixes, flush_bits = left.split()
            for prefix in _expand(prefixes):
                flush[prefix] = int(flush_bits)
                for symbol, n_bits in enumerate(right.split()):
                    if n_bits != ".":
                        words[(*prefix, symbol)] = int(n_bits)
        codes.append(LowEntropyCode(input_limit, threshold, canonical_words(words), canonical_words(flush)))
    assert len(codes) == N_CODES
    return tuple(codes)


def canonical_words(n_bits: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], Word]:
    """Words from their lengths: counted upwards in the order stated above, then reversed.

    Reversed because a decoder reads the image from its end.
    """
    words: dict[tuple[int, ...], Word] = {}
    value = previous = 0
    for key in sorted(n_bits, key=lambda key: (n_bits[key], len(key), key)):
        length = n_bits[key]
        value <<= length - previous
        words[key] = length, int(format(value, f"0{length}b")[::-1], 2)
        value, previous = value + 1, length
    return words


def _expand(text: str) -> list[tuple[int, ...]]:
    """Prefixes meant by one entry of the file: ``A3``, ``0^5.10``, ``0^13-25``."""
    run, _, rest = text.rpartition(".") if "." in text else (text, "", "")
    if "^" not in run:
        return [tuple(int(symbol, 16) for symbol in run)]
    first, _, last = run[2:].partition("-")
    tail = tuple(int(symbol, 16) for symbol in rest)
    return [(0,) * n + tail for n in range(int(first), int(last or first) + 1)]
