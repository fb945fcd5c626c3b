# SPDX-License-Identifier: Apache-2.0
"""Work on one frame by several threads at once, with the same result as by one."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from nvcodec.models.memory import keep_freed_memory

PIECES = 6  # of a row in `in_waves`
MOST_THREADS = 2  # of a pool for pictures


def new_pool(threads: int) -> ThreadPoolExecutor:
    """Threads for pictures, MOST_THREADS at most; threads: 0 for as many as there are processors."""
    keep_freed_memory()
    return ThreadPoolExecutor(max(1, min(MOST_THREADS, threads or os.cpu_count() or 1)), "pictures")


def done(result: Any) -> Future:
    """What a thread would have returned."""
    future: Future = Future()
    future.set_result(result)
    return future


class _Inline(Executor):
    """Does at once what it is given: inside a pool, whose threads must not wait for each other."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """The result, ready."""
        return done(work(*args, **kwargs))


INLINE = _Inline()


def by_rows(pool: Executor, rows: int, work: Callable[[int, int], None], unit: int = 2) -> None:
    """Do independent work on both halves of a frame's rows at once; ``unit`` rows stay together."""
    half = rows // (2 * unit) * unit
    jobs = [pool.submit(work, begin, end) for begin, end in ((0, half), (half, rows))]
    for job in jobs:
        job.result()


def in_waves(pool: Executor, rows: int, columns: int, work: Callable[[int, int, int], None]) -> None:
    """Call work(row, begin, end) for all columns of all rows, each after its neighbours on the left, above, and on
    the right of that: rows overlap like waves."""
    if not isinstance(pool, ThreadPoolExecutor) or pool._max_workers < 2:
        for row in range(rows):
            work(row, 0, columns)
        return
    size = max(2, -(-columns // PIECES))
    done = [0] * rows  # columns
    running: dict[Future, int] = {}
    while True:
        begun = set(running.values())
        for row in range(rows):
            end = min(done[row] + size, columns)
            ready = row == 0 or done[row - 1] >= min(end + 1, columns)
            if done[row] < columns and row not in begun and ready:
                running[pool.submit(work, row, done[row], end)] = row
            if not ready and done[row] == 0:
                break
        if not running:
            return
        for job in wait(running, return_when=FIRST_COMPLETED).done:
            row = running.pop(job)
            job.result()
            done[row] = min(done[row] + size, columns)
