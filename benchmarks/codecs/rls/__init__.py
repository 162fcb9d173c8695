"""Lossless coding by recursive least squares over previous bands: docs/rls.md."""

from benchmarks.codecs.rls.stream import MAX_PREVIOUS, decode, encode, refuses

__all__ = ["MAX_PREVIOUS", "decode", "encode", "refuses"]
