# SPDX-License-Identifier: Apache-2.0
"""Bounded queues between threads that end cleanly: by closing, by an error, or by being cancelled."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# A thread may be stuck in a read or write that nothing can interrupt (a silent pipe); Ctrl-C does not wait for it.
_PATIENCE_SECONDS = 2.0


class Cancelled(Exception):
    """The other side of a channel has given up."""


class Channel(Generic[T]):
    """Up to ``capacity`` items on their way from one thread to another."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = self._cancelled = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Wait for room and hand over an item; raises Cancelled when nobody will take it."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._cancelled:
                self._changed.wait()
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """No more items; with an error, the taker meets it after the last item."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Stop both sides: put raises, iteration ends by Cancelled."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not (self._items or self._closed or self._cancelled):
                    self._changed.wait()
                if self._cancelled:
                    raise Cancelled
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class Stages:
    """Threads on either side of the caller's work; a context manager that leaves none of them behind.

    The caller's own thread does the codec work: Ctrl-C must reach it, and one thread owns the numerical libraries.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._channels: list[Channel[object]] = []
        self._sink_error: BaseException | None = None
        self._sink: tuple[Channel[object], threading.Thread] | None = None
        self._source: threading.Thread | None = None

    def reading(self, items: Iterable[T], capacity: int) -> Channel[T]:
        """A channel that a thread of its own fills from ``items``; at most one for each Stages."""
        channel: Channel[T] = Channel(capacity)

        def fill() -> None:
            try:
                for item in items:
                    channel.put(item)
            except Cancelled:
                return
            except BaseException as exc:
                channel.close(exc)
            else:
                channel.close()

        self._source = self._start(channel, fill)
        return channel

    def writing(self, consume: Callable[[T], object], capacity: int) -> Channel[T]:
        """A channel that a thread of its own empties into ``consume``; at most one for each Stages."""
        channel: Channel[T] = Channel(capacity)

        def empty() -> None:
            try:
                for item in channel:
                    consume(item)
            except Cancelled:
                return
            except BaseException as exc:
                self._sink_error = exc
                channel.cancel()

        self._sink = (channel, self._start(channel, empty))  # type: ignore[assignment]
        return channel

    def finish_writing(self) -> None:
        """Wait until everything put was written; raises what the writing thread met."""
        assert self._sink is not None
        channel, thread = self._sink
        channel.close()
        thread.join()
        if self._sink_error is not None:
            raise self._sink_error

    @property
    def reader_idle(self) -> bool:
        """Whether nothing reads any more, so that the input may be closed."""
        return not (self._source and self._source.is_alive())

    @property
    def writer_idle(self) -> bool:
        """Whether nothing writes any more, so that the output may be closed."""
        return not (self._sink and self._sink[1].is_alive())

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for channel in self._channels:
            channel.cancel()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
        if isinstance(error, Cancelled) and self._sink_error is not None:
            raise self._sink_error from self._sink_error.__cause__  # its own cause, not the cancelling that followed

    def _start(self, channel: Channel[T], run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, name=f"nvcodec-{run.__name__}", daemon=True)
        self._channels.append(channel)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread
