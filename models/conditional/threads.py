# SPDX-License-Identifier: Apache-2.0
"""Work on frames by several threads at once, with the same result as by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Lock
from typing import Any, TypeVar

from nvcodec.models.memory import keep_freed_memory

_T = TypeVar("_T")
_R = TypeVar("_R")

PIECES = 4  # of a row in `in_waves`, for each thread
MOST_THREADS = 8  # of a pool for pictures


def new_pool(threads: int) -> ThreadPoolExecutor:
    """Threads for pictures, MOST_THREADS at most; threads: 0 for as many as there are processors for this process."""
    keep_freed_memory()
    return ThreadPoolExecutor(max(1, min(MOST_THREADS, threads or _processors())), "pictures")


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def when_ready(
    pool: Executor,
    items: Iterable[_T],
    ready: Callable[[_T], bool],
    work: Callable[[_T, Executor], _R],
    done: Callable[[_T, _R], None],
    beside: Callable[[Executor], None] | None = None,
    one_by_one: bool = False,
) -> None:
    """Call work(item, threads) for all items, each once it is ready, and done(item, result) in the calling thread,
    after which others may be ready. Several are worked on at once, by a thread each; by all threads where there is but
    one.

    beside: is called with a thread as soon as there is one; one_by_one: items in their order, each with all threads.
    Raises RuntimeError if some will never be ready, and what ``work`` raises.
    """
    left, jobs = list(items), {}
    if beside is not None:
        jobs[pool.submit(beside, INLINE)] = None
    while left or jobs:
        now = [item for item in left if ready(item)]
        if not jobs and not now:
            raise RuntimeError(f"{len(left)} frames wait for others that are not there")
        if not jobs and (one_by_one or len(now) == 1):
            left.remove(now[0])
            done(now[0], work(now[0], pool))
            continue
        for item in now[: max(0, workers(pool) - len(jobs))]:
            left.remove(item)
            jobs[pool.submit(work, item, INLINE)] = (item,)
        for job in wait(jobs, return_when=FIRST_COMPLETED).done:
            of, result = jobs.pop(job), job.result()
            if of is not None:
                done(of[0], result)


class _Inline(Executor):
    """Does at once what it is given: inside a pool, whose threads must not wait for each other."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """The result, ready."""
        future: Future = Future()
        future.set_result(work(*args, **kwargs))
        return future


INLINE = _Inline()


def by_rows(pool: Executor, rows: int, work: Callable[[int, int], None], unit: int = 2) -> None:
    """Do independent work on parts of a frame's rows at once; ``unit`` rows stay together."""
    parts = min(workers(pool), max(1, rows // unit))
    ends = [rows * n // (parts * unit) * unit for n in range(parts)] + [rows]
    jobs = [pool.submit(work, begin, end) for begin, end in pairwise(ends)]
    for job in jobs:
        job.result()


def workers(pool: Executor) -> int:
    """Of a pool: how many."""
    return pool._max_workers if isinstance(pool, ThreadPoolExecutor) else 1


def in_waves(pool: Executor, rows: int, columns: int, work: Callable[[int, int, int], None]) -> None:
    """Call work(row, begin, end) for all columns of all rows, each after its neighbours on the left, above, and on
    the right of that: rows overlap like waves. Raises what ``work`` raises."""
    if workers(pool) < 2:
        for row in range(rows):
            work(row, 0, columns)
        return
    _Waves(pool, rows, columns, work).finished.result()


class _Waves:
    """Parts of rows that are worked on as soon as their neighbours are done: whoever ends one goes on with its row if
    that can be, and leaves the row below to another thread of the pool."""

    def __init__(self, pool: Executor, rows: int, columns: int, work: Callable[[int, int, int], None]):
        self._pool, self._columns, self._work = pool, columns, work
        self._size = max(2, -(-columns // (PIECES * workers(pool))))
        self._done, self._begun, self._lock = [0] * rows, [False] * rows, Lock()
        self.finished: Future[None] = Future()
        self._begun[0] = True
        pool.submit(self._go_on, 0)

    def _go_on(self, row: int) -> None:
        """A row from where it stands, as far as it can be."""
        try:
            left = True
            while left:
                begin = self._done[row]
                end = min(begin + self._size, self._columns)
                self._work(row, begin, end)
                with self._lock:
                    self._done[row] = end
                    below = row + 1 < len(self._done) and not self._begun[row + 1] and self._is_ready(row + 1)
                    if below:
                        self._begun[row + 1] = True
                    left = self._begun[row] = self._is_ready(row) and not self.finished.done()
                if below:
                    self._pool.submit(self._go_on, row + 1)
            if self._done[-1] == self._columns and row == len(self._done) - 1:
                self.finished.set_result(None)
        except BaseException as error:
            with self._lock:
                if not self.finished.done():
                    self.finished.set_exception(error)

    def _is_ready(self, row: int) -> bool:
        """Whether its next part can be worked on."""
        begin = self._done[row]
        above = self._columns if row == 0 else self._done[row - 1]
        return begin < self._columns and above >= min(begin + self._size + 1, self._columns)
