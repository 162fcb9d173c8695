"""Every error a user of lhic can meet.

One class per situation, so that a caller can tell them apart without reading the
message.  A message is one line and says what was expected, what was found, and where.
``exit_code`` is what the command line returns: 2 for a usage mistake, 1 for bad data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LhicError(Exception):
    """Base class of every error raised on purpose by lhic."""

    exit_code = 1


class UsageError(LhicError):
    """The call itself is wrong: unknown model name, parameter out of range, file that does not exist."""

    exit_code = 2


class OutOfRangeError(UsageError, IndexError):
    """An index that an opened cube does not have."""


class InvalidCubeError(LhicError):
    """The array is not an integer cube (bands, rows, columns) that can be coded; met while encoding."""


class MemoryBudgetError(LhicError):
    """The cube, or a tile of a file, does not fit the memory, or is more than allowed; met before allocating."""


class CorruptStreamError(LhicError):
    """The data contradicts the format or a checksum; met while decoding."""


class ForeignStreamError(CorruptStreamError):
    """The data does not begin like an lhic stream at all."""


class TruncatedStreamError(CorruptStreamError):
    """The stream ends before the length it announces."""


class UnsupportedVersionError(LhicError):
    """The stream was written in a format version this library does not know."""


class ModelMismatchError(LhicError):
    """The weights at hand are not the ones that wrote the stream."""


class CheckpointError(LhicError):
    """A weights or training-state file is damaged, incomplete or of another kind."""


class DatasetError(LhicError):
    """A dataset folder or file is missing, incomplete or of another layout."""


class ConfigError(UsageError):
    """A configuration file has an unknown key, a missing key or a value out of range."""


class BackendError(LhicError):
    """The requested device or optional library is not available on this machine."""


class VerificationError(LhicError):
    """The cube differs from the original it was compared with, or from what was expected."""


class BatchError(LhicError):
    """Some of many files failed, or two files differ; what is wrong has been told."""


class LhicWarning(UserWarning):
    """What a caller should know, and what is no error, such as what a file that was written cannot say."""


@contextmanager
def named(name: object) -> Iterator[None]:
    """Put a file's name in front of an error's message; its class stays."""
    try:
        yield
    except LhicError as error:
        raise type(error)(f"{name}: {error}") from error


def message_of(error: object) -> str:
    """The message of an error, or any text, on one line; characters that control a console are escaped."""
    text = " ".join(str(error).split())
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def one_line(error: BaseException) -> str:
    """Class and message of an error, on one line: for errors that are not lhic's."""
    return f"{type(error).__name__}: {message_of(error)}"
