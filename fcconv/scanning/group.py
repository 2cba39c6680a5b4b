"""The zarr group that scores lie in, which says of which run it is.

Parts of a scan may begin at the same moment, on machines that share no more than a drive or a store
of objects. The first one decides by its record: on a drive each makes a group beside the place, and
renames it, so that one stays; in a store each puts the description of the group if there is none.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import OutputError
from fcconv.images.libraries import needed
from fcconv.remote import Place, Remote
from fcconv.scanning.outputs import Output, stored_names
from fcconv.scanning.records import (
    ATTRIBUTE,
    METADATA,
    Record,
    new_beside,
    read_json,
    record_in,
    remove,
    writing,
)

DIGESTS = "fcconv-tiles/digests"
"""The array of digests in the group; with a hyphen, and so of no output."""

DIGEST_BYTES = 32


def begin_group(path: Place, outputs: Mapping[str, Output], record: Record) -> Record:
    """Make a group unless one is there, and return the record of the one that is.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    begun = record_in(path)
    if begun is not None:
        return begun
    with writing(path), _made(path, outputs, record) as made:
        if isinstance(path, Remote):
            (path / METADATA).create((made / METADATA).read_bytes())
        else:
            try:
                made.replace(path)  # which a folder that is not empty refuses
            except OSError:
                if record_in(path) is None:
                    raise
    begun = record_in(path)
    if begun is None:
        raise OutputError(f"{path} was removed while it was begun")
    return begun


def mend_group(path: Place, outputs: Mapping[str, Output], record: Record) -> None:
    """Make a group, or put one of the same run right.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    with writing(path), _made(path, outputs, record) as made:
        if isinstance(path, Remote):
            (path / METADATA).create((made / METADATA).read_bytes())
        elif not path.exists():
            made.replace(path)
            return
        else:
            for leftover in path.rglob("*.partial"):  # of a chunk that was being written
                remove(leftover)
        _restore(made, path)


def complete_group(path: Place, outputs: Mapping[str, Output], record: Record) -> None:
    """Describe the arrays of a group that was begun in a store, all parts in the same words.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    if isinstance(path, Remote):
        with writing(path), _made(path, outputs, record) as made:
            _restore(made, path)


@contextmanager
def _made(path: Place, outputs: Mapping[str, Output], record: Record) -> Iterator[Path]:
    """Make a group without chunks beside its place, or for a store in a folder that goes away."""
    if isinstance(path, Remote):
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, path.name)
            _make(made, outputs, record)
            yield made
        return
    made = new_beside(path)
    try:
        _make(made, outputs, record)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make(made: Path, outputs: Mapping[str, Output], record: Record) -> None:
    """Make a group without chunks."""
    zarr = needed("zarr")
    group = zarr.create_group(made, attributes={ATTRIBUTE: record})
    # zarr's default, zstd, takes longer than many networks
    pressed = zarr.codecs.BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
    fixed: dict[str, Any] = {
        "chunk_key_encoding": {"name": "default", "separator": "/"},
    }
    for name, stored in stored_names(outputs).items():
        output = outputs[name]
        group.create_array(
            stored,
            shape=output.shape,
            chunks=output.chunk,
            dtype=output.dtype,
            fill_value=np.nan if output.dtype.kind == "f" else 0,
            compressors=[
                pressed,
                zarr.codecs.Crc32cCodec(),
            ],  # who reads a damaged chunk gets an error
            **fixed,
        )
    counts = next(iter(outputs.values())).counts
    group.create_array(
        DIGESTS,
        shape=(*counts, DIGEST_BYTES),
        chunks=(*(1 for _ in counts), DIGEST_BYTES),
        dtype="uint8",
        compressors=None,
        **fixed,
    )


def _restore(made: Path, path: Place) -> None:
    """Put right what describes the arrays of a group, which would decide how chunks are read.

    What users have added to the attributes stays where nothing else has changed.
    """
    for file in made.rglob(METADATA):
        if file.parent == made:
            continue
        kept = path.joinpath(*file.relative_to(made).parts)
        if _description(kept) == _description(file):
            continue
        if isinstance(kept, Remote):
            kept.write_bytes(file.read_bytes())
        else:
            kept.parent.mkdir(parents=True, exist_ok=True)
            file.replace(kept)


def _description(file: Place) -> dict[str, Any]:
    """Read what describes an array or a group, without what users may add."""
    return {**read_json(file), "attributes": {}}
