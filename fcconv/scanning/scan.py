"""Scanning: score every window of an image of any size, tile by tile, in bounded memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fcconv.errors import FcconvError, ShapeError
from fcconv.geometry import Ints
from fcconv.graph.load import Source
from fcconv.graph.sliding import Sliding
from fcconv.scanning.engine import Array, Score, checked
from fcconv.scanning.job import Job, make_job
from fcconv.scanning.memory import parse_bytes
from fcconv.scanning.pipeline import pipeline
from fcconv.scanning.plan import Plan, Tile
from fcconv.scanning.preparation import Preparation
from fcconv.scanning.result import Scan
from fcconv.scanning.store import InMemory, Store, check_out, open_store, recorded


class Progress(NamedTuple):
    """How far a scan is: tiles finished and in all, windows scored and in all."""

    tiles: int
    all_tiles: int
    windows: int
    all_windows: int


def scan(
    network: Sliding | Source,
    image: Any,
    *,
    stride: Ints | None = None,
    engine: str = "auto",
    memory: int | str = "512MB",
    out: str | os.PathLike[str] | None = None,
    windows: str | None = None,
    preparation: Preparation | None = None,
    layout: str | None = None,
    labels: Sequence[str] | None = None,
    existing: str = "refuse",
    progress: Callable[[Progress], None] | None = None,
) -> Scan:
    """Score every window of an image of any size, in bounded memory.

    Parameters
    ----------
    network : Sliding, path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; a patch classifier is made sliding first.
    image : array or path
        Pixels ``(C, *S)`` or ``(N, C, *S)``: an array of NumPy or JAX, or whatever is sliced like
        one (a memmap, zarr, h5py, dask), read by region; or a file: PNG, JPEG, BMP, WebP, TIFF and
        its pyramids, npy, zarr, WAV, NIfTI.
    stride : int or sequence of int, optional
        Pixels from one window to the next; the network's own, if left out.
    engine : {"auto", "numpy", "jax", "onnxruntime"}
        What computes; "auto" times those that are there on a small tile, and takes the fastest.
    memory : int or str
        Bytes for pixels, values and scores on the way, such as "512MB" or "2GiB"; libraries,
        weights, and scores that stay in memory come on top.
    out : path, optional
        Where scores go: a ``.zarr`` folder, a ``.npy`` or ``.npz`` file; memory, if left out.
    windows : {"shared", "exact"}, optional
        Whether windows share one pass, or each is cut out and scored by itself. Where a network
        pads, these differ, and one of them must be chosen.
    preparation : Preparation, optional
        What is done to pixels first; by default 8-bit and 16-bit ones are scaled to 0 to 1.
    layout : str, optional
        The axes of `image`, "HWC" say; channels first, or as its format has them, if left out.
    labels : sequence of str, optional
        Names of the channels of the first output.
    existing : {"refuse", "resume", "overwrite"}
        What to do with scores that are there: "resume" goes on with a run of the same arguments.
    progress : callable, optional
        Is told how far the scan is, after each tile.

    Returns
    -------
    Scan
        The scores, and the pixels that each is about.

    Raises
    ------
    ImageError
        If the image can't be read, does not fit the network, or holds NaN; finished tiles are kept.
    OutputError
        If scores can't go to `out`.
    UnsupportedError
        If the network can't slide, or pads, and `windows` is left out.
    ShapeError
        If an argument makes no sense.
    BackendError
        If an engine or a library is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> found = scan(load_faces(), np.zeros((1, 100, 200), np.float32), engine="numpy")
    >>> found.scores.shape, found.box(0, 1)
    ((1, 26, 59), (slice(0, 25, None), slice(3, 28, None)))
    """
    if existing not in ("refuse", "resume", "overwrite"):
        raise ShapeError(f"existing is 'refuse', 'resume' or 'overwrite', got {existing!r}")
    budget, chosen = parse_bytes(memory), checked(engine)
    target = None if out is None else Path(out)
    if target is not None:
        check_out(target)
    job = make_job(network, image, stride, windows, preparation, layout, labels)
    begin = time.perf_counter()
    if chosen == "auto":
        before = recorded(target) if existing == "resume" else None
        chosen = checked(str(before["engine"])) if before else job.fastest()
    cut, batch = job.planned(budget, chosen)
    store = open_store(target, job.outputs(cut), job.record(chosen, cut, batch), existing)
    computed = score_tiles(job, job.score(chosen, batch), cut, store, progress)
    return Scan(
        outputs=store.finish(),
        labels=job.labels,
        size=job.size,
        window=job.sliding.window,
        stride=job.sliding.stride,
        windows=job.windows,
        exact=job.sliding.exact or job.windows == "exact",
        reasons=job.sliding.reasons,
        engine=chosen,
        preparation=str(job.preparation),
        tiles=len(cut) * len(job.images),
        computed=computed,
        seconds=time.perf_counter() - begin,
        scale=getattr(image, "scale", 1.0),
    )


def score_tiles(
    job: Job, score: Score, cut: Plan, store: Store, progress: Callable[[Progress], None] | None
) -> int:
    """Score the tiles that are not finished, and count them."""
    names = list(job.outputs(cut))
    tiles = [(number, tile) for number in range(len(job.images)) for tile in cut]

    def chunk(number: int, tile: Tile) -> tuple[int, ...]:
        return (*((number,) if job.batched else ()), 0, *tile.index)

    left = [(number, tile) for number, tile in tiles if not store.is_done(chunk(number, tile))]
    windows = sum(tile.windows for _, tile in tiles)
    done = windows - sum(tile.windows for _, tile in left)
    finished = len(tiles) - len(left)

    def read(item: tuple[int, Tile]) -> tuple[Tile, Array]:
        number, tile = item
        return tile, job.pixels(job.images[number], tile.pixels)

    def compute(item: tuple[Tile, Array]) -> list[Array]:
        tile, pixels = item
        return [np.ascontiguousarray(scores[:, *tile.inner]) for scores in score(pixels)]

    def write(item: tuple[int, Tile], made: list[Array]) -> None:
        nonlocal done, finished
        number, tile = item
        lead = (None,) if job.batched else ()
        store.write(chunk(number, tile), {n: x[lead] for n, x in zip(names, made, strict=True)})
        done, finished = done + tile.windows, finished + 1
        if progress is not None:
            progress(Progress(finished, len(tiles), done, windows))

    try:
        pipeline(left, read, compute, write)
    except (FcconvError, OSError, KeyboardInterrupt) as error:
        if not isinstance(store, InMemory):
            error.add_note("The tiles that are finished are kept: resume goes on from there")
        raise
    return len(left)
