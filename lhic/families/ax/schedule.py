"""Which pieces of the walk may run, and threads that run them.

A group's steps are cut into blocks.  A block may run once the block before it is done and the group before its own is
far enough ahead; and a group may begin once it is among the few that follow the first unfinished one, which share the
memory of recent planes.  In which order blocks run changes nothing (docs/format_lhic_ax.md, section 2).  Knows nothing
of what a block computes.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lhic.families.ax.spec import FAR_PLANES, NEAR_PLANES, PLANE_LAG
from lhic.families.ax.wavefront import n_waves

AHEAD = 3  # waves that earlier planes must be ahead of a plane
PLANES_BACK = NEAR_PLANES + FAR_PLANES  # farthest plane back that is read of what is kept for recent planes only


def block_steps(n_threads: int) -> int:
    """Steps of a group in one piece of work: fewer where threads would wait, more where calls would cost more."""
    return 32 if n_threads <= 2 else 16


def groups_at_once(n_threads: int) -> int:
    """Groups of a tile from the first unfinished one on that may have begun: one more than can run."""
    return n_threads + 1


def recent_planes(group_planes: int, n_threads: int) -> int:
    """Planes that must be kept apart while so many groups run: `state.new_state`'s n_recent."""
    return groups_at_once(n_threads) * group_planes + PLANES_BACK


def n_steps(shape: tuple[int, int], n_planes: int) -> int:
    """Of a group of so many planes of shape (H, W)."""
    return n_waves(*shape) + PLANE_LAG * (n_planes - 1)


class Group(NamedTuple):
    """Planes first .. end - 1 of a tile, and how to run some of its steps."""

    first: int
    end: int
    run: Callable[[int, int], None]  # (first step, end step)


def run_groups(
    tiles: Sequence[tuple[tuple[int, int], list[Group]]], n_threads: int, done: Callable[[int, Group], None]
) -> None:
    """Run all blocks of all groups of all tiles, each as soon as what it depends on is there.

    tiles : ((H, W), groups in coding order) of each tile
    n_threads : of which the caller's is one
    done : called with the tile's number and a finished group, by the caller's thread

    What a block or `done` raises, an interrupt included, ends the run after the blocks that are running, and is raised
    here.
    """
    schedule = Schedule(tiles, n_threads)
    n_helpers = min(n_threads, sum(min(groups_at_once(n_threads), len(groups)) for _, groups in tiles)) - 1
    helpers = [threading.Thread(target=schedule.help) for _ in range(n_helpers)]
    try:
        for helper in helpers:
            helper.start()
        schedule.work(done)
    except BaseException as error:
        schedule.stop(error)
        raise
    finally:
        for helper in helpers:
            if helper.ident is not None:  # it was started
                helper.join()
    if schedule.failure is not None:
        raise schedule.failure


class Schedule:
    """The blocks that may run, first tiles and groups first; each is looked at a bounded number of times."""

    def __init__(self, tiles: Sequence[tuple[tuple[int, int], list[Group]]], n_threads: int):
        self.failure: BaseException | None = None
        self._tiles = [
            _Tile(shape, groups, groups_at_once(n_threads), block_steps(n_threads)) for shape, groups in tiles
        ]
        self._ready = [(number, g) for number, tile in enumerate(self._tiles) for g in tile.begin()]  # is a heap
        self._n_left = sum(len(tile.groups) for tile in self._tiles)  # groups
        self._finished: list[tuple[int, Group]] = []  # and not reported
        self._changed = threading.Condition()

    def stop(self, failure: BaseException) -> None:
        """No further block begins."""
        with self._changed:
            if self.failure is None:
                self.failure = failure
            self._changed.notify_all()

    def help(self) -> None:
        """Run blocks until there are no more."""
        try:
            self.work(None)
        except BaseException as error:
            self.stop(error)

    def work(self, done: Callable[[int, Group], None] | None) -> None:
        """Run blocks until there are no more, or one fails elsewhere; report all finished groups, if asked to."""
        while True:
            with self._changed:
                while not (self._ready or self.failure or not self._n_left or (done and self._finished)):
                    self._changed.wait()
                if self.failure:
                    return
                finished = []
                if done:
                    finished, self._finished = self._finished, finished
                if not (self._ready or finished):
                    return
                piece = heapq.heappop(self._ready) if self._ready else None
            if done:
                for number, group in finished:
                    done(number, group)
            if piece is not None:
                number, g = piece
                self._tiles[number].run(g)
                self._give_back(number, g)

    def _give_back(self, number: int, g: int) -> None:
        """Note that a block of this group is done."""
        tile = self._tiles[number]
        with self._changed:
            for other in tile.give_back(g):
                heapq.heappush(self._ready, (number, other))
            if tile.is_finished(g):
                self._n_left -= 1
                self._finished.append((number, tile.groups[g]))
            self._changed.notify_all()


class _Tile:
    """How far a tile's groups are."""

    def __init__(self, shape: tuple[int, int], groups: list[Group], at_once: int, block: int):
        self.groups, self._at_once, self._block = groups, at_once, block
        self._n_steps = [n_steps(shape, group.end - group.first) for group in groups]
        self._n_blocks = [-(-n // block) for n in self._n_steps]
        self._n_done = [0] * len(groups)  # blocks of each group
        self._taken = [False] * len(groups)  # ready or running
        self._first = 0  # unfinished group

    def begin(self) -> list[int]:
        """Groups of which a block may run at first."""
        return self._take(0) if self.groups else []

    def run(self, g: int) -> None:
        """Run the next block of a group."""
        begin = self._n_done[g] * self._block
        self.groups[g].run(begin, min(begin + self._block, self._n_steps[g]))

    def is_finished(self, g: int) -> bool:
        return self._n_done[g] == self._n_blocks[g]

    def give_back(self, g: int) -> list[int]:
        """Groups of which a block may run now that one of this group is done."""
        self._n_done[g] += 1
        self._taken[g] = False
        candidates = [g, g + 1]
        while self._first < len(self.groups) and self.is_finished(self._first):
            self._first += 1
            candidates.append(self._first + self._at_once - 1)
        return [other for candidate in dict.fromkeys(candidates) for other in self._take(candidate)]

    def _take(self, g: int) -> list[int]:
        """The group itself if its next block may run."""
        if g >= min(len(self.groups), self._first + self._at_once) or self._taken[g] or self.is_finished(g):
            return []
        if g and self._n_done[g - 1] < min(self._needed(g), self._n_blocks[g - 1]):
            return []
        self._taken[g] = True
        return [g]

    def _needed(self, g: int) -> int:
        """Blocks of the group before that must be done: its last plane is to be `AHEAD` waves ahead."""
        before = self.groups[g - 1]
        last_step = (self._n_done[g] + 1) * self._block - 1 + AHEAD + PLANE_LAG * (before.end - before.first - 1)
        return last_step // self._block + 1
