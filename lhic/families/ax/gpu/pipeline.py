"""What the host does beside a device: while that codes some tiles, the next are prepared and those before finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

HOST_THREADS = 2  # more wait for each other: what they do is many short calls


def pipelined(
    tiles: Sequence, sizes: Sequence[int], at_once: int, prepare: Callable, run: Callable, finish: Callable
) -> list:
    """Results of all tiles, of which so many samples are on the device together.

    sizes : samples of each tile
    prepare : tile to job;  run : list of jobs, from the caller's thread;  finish : job to result
    """
    some = _parts(tiles, sizes, at_once)
    with ThreadPoolExecutor(1) as host, ThreadPoolExecutor(HOST_THREADS) as pool:

        def each(work: Callable, items: Sequence) -> list:
            return list(pool.map(work, items))

        coming = [host.submit(each, prepare, part) for part in some[:1]]
        finished = []
        for following in [*some[1:], None][: len(some)]:
            jobs = coming.pop().result()
            if following is not None:
                coming.append(host.submit(each, prepare, following))
            run(jobs)
            finished.append(host.submit(each, finish, jobs))
        return [result for part in finished for result in part.result()]


def _parts(tiles: Sequence, sizes: Sequence[int], at_once: int) -> list[list]:
    """Consecutive tiles of at most so many samples, but one at least."""
    parts: list[list] = []
    total = 0
    for tile, size in zip(tiles, sizes, strict=True):
        if not parts or total + size > at_once:
            parts.append([])
            total = 0
        parts[-1].append(tile)
        total += size
    return parts
