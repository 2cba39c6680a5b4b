"""Scans that were done, opened again from where their scores went."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.arguments import either
from fcconv.errors import FcconvError, ImageError, OutputError
from fcconv.graph.rules.layer import Layer
from fcconv.images.coordinates import restored
from fcconv.images.layouts import unit
from fcconv.images.padded import Opened, padded
from fcconv.images.reading import Reading, as_reading
from fcconv.images.scales import resized
from fcconv.images.sizing import open_sized
from fcconv.remote import Place, Remote, as_place
from fcconv.scanning.chunks import InFolder
from fcconv.scanning.differences import Audit
from fcconv.scanning.joined import open_finished
from fcconv.scanning.outputs import Output
from fcconv.scanning.records import CHUNKED, Record, chunks_of, description_in, record_of
from fcconv.scanning.result import Scan
from fcconv.scanning.score_files import suffixes

TUPLES = ("labels", "reasons", "notes", "providers", "padding")
PLAIN = ("exact", "scale", "unscored", "outside", "activation", "pad", "device")
"""What a description says of a scan as it is, of several words and of one."""

SEAL = "blake2b"
"""Under which stands the digest of a description and its record."""

OTHER = "the picture is not known to be the one that was scanned: {} now, {} then"


def description(
    scan: Scan, asked: Reading, record: Record, skipped: Sequence[bool]
) -> dict[str, Any]:
    """Write down, for JSON, what a scan is beyond its record: what showing it needs.

    Nothing of it depends on how often the run was cut off.
    """
    told = {
        **{name: getattr(scan, name) for name in PLAIN},
        **{name: list(getattr(scan, name)) for name in TUPLES},
        "outputs": [
            [name, scores.shape[-len(scan.size) - 1], np.dtype(scores.dtype).name]
            for name, scores in scan.outputs.items()
        ],
        "batched": bool(scan.lead()),
        "layers": [asdict(layer) for layer in scan.layers],
        "audit": None if scan.audit is None else asdict(scan.audit),
        "opened": asked,
        "coordinates": None if scan.coordinates is None else scan.coordinates.told(),
        "skipped": np.packbits(skipped).tobytes().hex() if any(skipped) else "",
    }
    return {**json.loads(json.dumps(told)), SEAL: _seal(record, told)}  # as it will be read


def open_scan(path: str | os.PathLike[str] | Remote, image: Any = None) -> Scan:
    """Open a scan that was done, from where its scores went.

    Every tile is read once, and compared with its digest. What needs the network can't be done
    again: peaks with the scores of their crops, and certificates.

    Parameters
    ----------
    path : path
        The `out` of :func:`fcconv.scan`: a ``.zarr`` folder, a ``.npy`` or ``.npz`` file.
    image : array or path, optional
        What was scanned, for pictures; it is opened as it was then (`layout`, `mpp` and the others
        of :class:`fcconv.Reading`). If its file is another, or was written since, a note of the
        scan says so.

    Returns
    -------
    Scan
        The same as `scan` returned, but that no tile was computed.

    Raises
    ------
    OutputError
        If there is no scan, or it is not finished, damaged, or of an older version.
    ImageError
        If the image can't be read, or has another size.
    BackendError
        If a library is not installed.

    Examples
    --------
    >>> import tempfile, numpy as np, fcconv
    >>> from fcconv.demo.network import load_faces
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image, out = np.zeros((1, 100, 200), np.float32), f"{folder}/scores.npy"
    ...     _ = fcconv.scan(load_faces(), image, engine="numpy", out=out)
    ...     found = open_scan(out, image)
    >>> found.scores.shape, found.computed
    ((1, 26, 59), 0)
    """
    place = as_place(path, "path")
    record, told = _told(place)
    with _understood(place):
        made = _outputs(record, told)
        audit, placed = told["audit"], told["coordinates"]
        facts: dict[str, Any] = {
            **{name: told[name] for name in PLAIN},
            **{name: tuple(told[name]) for name in TUPLES},
            **{name: tuple(record[name]) for name in ("size", "window", "stride")},
            **{name: record[name] for name in ("windows", "engine", "preparation")},
            "layers": tuple(_layer(layer) for layer in told["layers"]),
            "audit": None if audit is None else Audit.restored(audit),
            "coordinates": None if placed is None else restored(placed),
        }
        asked = as_reading(told["opened"])
        identities = [str(one) for one in record["image"]]
        tiles = math.prod(next(iter(made.values())).counts)
        skipped = np.unpackbits(np.frombuffer(bytes.fromhex(told["skipped"]), np.uint8))
        scores = _scores(place, made, record, skipped.tolist())
    images: Sequence[Opened] = ()
    if image is not None:
        images, other = _images(image, asked, facts, identities)
        facts["notes"] += other
    return Scan(outputs=scores, tiles=tiles, computed=0, seconds=0.0, images=tuple(images), **facts)


def _seal(record: Record, told: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps([record, told], sort_keys=True).encode()).hexdigest()


def _told(place: Place) -> tuple[Record, dict[str, Any]]:
    """Read what a scan is.

    Raises
    ------
    OutputError
        If that is not said.
    """
    if place.suffix not in suffixes():
        raise OutputError(f"{place} is not a scan: give what a scan wrote, a {either(suffixes())}")
    chunks = chunks_of(place)
    if not place.exists() and not chunks.exists():
        raise OutputError(f"{place} does not exist: give what a scan wrote, a {either(suffixes())}")
    record, told = record_of(place), description_in(place)
    if record is None:
        raise OutputError(f"{place} does not say of which scan it is: give what a scan wrote")
    if told is None or not place.exists():
        raise OutputError(
            f"{place} is not finished, or of a version that could not open scans again: run that "
            f"scan with --resume (existing='resume'), which computes only what is missing"
        )
    seal = told.pop(SEAL, None)
    if seal != _seal(record, told):
        raise OutputError(
            f"{place} is damaged in what it says of its scan: run that scan with --resume "
            f"(existing='resume'), or overwrite it"
        )
    return record, told


@contextmanager
def _understood(place: Place) -> Iterator[None]:
    """Turn what another version says, or does not say, into an error that names the scan."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if isinstance(error, FcconvError):
            raise
        raise OutputError(
            f"{place} is of a version that says other things of its scan ({error!r}): run that "
            f"scan with --resume (existing='resume')"
        ) from None


def _outputs(record: Record, told: Mapping[str, Any]) -> dict[str, Output]:
    """Describe the scores of all windows, one chunk per tile."""
    axes = zip(record["size"], record["window"], record["stride"], strict=True)
    cells = [(n - k) // s + 1 for n, k, s in axes]
    whole, one_tile = ((len(record["image"]),), (1,)) if told["batched"] else ((), ())
    return {
        name: Output(
            (*whole, channels, *cells), (*one_tile, channels, *record["tile"]), np.dtype(dtype)
        )
        for name, channels, dtype in told["outputs"]
    }


def _layer(told: Mapping[str, Any]) -> Layer:
    shapes = {name: tuple(told[name]) for name in ("before", "after")}
    return Layer(**{**told, **shapes})


def _images(
    image: Any, asked: Reading, facts: Mapping[str, Any], identities: Sequence[str]
) -> tuple[Sequence[Opened], tuple[str, ...]]:
    """Open what was scanned, and say in a note where it may be another.

    Raises
    ------
    ImageError
        If it can't be read, or has another size.
    """
    size, scale = facts["size"], facts["scale"]
    opened, _ = open_sized(image, len(size), **asked)
    sized = [one if one.scale == scale else resized(one.picture, scale) for one in opened]
    images: Sequence[Opened] = sized
    if facts["pad"] is not None:
        images = [padded(one, facts["window"], facts["stride"], facts["pad"]) for one in sized]
    if len(images) != len(identities):
        raise ImageError(
            f"image is not what was scanned: {len(images)} of them, the scan is of "
            f"{len(identities)}: give what was scanned"
        )
    if images[0].size != size:
        as_then = "" if sized[0] is images[0] and scale == 1 else ", scaled and padded as then,"
        raise ImageError(
            f"{images[0].name} of {images[0].size} {unit(len(size))}{as_then} is not what was "
            f"scanned, which has {size}: give what was scanned"
        )
    for one, then in zip(images, identities, strict=True):
        now = one.identity()
        if now != then:
            return images, (OTHER.format(now, then),)
    return images, ()


def _scores(
    place: Place, made: Mapping[str, Output], record: Record, skipped: Sequence[int]
) -> Mapping[str, Any]:
    """Open the scores, checked tile by tile.

    Raises
    ------
    OutputError
        If a tile is missing or damaged.
    """
    if isinstance(place, Path) and place.suffix != CHUNKED:
        scores = open_finished(place, made).finish()
        if any((scores[n].shape, scores[n].dtype) != (y.shape, y.dtype) for n, y in made.items()):
            raise OutputError(f"{place} does not hold the scores of its scan: overwrite it")
        return scores
    folder = InFolder.reading(place, made, record)
    tiles = itertools.zip_longest(folder.chunks(), skipped[: math.prod(folder.digests.shape[:-1])])
    for chunk, is_skipped in tiles:
        if is_skipped:
            folder.skip(chunk)
    kept = (chunk for chunk in folder.chunks() if chunk not in folder.skipped)
    lost = sum(folder.read(chunk) is None for chunk in kept)
    if lost:
        raise OutputError(
            f"{place} has {lost} tiles that are missing or damaged: run that scan with --resume "
            f"(existing='resume'), which computes them"
        )
    return folder.finish()
