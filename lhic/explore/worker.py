"""Work that takes longer than a click may: one thing after the other, beside what people see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Worker:
    """A thread for jobs, which are done in their order.  It ends with the program, whatever it is at.

    Codecs use all cores, so that there is no use in a second thread.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="lhic explore").start()

    def submit(self, job: Callable[[], None]) -> None:
        """job : must not raise"""
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()
