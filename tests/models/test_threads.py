# SPDX-License-Identifier: Apache-2.0
"""Work in waves: everything once, nothing before what it looks at, in any number of threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from nvcodec.models.conditional.threads import INLINE, by_rows, in_waves, new_pool

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
def test_halves_of_rows_begin_with_a_unit(rows: int) -> None:
    seen: list[tuple[int, int]] = []
    by_rows(INLINE, rows, lambda begin, end: seen.append((begin, end)))
    (first, middle), (again, last) = seen
    assert (first, last) == (0, rows)
    assert middle == again
    assert middle % 2 == 0


def test_a_pool_has_two_threads_at_most() -> None:
    for threads in (0, 1, 2, 8):
        with new_pool(threads) as pool:
            assert 1 <= pool._max_workers <= 2
            assert threads == 0 or pool._max_workers == min(threads, 2)
