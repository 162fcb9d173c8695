"""Codecs that fail in every way the runner must survive; made for `test_run`."""

import os
import time

import numpy as np

from benchmarks.codecs.base import Codec, Frame
from lhic.errors import BackendError


class Raw(Codec):
    """Stores the samples: correct, and the parent of the broken ones."""

    name, version, settings = "raw", "1", {"answer": 42}

    def encode(self, cube):
        return Frame.of(cube).to_bytes() + cube.tobytes()

    def decode(self, data):
        frame, at = Frame.read(data)
        return np.frombuffer(data, frame.dtype, offset=at).reshape(frame.shape).copy()


class Threaded(Raw):
    threads = "argument"


class SizeByThreads(Threaded):
    def encode(self, cube):
        return super().encode(cube) + bytes(2 * self.n_threads)

    def decode(self, data):
        return super().decode(data[: len(data) - 2 * self.n_threads])


class Lossy(Raw):
    def decode(self, data):
        cube = super().decode(data)
        cube[0, 0, 0] += 1
        return cube


class WrongDtype(Raw):
    def decode(self, data):
        return super().decode(data).astype(np.int64)


class Raises(Raw):
    def encode(self, cube):
        raise RuntimeError("first line\nsecond line")


class Crashes(Raw):
    def encode(self, cube):
        os._exit(3)


class Hangs(Raw):
    def encode(self, cube):
        time.sleep(600)


class Refuses(Raw):
    def refuses(self, cube):
        return "expected something else, found this"


def missing():
    raise BackendError("libnone is not available")
