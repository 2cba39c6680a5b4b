"""Scanning: score every window of an image of any size, tile by tile, in bounded memory."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

from fcconv.errors import ArgumentError
from fcconv.geometry import Ints
from fcconv.graph.files.load import Source
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.images.padded import Padded
from fcconv.images.preparation import Preparation
from fcconv.images.reading import Reading
from fcconv.remote import Remote, as_place
from fcconv.scanning.audit import audited, check_audit
from fcconv.scanning.cut_out import CutOut
from fcconv.scanning.distributed import check_client, score_by_workers
from fcconv.scanning.engine import checked
from fcconv.scanning.job import make_job
from fcconv.scanning.memory import parse_bytes
from fcconv.scanning.network import as_network
from fcconv.scanning.parts import (
    Scored,
    check_part,
    check_shared,
    joined,
    kept,
    score_run,
    whole,
)
from fcconv.scanning.result import Scan
from fcconv.scanning.run import Run, plan_run
from fcconv.scanning.saved import description
from fcconv.scanning.store import check_count, check_out, recorded
from fcconv.scanning.tiles import Progress
from fcconv.scanning.windows import WINDOWS

NOT_STARTED = "{} is there, but onnxruntime could not start it, and computed by the others"
"""What is noted of a provider that was asked for."""


def scan(
    network: Sliding | Source,
    image: Any,
    *,
    stride: Ints | None = None,
    window: Sequence[int] | None = None,
    engine: str = "auto",
    providers: Sequence[str] | None = None,
    device: str | None = None,
    memory: int | str = "512MB",
    out: str | os.PathLike[str] | Remote | None = None,
    windows: str | None = None,
    preparation: Preparation | None = None,
    labels: Sequence[str] | None = None,
    activation: str | None = None,
    existing: str = "refuse",
    region: Sequence[slice] | None = None,
    mask: Any = None,
    pad: str | None = None,
    audit: int | None = None,
    part: tuple[int, int] | None = None,
    client: Any = None,
    progress: Callable[[Progress], None] | None = None,
    **reading: Unpack[Reading],
) -> Scan:
    """Score every window of an image of any size, in bounded memory.

    Pixels that are NaN or infinite in a channel, or nodata in all (`Preparation.nodata`, or what a
    file says itself), have no value. A window that contains one has no score, NaN in every output,
    even where the network never looks at that pixel; all others are scored as ever.

    Parameters
    ----------
    network : Sliding, path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; a patch classifier is made sliding first, if it can be.
    image : array or path
        Pixels ``(C, *S)`` or ``(N, C, *S)``: an array of a backend, or whatever is sliced like
        one (a memmap, zarr, h5py, dask), read by region; or a file: PNG, JPEG, BMP, WebP, TIFF and
        its pyramids, GeoTIFF, slides that openslide reads, npy, zarr, OME-Zarr, these also by an
        address, sound that soundfile reads (WAV, FLAC, MP3), NIfTI.
    stride : int or sequence of int, optional
        Pixels from one window to the next; the network's own, if left out. A network that slides
        already scores every n-th of its windows at n times its stride.
    window : sequence of int, optional
        Shape of one input without the batch, for a PyTorch module, or where the network leaves it
        free.
    engine : str
        What computes: a backend, "numpy", "jax" or "torch", "onnxruntime", or "auto", which times
        those that are there on a small tile, and takes the fastest.
    providers : sequence of str, optional
        What "onnxruntime" computes by, as `compile` takes it: "cuda", "tensorrt", "coreml",
        "directml", "cpu", or a name of its own. `Scan.providers` says which it got.
    device : str, optional
        Where "jax" or "torch" computes, as each names it: "cpu", "cuda:1", for JAX "gpu" or "tpu",
        for PyTorch "mps"; by default where each does by itself.
    memory : int or str
        Bytes for pixels, values and scores on the way, such as "512MB" or "2GiB"; libraries,
        weights, and scores that stay in memory come on top. Tiles stay near 64 MB, as larger ones
        are not faster, unless their windows need more.
    out : path, optional
        Where scores go: a ``.zarr`` folder, also by its address, ``s3://bucket/x.zarr``, a ``.npy``
        or ``.npz`` file; memory, if left out.
    windows : {"shared", "exact", "crops"}, optional
        Whether windows share one pass; or one that gives each the score of its crop, with what it
        can't share computed for each; or each is cut out and scored by itself. Where a network
        pads, the first differs from the others, and one must be chosen; one that can't slide needs
        "exact", or "crops" and a stride.
    preparation : Preparation, optional
        What is done to pixels first; by default 8-bit and 16-bit ones are scaled to 0 to 1.
    labels : sequence of str, optional
        Names of the channels of the first output.
    activation : {"softmax", "sigmoid"}, optional
        Makes probabilities of the scores of the first output, among its classes or for each by
        itself, where the network has none. They are what is stored, shown, and compared with a
        threshold, and the store says so: a run resumes with the same activation only. By default
        scores are kept as the network gives them.
    existing : {"refuse", "resume", "overwrite"}
        What to do with scores that are there: "resume" goes on with a run of the same arguments,
        in its tiles and on its engine, and computes again what has been damaged since.
    region : sequence of slice, optional
        Pixels along each axis: only windows that lie in them as a whole are scored. All others are
        NaN, and tiles with none are neither read nor computed. The map is that of the whole image.
    mask : path, array or "tissue", optional
        Only windows whose centre it marks are scored: a picture of any resolution that covers the
        image, where 0 and NaN mark nothing; the polygons of a ``.geojson``, in longitude and
        latitude if the image lies on the ground, else in its pixels; or "tissue", what is more
        saturated than Otsu's threshold.
    pad : {"edge", "reflect", "constant"}, optional
        Adds pixels at the ends of the axes, as `numpy.pad` does, until windows cover the image:
        otherwise its last pixels, fewer than a stride, may be in none (`Scan.remainder`). An image
        that is smaller than the window has one window then.
    audit : int, optional
        So many windows are also cut out and scored, and compared with the pass: `Scan.audit`. Half
        are drawn at random, the others are the strongest peaks and the closest decisions.
    part : (int, int), optional
        Part `k` of `n` of the tiles, for `k` from 1 on, into a ``.zarr`` that any number of
        processes and machines write to. The first part that starts makes it; the others join it, in
        its tiles and on its engine. A last call without a part, with `existing` "resume", checks
        all tiles, computes what is missing, and returns the whole scan.
    client : distributed.Client, optional
        A cluster of Dask, whose workers compute parts, each within `memory`; they need to see the
        image and `out`, a ``.zarr``, under the same paths. An image in memory is sent to each.
    progress : callable, optional
        Is told how far the scan is, at the beginning and, perhaps from another thread, after each
        tile.
    **reading
        How the image is opened: `layout`, `series`, `page`, `mpp` and the others of
        :class:`fcconv.Reading`, which says what each is.

    Returns
    -------
    Scan
        The scores, and the pixels that each is about. Of a part its `outputs` read what the folder
        holds by now, and what is counted is counted in its own tiles.

    Raises
    ------
    ImageError
        If the image can't be read, does not fit the network, has changed since it was opened, or
        holds pixels without a value and scores are integers; finished tiles are kept.
    OutputError
        If scores can't go to `out`.
    UnsupportedError
        If the network pads, and `windows` is left out; if it can't slide, and `windows` is not
        "exact" or "crops"; if it can't be computed for many windows at a time, as "exact" needs.
    ArgumentError
        If an argument makes no sense.
    BackendError
        If an engine, a provider, a device or a library is not there, or providers or a device are
        given for an engine that has none; if workers of a cluster die again and again.

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> found = scan(load_faces(), np.zeros((1, 100, 200), np.float32), engine="numpy")
    >>> found.scores.shape, found.box(0, 1)
    ((1, 26, 59), (slice(0, 25, None), slice(3, 28, None)))
    """
    if existing not in ("refuse", "resume", "overwrite"):
        raise ArgumentError(f"existing is 'refuse', 'resume' or 'overwrite', got {existing!r}")
    budget, chosen = parse_bytes(memory), checked(engine, providers, device)
    target = None if out is None else as_place(out, "out")
    if progress is not None and not callable(progress):
        raise ArgumentError(f"progress needs a function, got {progress!r}")
    own = None if part is None else check_part(part)
    if target is not None:
        check_out(target, existing if own is None else "resume", image, mask)
    folder = None  # that parts share
    if own is not None:
        folder = check_shared("part", target, existing, audit=audit, client=client)
    elif client is not None:
        check_client(client)
        folder = check_shared("client", target)
    if windows is not None and windows not in WINDOWS:
        raise ArgumentError(f"windows is 'shared', 'exact' or 'crops', got {windows!r}")
    scored = as_network(network, stride, window, windows)
    job = make_job(
        scored,
        image,
        windows=windows,
        preparation=preparation,
        labels=labels,
        activation=activation,
        region=region,
        mask=mask,
        pad=pad,
        **reading,
    )
    if audit is not None:
        check_audit(audit, job.windows)
    begin = time.perf_counter()
    planned = functools.partial(plan_run, job, chosen, budget)
    run = planned(recorded(target) if own is not None or existing == "resume" else None)
    check_count(target, run.outputs)
    report, elsewhere = progress or _silent, 0
    if client is not None and folder is not None:
        with kept(target, run, own):
            elsewhere = score_by_workers(client, run, folder, existing, report)
        existing, report = "resume", _silent  # what they wrote is checked
    if own is not None and folder is not None:
        held = joined(folder, run, planned)
    else:
        held = whole(target, run, existing)
    with held as (run, store):
        with kept(target, run, own):
            made = score_run(run, store, report, own)
        cut_out = CutOut(job, run.engine, budget)
        first = next(iter(made.scores.values()))
        found = replace(
            _found(run, made),
            computed=made.tally.computed + elsewhere,
            seconds=time.perf_counter() - begin,
            pad=pad,
            audit=None if audit is None else audited(job, first, audit, cut_out),
            cut_out=cut_out,
            part=own,
        )
        if target is not None and own is None:
            store.describe(description(found, job.images[0].asked, run.record, made.tally.skipped))
    return found


def _silent(done: Progress) -> None:
    """Tell nobody."""


def _found(run: Run, made: Scored) -> Scan:
    """Put together what a run found."""
    job, engine, tally = run.job, run.engine, made.tally
    asked = () if job.selection is None else job.selection.notes
    notes = (
        *filter(None, [job.network.cut_out]),
        *(NOT_STARTED.format(name) for name in engine.providers if name not in made.providers),
        *job.images[0].notes,
        *asked,
    )
    return Scan(
        outputs=made.scores,
        labels=job.labels,
        activation=job.activation,
        size=job.size,
        window=job.network.window,
        stride=job.network.stride,
        windows=job.windows,
        exact=job.network.exact or job.windows == "crops",
        reasons=job.network.reasons,
        engine=engine.name,
        providers=made.providers,
        device=engine.device or None,
        preparation=str(job.preparation),
        tiles=tally.tiles,
        computed=tally.computed,
        seconds=0.0,
        unscored=tally.unscored,
        outside=tally.outside,
        scale=job.images[0].scale,
        coordinates=job.images[0].picture.coordinates,
        padding=job.images[0].padding if isinstance(job.images[0], Padded) else (),
        notes=notes,
        images=tuple(job.images),
        layers=job.network.layers,
    )
