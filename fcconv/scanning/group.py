"""The zarr group that scores lie in: it is there whole or not at all, and says of which run it is.

Parts of a scan may begin at the same moment, on machines that share no more than a drive. Each
makes a group beside the place, and renames it: the first stays, and its record decides for all.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import BackendError, OutputError
from fcconv.scanning.outputs import Output, stored_names
from fcconv.scanning.records import (
    ATTRIBUTE,
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


def begin_group(path: Path, outputs: Mapping[str, Output], record: Record) -> Record:
    """Make a group unless one is there, and return the record of the one that is.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    with writing(path):
        if not path.exists():
            made = _made(path, outputs, record)
            try:
                made.replace(path)  # which a folder that is not empty refuses
            except OSError:
                shutil.rmtree(made)
                if record_in(path) is None:
                    raise
    begun = record_in(path)
    if begun is None:
        raise OutputError(f"{path} was removed while it was begun")
    return begun


def mend_group(path: Path, outputs: Mapping[str, Output], record: Record) -> None:
    """Make a group, or put one of the same run right.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    with writing(path):
        made = _made(path, outputs, record)
        if path.exists():
            _restore(made, path)
            shutil.rmtree(made)
            for leftover in path.rglob("*.partial"):  # of a chunk that was being written
                remove(leftover)
        else:
            made.replace(path)


def import_zarr() -> Any:
    """Import zarr.

    Raises
    ------
    BackendError
        If it is not installed.
    """
    try:
        import zarr
    except ModuleNotFoundError:
        raise BackendError("zarr is not installed: pip install 'fcconv[scan]'") from None
    return zarr


def _made(path: Path, outputs: Mapping[str, Output], record: Record) -> Path:
    """Make a group without chunks beside its place."""
    codecs = import_zarr().codecs
    made = new_beside(path)
    group = import_zarr().create_group(made, attributes={ATTRIBUTE: record})
    # zarr's default, zstd, takes longer than many networks
    pressed = codecs.BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
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
            compressors=[pressed, codecs.Crc32cCodec()],  # who reads a damaged chunk gets an error
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
    return made


def _restore(made: Path, path: Path) -> None:
    """Put right what describes the arrays of a group, which would decide how chunks are read.

    What users have added to the attributes stays where nothing else has changed.
    """
    for file in made.rglob("zarr.json"):
        kept = path / file.relative_to(made)
        if kept.parent != path and _description(kept) != _description(file):
            kept.parent.mkdir(parents=True, exist_ok=True)
            file.replace(kept)


def _description(file: Path) -> dict[str, Any]:
    """Read what describes an array or a group, without what users may add."""
    return {**read_json(file), "attributes": {}}
