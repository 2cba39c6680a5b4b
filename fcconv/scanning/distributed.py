"""Parts of a scan as tasks of Dask, which starts those of a worker that dies on another one.

What a task gets is the key of a pickled run, which each worker is sent once, and opens once: the
network with its weights, and the path of the image, unless that is an array.
"""

from __future__ import annotations

import functools
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

from fcconv.errors import ArgumentError, BackendError
from fcconv.images.libraries import needed
from fcconv.remote import Place
from fcconv.scanning.parts import joined, score_run, whole
from fcconv.scanning.plan import Part
from fcconv.scanning.run import Run
from fcconv.scanning.tiles import Progress, tiles_of

PARTS_PER_THREAD = 8
"""Parts for each thread of the workers: with more they end at the same time, with fewer each worker
opens the folder of scores less often."""

RETRIES = 2
"""How often a part is tried again that fails by itself, as where a drive does not answer."""

KEPT_OPEN = 2
"""Runs that a worker keeps open."""


def check_client(client: Any) -> None:
    """Check that a client is one of Dask's.

    Raises
    ------
    BackendError
        If distributed is not installed.
    ArgumentError
        If it is not.
    """
    kind = needed("distributed", "dask").Client
    if not isinstance(client, kind):
        raise ArgumentError(f"client needs a distributed.Client, got {type(client).__name__}")


def score_by_workers(
    client: Any, run: Run, out: Place, existing: str, report: Callable[[Progress], None]
) -> int:
    """Score a run, or what is left of it, in parts on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        The cluster, whose workers see the image and `out` under the same paths as this process.
    run : Run
        What is to be scored.
    out : Path or Remote
        The folder of scores.
    existing : {"refuse", "resume", "overwrite"}
        What to do with scores that are there.
    report : callable
        Is told how far all are, whenever a part is finished.

    Returns
    -------
    int
        Tiles that were computed.

    Raises
    ------
    ArgumentError
        If the image is an array that can't be pickled.
    OutputError
        If scores can't go there.
    BackendError
        If workers die while they compute a part.
    """
    distributed, content = needed("distributed", "dask"), _packed(run)
    with whole(out, run, existing):
        pass  # the folder is made, which parts join
    every = tiles_of(run)
    skipped = [item.tile.windows for item in every if item.is_skipped]
    wanted = len(every) - len(skipped)
    windows = sum(item.tile.windows for item in every)
    done = Progress(len(skipped), len(every), sum(skipped), windows, sum(skipped))
    report(done)
    threads = sum(client.nthreads().values())
    parts = min(wanted, max(threads, 1) * PARTS_PER_THREAD)
    computed = 0
    with warnings.catch_warnings():  # of large tasks: this one is sent once
        warnings.filterwarnings("ignore", message="Sending large graph")
        packed = client.submit(_kept, content, pure=False)
    tasks = {
        client.submit(
            _score_part, packed, out.absolute(), (k, parts), retries=RETRIES, pure=False
        ): k
        for k in range(1, parts + 1)
    }
    try:
        for task in distributed.as_completed(tasks):
            made, new = _result(task, tasks[task], parts)
            computed += new
            done = Progress(
                done.tiles + made.tiles,
                done.all_tiles,
                done.windows + made.windows,
                done.all_windows,
                done.before + made.before,
            )
            report(done)
    finally:
        client.cancel(list(tasks))
    return computed


def _result(task: Any, number: int, parts: int) -> tuple[Progress, int]:
    """Return what a task did, or say why there is nothing."""
    try:
        result: tuple[Progress, int] = task.result()
    except needed("distributed", "dask").KilledWorker as error:
        raise BackendError(
            f"{error.allowed_failures + 1} workers died while they computed part {number} of "
            f"{parts}: if for want of memory, allow less, or give a worker fewer threads, each of "
            f"which computes a part"
        ) from None
    return result


def _packed(run: Run) -> bytes:
    """Pickle a run.

    Raises
    ------
    ArgumentError
        If that can't be done.
    """
    try:
        return pickle.dumps(run)
    except (TypeError, AttributeError, pickle.PicklingError) as error:  # as the image says it
        raise ArgumentError(
            f"the image can't be sent to workers ({error}): save it, and give its path"
        ) from error


def _kept(packed: bytes) -> bytes:
    """Return what a task was sent, so that it is sent once: workers have it from each other."""
    return packed


def _score_part(packed: bytes, out: Place, part: Part) -> tuple[Progress, int]:
    """Score a part on a worker, and say how far it came and what it computed."""
    planned, told = _opened(packed), list[Progress]()
    # a folder of another record is refused, as nothing else was planned
    with joined(out, planned, lambda _: planned) as (run, store):
        tally = score_run(run, store, told.append, part).tally
    return told[-1], tally.computed


_opening = threading.Lock()


def _opened(packed: bytes) -> Run:
    """Open the network and the image of a run, once for all threads of a worker."""
    with _opening:
        return unpacked(packed)


@functools.lru_cache(KEPT_OPEN)
def unpacked(packed: bytes) -> Run:
    """Open a run; its last ones are kept."""
    run: Run = pickle.loads(packed)
    return run
