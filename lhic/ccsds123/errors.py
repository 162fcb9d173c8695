"""The errors of this package.  It stands alone, so they do not derive from those of the host project;
the adapter that plugs it into a benchmark translates them.
"""

from __future__ import annotations


class Ccsds123Error(Exception):
    """Base class of every error raised on purpose by this package."""


class ParameterError(Ccsds123Error):
    """A parameter, or a field of a header, is outside the range the standard gives it; the message names it."""


class UnsupportedFieldError(Ccsds123Error):
    """A legal option of the standard that this implementation lacks; the message names the field."""


class SampleError(Ccsds123Error):
    """The array cannot be coded with these parameters; met while encoding."""


class StreamError(Ccsds123Error):
    """The compressed image contradicts the standard; met while decoding."""


class TruncatedError(StreamError):
    """The compressed image ends too early."""


class BudgetError(Ccsds123Error):
    """The header announces an image above the memory the caller allows; met before allocating."""
