"""One measurement in a process of its own: one cube, one codec, one number of threads.

Reads a JSON order on standard input, writes a JSON result as the last line of standard output.  A fresh
process per measurement makes the operating system's memory accounting mean this codec alone, and keeps a
crash of a codec from ending the run.  It knows nothing of rows; `measurement` starts it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import lhic
from benchmarks.codecs import registry
from benchmarks.codecs.base import Codec
from benchmarks.measure import provenance
from lhic.errors import VerificationError, one_line

# The corner that is coded first, so that compiling and loading libraries is never timed: a few pixels, and
# more bands than any predictor here looks back.
WARM_UP_SHAPE = (48, 8, 8)


def measure(codec: Codec, cube: np.ndarray, repeats: int, long_s: float) -> dict:
    """Check that the codec is lossless on this cube, then time it.

    Parameters
    ----------
    codec : adapter with `n_threads` and `device` set
    cube : (S, H, W) integers
    repeats : timings of encoding and of decoding, when the first pass takes less than `long_s` seconds
    long_s : a first pass longer than this is itself the only timing (``warm_up`` 0, ``repeats`` 1)

    Raises
    ------
    InvalidCubeError
        The codec refuses the cube.
    VerificationError
        The decoded cube differs in shape, dtype or values.
    """
    codec.check(cube)
    corner = np.ascontiguousarray(cube[tuple(map(slice, WARM_UP_SHAPE))])
    codec.warm_up(corner)
    baseline = resident_bytes()

    stream, first_encode_s = timed(lambda: codec.encode(cube))
    decoded, first_decode_s = timed(lambda: codec.decode(stream))
    peak = peak_resident_bytes()
    check_equal(cube, decoded, codec.name)
    del decoded

    is_long = first_encode_s + first_decode_s > long_s
    encode_s, decode_s = [first_encode_s], [first_decode_s]
    if not is_long:
        encode_s = [timed(lambda: codec.encode(cube))[1] for _ in range(repeats)]
        decode_s = [timed(lambda: codec.decode(stream))[1] for _ in range(repeats)]
    return {
        "bytes": len(stream),
        **quantiles("encode_s", encode_s),
        **quantiles("decode_s", decode_s),
        "repeats": len(encode_s),
        "warm_up": int(not is_long),
        "peak_rss_bytes": peak,
        "baseline_rss_bytes": baseline,
    }


def timed(work: Callable) -> tuple[object, float]:
    """Result of a call and its seconds of wall time."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def check_equal(cube: np.ndarray, decoded: np.ndarray, name: str) -> None:
    """Raise unless `decoded` is the same cube: shape, dtype and every value."""
    if (decoded.shape, decoded.dtype) != (cube.shape, cube.dtype):
        raise VerificationError(f"{name}: expected {cube.dtype} {cube.shape}, found {decoded.dtype} {decoded.shape}")
    differing = decoded != cube
    if differing.any():
        first = tuple(int(i) for i in np.argwhere(differing)[0])
        raise VerificationError(
            f"{name}: {int(differing.sum())} samples differ, the first at {first}: "
            f"expected {cube[first]}, found {decoded[first]}"
        )


def quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Median, 20 % and 80 % quantile of a list of timings."""
    p20, median, p80 = np.percentile(seconds, (20, 50, 80))
    return {name: median, f"{name}_p20": p20, f"{name}_p80": p80}


def resident_bytes() -> int:
    """Resident size of this process now."""
    return psutil.Process().memory_info().rss


def peak_resident_bytes() -> int:
    """Largest resident size this process has had.

    From ``VmHWM`` where there is one: ``ru_maxrss`` of a process that was started by a larger one begins
    with that one's size on Linux.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def describe(codec: Codec) -> dict:
    """What the row says about the codec itself."""
    return {
        "codec_version": codec.version,
        "settings": json.dumps(codec.settings, sort_keys=True),
        "signed": codec.signed,
        "best_of": int(codec.best_of),
        "weights_hash": codec.weights_hash,
        "provenance": codec.provenance,
        "threads": codec.threads or "",
        "device": codec.device,
    }


def set_device(codec: Codec, device: str) -> None:
    """``auto`` takes CUDA when both codec and machine have it; a codec without it stays on the CPU."""
    if "cuda" in codec.devices:
        codec.device = provenance.device_of(device)


def end_with(parent: int) -> None:
    """Leave when the process that ordered the measurement is gone: nobody waits for the result any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Carry out the order on standard input."""
    end_with(os.getppid())
    order = json.load(sys.stdin)
    result: dict = {}
    try:
        codec = registry.make(order["codec"])
        codec.n_threads = order["n_threads"]
        set_device(codec, order["device"])
        result |= describe(codec) | {"device_name": provenance.device_name(codec.device)}
        cube = lhic.load_cube(order["cube"])
        result |= measure(codec, cube, order["repeats"], order["long_s"])
    except Exception as error:  # a codec library may raise anything; the run goes on with the next item
        result["error"] = one_line(error)
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
