# SPDX-License-Identifier: Apache-2.0
"""Work in waves: everything once, nothing before what it looks at, in any number of threads."""

from __future__ import annotations

import itertools
import os
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.models.conditional.threads import INLINE, MOST_THREADS, by_rows, in_waves, new_pool, when_ready

SIZES = [(1, 1), (1, 9), (7, 1), (3, 2), (5, 3), (12, 20), (4, 41)]


def run(pool: Executor, rows: int, columns: int, pause: float = 0.0) -> int:
    """Check the order of all that is done; returns how much of it was done at the same time, at most."""
    done, lock, busy, most = np.zeros((rows, columns), bool), threading.Lock(), [0], [0]

    def work(row: int, begin: int, end: int) -> None:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            assert begin < end <= columns
            assert not done[row, begin:end].any()
            assert done[row, :begin].all()
            if row:
                assert done[row - 1, : end + 1].all()
        time.sleep(pause * (row % 3))
        with lock:
            done[row, begin:end] = True
            busy[0] -= 1

    in_waves(pool, rows, columns, work)
    assert done.all()
    return most[0]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_neighbours_come_first(rows: int, columns: int) -> None:
    assert run(INLINE, rows, columns) == 1
    for threads in (1, 2, 5):
        with ThreadPoolExecutor(threads) as pool:
            assert run(pool, rows, columns) <= threads
            assert run(pool, rows, columns, 0.001) <= threads


def test_rows_are_worked_on_at_once() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert run(pool, 12, 20, 0.002) == 2


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_what_goes_wrong_is_told(threads: int) -> None:
    def work(row: int, begin: int, end: int) -> None:
        if row == 3:
            raise ValueError(f"row {row}")

    with ThreadPoolExecutor(threads or 1) as pool, pytest.raises(ValueError, match="row 3"):
        in_waves(pool if threads else INLINE, 6, 20, work)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 23])
@pytest.mark.parametrize("threads", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("unit", [1, 2])
def test_parts_of_rows_begin_with_a_unit(rows: int, threads: int, unit: int) -> None:
    """As many as there are threads, as far as there are units."""
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(threads or 1) as pool:
        by_rows(pool if threads else INLINE, rows, lambda begin, end: seen.append((begin, end)), unit)
    seen.sort()
    assert len(seen) == max(1, min(threads, rows // unit))
    assert (seen[0][0], seen[-1][1]) == (0, rows)
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(seen))
    assert all(begin % unit == 0 and begin < end for begin, end in seen)


def test_a_pool_has_no_more_threads_than_are_of_use() -> None:
    for threads in (0, 1, 2, 5, MOST_THREADS, 100):
        with new_pool(threads) as pool:
            wanted = threads or len(os.sched_getaffinity(0))
            assert pool._max_workers == min(wanted, MOST_THREADS)


# --- items that wait for each other


NEEDS = {0: (), 1: (0,), 2: (0, 1), 3: (1,), 4: (2, 3), 5: (), 6: (5,), 7: (6, 4)}


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_items_are_worked_on_when_what_they_need_is_done(threads: int, one_by_one: bool) -> None:
    """Each once, with all threads where it is alone; results arrive in the calling thread."""
    results: dict[int, int] = {}
    caller, working, beside = threading.current_thread(), set(), []
    lock = threading.Lock()

    def work(item: int, pool: Executor) -> int:
        with lock:
            assert all(need in results for need in NEEDS[item])
            assert pool is INLINE or not working
            working.add(item)
        time.sleep(0.002)
        with lock:
            working.discard(item)
        return 10 * item

    def done(item: int, result: int) -> None:
        assert threading.current_thread() is caller
        assert item not in results
        results[item] = result

    with ThreadPoolExecutor(threads or 1) as pool:
        given = pool if threads else INLINE
        ready = lambda item: all(need in results for need in NEEDS[item])  # noqa: E731
        when_ready(given, NEEDS, ready, work, done, None if one_by_one else beside.append, one_by_one)
    assert results == {item: 10 * item for item in NEEDS}
    assert len(beside) == (0 if one_by_one else 1)
    if one_by_one:
        assert list(results) == list(NEEDS)


def test_what_can_never_be_ready_is_an_error() -> None:
    with ThreadPoolExecutor(2) as pool, pytest.raises(RuntimeError, match="2 frames wait"):
        when_ready(pool, (1, 2, 3), lambda item: item == 1, lambda item, _: item, lambda item, _: None)


def test_what_goes_wrong_with_an_item_is_told() -> None:
    def work(item: int, _: Executor) -> None:
        raise ValueError(f"item {item}")

    for items in ((1,), (1, 2, 3)):
        with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="item 1"):
            when_ready(pool, items, lambda _: True, work, lambda item, _: None)
