"""Libraries that coding on a CPU does without, and which extra of the package brings each.

The extras are stated in pyproject.toml.  Their libraries are imported where they are used, inside `needs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lhic.errors import BackendError, message_of


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around imports: names the extra that brings the library where one is missing or broken.

    Parameters
    ----------
    extra : of pyproject.toml, such as "train"
    what : needs it, for the message

    Raises
    ------
    BackendError
        An import failed.  One of lhic's own modules is not an extra's: its ImportError passes.
    """
    try:
        yield
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "lhic"):
            raise
        expected = f"expected the library {library}, pip install 'lhic[{extra}]' brings it"
        raise BackendError(f"{what}: {expected}; found {message_of(error)}") from error
