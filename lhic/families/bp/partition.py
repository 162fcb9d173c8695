"""Bit partition: a sample is a most significant part (msp) and a least significant part (lsp) of ``d`` bits.

Decides the split and the scales on which the networks see both parts (section III of the LHIC-BP paper).  Works on
numpy arrays and torch tensors alike; knows nothing of tiles or networks.
"""

from __future__ import annotations


def split(samples, split_bits: int):
    """``(msp, lsp)`` with ``samples == (msp << split_bits) + lsp``.

    samples : integer array, >= 0
    """
    msp = samples >> split_bits
    return msp, samples - (msp << split_bits)


def join(msp, lsp, split_bits: int):
    """Inverse of `split`."""
    return (msp << split_bits) + lsp


def alphabet_sizes(max_value: int, split_bits: int) -> tuple[int, int]:
    """Number of symbols of the msp and of the lsp for samples 0..max_value."""
    return (max_value >> split_bits) + 1, 1 << split_bits


def to_unit(symbols, max_symbol: int):
    """Floating symbols 0..max_symbol on the networks' scale [-1, 1].

    A plane of a single symbol is -1 everywhere; its scale has no meaning.
    """
    return symbols / max(max_symbol, 1) * 2.0 - 1.0


def plane_to_unit(msp, split_bits: int, max_value: int):
    """The msp put back to its place, as floating values on [-1, 1]: what the plane condition sees.

    msp : floating array of whole numbers
    """
    return msp * float(1 << split_bits) / max_value * 2.0 - 1.0
