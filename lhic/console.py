"""Where the command line meets the system: what it prints, and the signals that end it.  Knows nothing of cubes."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from lhic.errors import LhicWarning, message_of

CLEANING_S = 5  # after a signal, in which others are ignored

_usual_format = warnings.formatwarning


def prepare() -> None:
    """What a console cannot show, it shows as an escape; what is said to a closed one is lost; notes are lines."""
    for name in ("stdout", "stderr"):
        console = getattr(sys, name)
        if console is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(console, "reconfigure"):
            console.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _formatted


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of lhic as one of the lines that the command says; any other as Python has it."""
    if issubclass(category, LhicWarning):
        return f"lhic: note: {message_of(message)}\n"
    return _usual_format(message, category, filename, lineno, line)


def is_command() -> bool:
    """Whether this process is the command ``lhic``, also while its package is imported, before there are arguments."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return name == "lhic" or (name == "-m" and "lhic" in sys.orig_argv)


def interrupted() -> int:
    """Say so on a line; returns the exit code."""
    print("lhic: error: interrupted; nothing is half-written", file=sys.stderr, flush=True)
    return 128 + signal.SIGINT


@contextmanager
def interrupts_end_it(is_command: bool = True) -> Iterator[None]:
    """For imports of a command: an interrupt ends the process there and then.

    As an exception it could come out of an import as any other: an `ImportError` of numpy, a `RuntimeError` of Python.
    """

    def end(number: int, _frame: object) -> None:
        os._exit(interrupted())

    # Where interrupts are ignored, or told otherwise, that is meant; only the main thread may say what they do.
    is_usual = signal.getsignal(signal.SIGINT) == signal.default_int_handler
    if not is_command or not is_usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(text: str, file: TextIO | None = None, end: str = "\n") -> None:
    """Print at once: what fails only when the interpreter flushes at its end, it tells in its own way.

    Raises
    ------
    OSError
        Standard output, which it names, cannot be written.
    """
    try:
        print(text, file=file, end=end, flush=True)
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # for what is left in the buffer
        error.filename = "standard output"
        raise


class Ended(BaseException):
    """The system, a user or a batch system wants the command to end.  No error: nobody is to handle it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """`Ended` is raised at SIGTERM and SIGHUP, so that what is under way is cleaned up as after an interrupt.

    That is not disturbed by a second signal, unless it takes longer than `CLEANING_S`.
    """
    told = -math.inf

    def end(number: int, _frame: object) -> None:
        nonlocal told
        if time.monotonic() - told < CLEANING_S:
            return
        told = time.monotonic()
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    usual: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    numbers = {getattr(signal, name): handler for name, handler in usual.items() if hasattr(signal, name)}
    numbers = {number: handler for number, handler in numbers.items() if signal.getsignal(number) == handler}
    if threading.current_thread() is not threading.main_thread():  # only that one is told
        numbers = {}
    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in numbers.items():
            signal.signal(number, handler)


def is_over() -> None:
    """For a command that has said all: a signal on the last steps of the interpreter would be shown as an error."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
