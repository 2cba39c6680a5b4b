"""The processes in which contenders run."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor


def process() -> ProcessPoolExecutor:
    """Return one process that starts afresh when it is first given work."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
