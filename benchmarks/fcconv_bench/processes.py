"""The processes in which contenders run, each with as many threads as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

# the last is XLA's
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")


def available_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def process(**variables: str) -> Iterator[ProcessPoolExecutor]:
    """Start one process afresh, with variables in its environment besides those of threads."""
    settings = dict.fromkeys(THREADS, str(available_cores()))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin) as pool:
        with patch.dict(os.environ, {**settings, **variables}):
            pool.submit(os.getpid).result()  # a pool starts its process when it is given work
        yield pool


def _begin() -> None:
    """Leave an interruption to the process that began this one, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
