# SPDX-License-Identifier: Apache-2.0
"""The processes that encode pieces of the training clips: each takes the next piece, and works with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from nvcodec.errors import NvcError

AHEAD = 4  # jobs for each process that may be done before their turn
# linear algebra would start threads of its own, and sum in another order with another number of them
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Workers:
    """A pool of processes; with 0 of them everything is done in this one."""

    def __init__(self, processes: int):
        self._count = processes
        self._pool: ProcessPoolExecutor | None = None
        self._environment: dict[str, str | None] = {}

    def __enter__(self) -> Workers:
        if self._count:
            self._environment = {name: os.environ.get(name) for name in ONE_THREAD}
            os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # for the processes, which start at the first job
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def map(self, job: Callable[..., Any], arguments: Iterable[tuple], stop: Callable[[], bool]) -> Iterator[Any]:
        """Results of ``job(*arguments)`` in order; ends early after ``stop()``, when what is under way is done.

        Raises NvcError when a process was killed.
        """
        if self._pool is None:
            for each in arguments:
                if stop():
                    return
                yield job(*each)
            return
        waiting: deque[Future] = deque()
        try:
            for each in arguments:
                if stop():
                    break
                waiting.append(self._pool.submit(job, *each))
                if len(waiting) >= AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:
                if stop():
                    for future in reversed(waiting):
                        future.cancel()
                future = waiting.popleft()
                if future.cancelled():
                    return
                yield future.result()
        except BrokenProcessPool as error:
            raise NvcError(
                "a training process was killed (out of memory?); the same command resumes, --processes 1 needs less"
            ) from error


def _begin() -> None:
    """In a new process: signals are for the parent, without which it ends."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
