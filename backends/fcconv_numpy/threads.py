"""Work on several threads, each with BLAS to itself: one thread a tile, not all for each product.

BLAS has one number of threads for the whole process, so whoever lowers it says so here, and the
last to leave restores it.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import numpy as np
import threadpoolctl

T = TypeVar("T")


class _Blas:
    """The threads of BLAS, and how many callers have asked it to use one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers = 0
        self._before: list[int] = []

    @functools.cached_property
    def _libraries(self) -> list[Any]:
        """What there is of BLAS; found under the lock, once there is something to compute."""
        np.dot(np.ones((2, 2)), np.ones((2, 2)))  # loads it
        found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
        return [library for library in found if library.get_num_threads()]

    def threads(self) -> int:
        """Count the threads that a product would use, were nobody holding BLAS to one."""
        with self._lock:
            counts = self._before or [library.get_num_threads() for library in self._libraries]
        return min(counts, default=1)

    @contextmanager
    def held_to_one(self) -> Iterator[None]:
        """Let products run on the thread that calls them."""
        with self._lock:
            self._callers += 1
            if self._callers == 1:
                self._before = [library.get_num_threads() for library in self._libraries]
                self._set([1] * len(self._libraries))
        try:
            yield
        finally:
            with self._lock:
                self._callers -= 1
                if self._callers == 0:
                    self._restore()

    def begin_anew(self) -> None:
        """Forget the callers: in a forked process there is none of their threads."""
        self._lock = threading.Lock()
        self._callers = 0
        if self._before:
            self._restore()

    def _restore(self) -> None:
        self._set(self._before)
        self._before = []

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self._libraries, counts, strict=True):
            library.set_num_threads(count)


_blas = _Blas()
_own_threads = ContextVar("own_threads", default=False)
"""Whether a product is to be divided among own threads, as BLAS is held to one."""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
    os.register_at_fork(after_in_child=_blas.begin_anew)


def blas_threads() -> int:
    """Count the threads to work on: as many as BLAS has been given."""
    return _blas.threads()


def product_threads() -> int:
    """Count the threads to divide a product among: one, where BLAS divides it itself."""
    return _blas.threads() if _own_threads.get() else 1


@contextmanager
def own_threads() -> Iterator[None]:
    """Let BLAS use one thread, and products own ones, while many layers are computed in a row.

    Threads of BLAS spin on for some 25 milliseconds after each product, on the core of whoever
    works next.
    """
    with _blas.held_to_one(), _set(_own_threads, True):
        yield


def share(work: Callable[[Iterator[T]], None], items: Iterable[T], workers: int) -> None:
    """Call `work` on several threads with one iterator, of which each takes what it can do."""
    if workers == 1:
        work(iter(items))
        return
    shared = _Locked(items)
    with _blas.held_to_one(), _set(_own_threads, False):
        # a context holds numpy.errstate, which is the caller's to say
        others = [_pool().submit(copy_context().run, work, shared) for _ in range(workers - 1)]
        try:
            work(shared)
        finally:
            shared.stop()
            wait(others)
        for other in others:
            other.result()


@contextmanager
def _set(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


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
