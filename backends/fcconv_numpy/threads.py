"""Worker threads, each computing whole tiles, with BLAS held to one thread meanwhile.

BLAS threads spin for some 25 milliseconds after each product, on cores that others need; workers
sleep.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import numpy as np
import threadpoolctl

T = TypeVar("T")


class _Blas:
    """The threads of BLAS: the first to hold them to one does so, and the last restores them.

    Where each thread that calls BLAS has a number of its own (MKL, OpenMP), each holder does.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._holders = 0
        self._before: list[int] = []

    @functools.cached_property
    def _libraries(self) -> list[Any]:
        """What there is of BLAS; found under the lock, once there is something to compute."""
        np.dot(np.ones((2, 2)), np.ones((2, 2)))  # loads it
        found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
        return [library for library in found if library.get_num_threads()]

    @property
    def is_held(self) -> bool:
        """Whether products use one thread."""
        return self._holders > 0

    def threads(self) -> int:
        """Count the threads that a product would use, were nobody holding BLAS to one."""
        with self.lock:
            return min(self._before or self._counts(), default=1)

    @contextmanager
    def held_to_one(self) -> Iterator[None]:
        """Let each product run on the thread that calls it."""
        with self.lock:
            found = self._counts()
            if not self._holders:
                self._before = found
                self._set([1] * len(found))
            self._holders += 1
            self._set_here([1] * len(found))
        try:
            yield
        finally:
            with self.lock:
                self._set_here(found)
                if self._holders:  # there is none after a fork
                    self._holders -= 1
                    if not self._holders:
                        self._restore()

    def hold_this_thread(self) -> None:
        """Let products on the calling thread use no other, for good."""
        self._set_here([1] * len(self._libraries))

    def begin_anew(self) -> None:
        """Forget who holds BLAS, under the lock: in a forked process there is none of them."""
        self._holders = 0
        if self._before:
            self._restore()
        self.lock.release()

    def _counts(self) -> list[int]:
        return [library.get_num_threads() for library in self._libraries]

    def _restore(self) -> None:
        self._set(self._before)
        self._before = []

    def _set(self, counts: list[int]) -> None:
        """Set the numbers of threads of the process."""
        for library, count in zip(self._libraries, counts, strict=True):
            if not _counts_by_thread(library):
                # threadpoolctl 3.8 obeys only the first thread that sets a number, here any may
                release = getattr(library, "clear_controlling_thread", lambda force: None)
                release(force=True)
                library.set_num_threads(count)
                release(force=True)

    def _set_here(self, counts: list[int]) -> None:
        """Set the numbers of threads of the calling thread."""
        for library, count in zip(self._libraries, counts, strict=True):
            if _counts_by_thread(library):
                library.set_num_threads(count)


def _counts_by_thread(library: Any) -> bool:
    """Say whether each thread that calls a library of BLAS has a number of threads of its own."""
    return "mkl" in library.internal_api or getattr(library, "threading_layer", "") == "openmp"


_blas = _Blas()
_is_shared = ContextVar("is_shared", default=False)
"""Whether the work at hand is a part of what several threads do."""


@functools.cache
def _pool(threads: int, processors: tuple[int, ...]) -> ThreadPoolExecutor:
    """Make threads, each bound to a processor where there is one for each.

    The kernel wakes a thread on the processor of the one that wakes it and, for a call of some
    milliseconds, leaves both there. With fewer threads than processors none is bound: two processes
    that share a machine would crowd on the same, and leave others idle.
    """
    places = processors if len(processors) == threads else [None] * threads
    return ThreadPoolExecutor(threads, initializer=_begin, initargs=(iter(places),))


def _begin(places: Iterator[int | None]) -> None:
    place = next(places)
    if place is not None:
        # a sandbox may forbid it, or the processor be taken away: it is only a gain of time
        with suppress(OSError):
            os.sched_setaffinity(0, {place})  # of the calling thread alone
    _blas.hold_this_thread()


def _processors() -> tuple[int, ...]:
    """List the processors that the calling thread may run on, where the system tells."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(
        before=_blas.lock.acquire,
        after_in_parent=_blas.lock.release,
        after_in_child=_blas.begin_anew,
    )


def blas_threads() -> int:
    """Count the threads to work on: as many as BLAS has been given."""
    return _blas.threads()


def single_threaded_blas() -> AbstractContextManager[None]:
    """Give a context in which products run on the threads that call them."""
    return _blas.held_to_one()


def product_threads() -> int:
    """Count the threads to divide a product among: one, where BLAS divides it itself."""
    return blas_threads() if _blas.is_held and not _is_shared.get() else 1


def share(work: Callable[[Iterator[T]], None], items: Iterable[T], workers: int) -> None:
    """Call `work` on several threads with one iterator, of which each takes what it can do.

    The calling thread waits meanwhile. Within such work nothing is shared again: it would wait for
    threads that are busy with what it is a part of.
    """
    if workers == 1 or _is_shared.get():
        work(iter(items))
        return
    taken, begun = _Locked(items), list[Future[None]]()
    with _blas.held_to_one(), _shared():
        try:
            pool = _pool(blas_threads(), _processors())
            for _ in range(workers):
                # a context holds numpy.errstate, which is the caller's to say
                begun.append(pool.submit(copy_context().run, work, taken))
            wait(begun, return_when="FIRST_EXCEPTION")
        finally:
            taken.stop()
            wait(begun)
        for other in begun:
            other.result()


@contextmanager
def _shared() -> Iterator[None]:
    token = _is_shared.set(True)
    try:
        yield
    finally:
        _is_shared.reset(token)


class _Locked(Iterator[T]):
    """An iterator that several threads may take from, and that one can end for all."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)

    def stop(self) -> None:
        """Leave nothing to take."""
        with self._lock:
            self._items = iter(())
