"""Codecs that write down every measurement made of them, and some that kill their worker; made for `test_bench`."""

import os
import signal
import time
from pathlib import Path

from tests.benchmarks.broken_codecs import Raw


def record() -> Path:
    return Path(os.environ["LHIC_TEST_RECORD"])


class Recorded(Raw):
    """One line a measurement: `check` is called once, before anything is coded."""

    def check(self, cube):
        with open(record(), "a") as file:
            file.write(f"{self.name} {int(cube[0, 0, 0])}\n")


class OnGpu(Raw):
    devices = ("cpu", "cuda")


class Slow(Recorded):
    name = "slow"

    def encode(self, cube):
        time.sleep(0.3)
        return super().encode(cube)


class KillsOnce(Recorded):
    """The first measurement of it kills the Dask worker that waits for it, in the middle."""

    name = "kills-once"

    def check(self, cube):
        first = not (record().exists() and self.name in record().read_text())
        super().check(cube)
        if first:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)


class KillsAlways(Recorded):
    """Kills the worker whenever it meets the first cube."""

    name = "kills-always"

    def check(self, cube):
        super().check(cube)
        if cube[0, 0, 0] == 100:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
