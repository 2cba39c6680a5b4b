"""Scores in files that a run cut off at any moment can go on with.

Each tile is one chunk of a zarr array. A chunk is written whole or not at all, and the last
output's chunk says that its tile is finished. A ``.npy`` or ``.npz`` is put together from such
chunks, which lie beside it until then.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import BackendError, OutputError
from fcconv.scanning.mapped import map_npz, release

Array = npt.NDArray[Any]
Record = dict[str, Any]
"""What a run is: equal records give equal bytes."""

ATTRIBUTE = "fcconv"
"""Under which the record stands in the attributes of a zarr group."""


@dataclass(frozen=True)
class Output:
    """An output of the network over a whole image or batch.

    Attributes
    ----------
    shape : tuple of int
        ``(K, *cells)`` or ``(N, K, *cells)``.
    chunk : tuple of int
        Shape of what one tile keeps.
    dtype : dtype
        Type of the scores.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]


class InFolder:
    """Scores in a zarr group, a chunk a tile.

    Parameters
    ----------
    path : path
        The folder.
    outputs : mapping of str to Output
        What is to be kept.
    record : dict
        What the run is.
    """

    def __init__(self, path: Path, outputs: Mapping[str, Output], record: Record) -> None:
        zarr = _zarr()
        if not path.exists():
            self._create(path, outputs, record)
        for leftover in path.rglob("*.partial"):  # of a chunk that was being written
            leftover.unlink()
        self._path, self._outputs, self._names = path, outputs, stored_names(outputs)
        try:
            group = zarr.open_group(path, mode="r+")
            self._arrays = {name: group[stored] for name, stored in self._names.items()}
        except (KeyError, ValueError, FileNotFoundError):
            raise OutputError(f"{path} is damaged: overwrite it") from None

    def _create(self, path: Path, outputs: Mapping[str, Output], record: Record) -> None:
        """Make the group beside its place and move it there: it is there whole or not at all."""
        made, _ = _leftovers(path)
        zarr = _zarr()
        # zarr's default, zstd, takes longer than many networks
        codec = zarr.codecs.BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
        with _writing(path):
            group = zarr.create_group(made, attributes={ATTRIBUTE: record})
            for name, stored in stored_names(outputs).items():
                output = outputs[name]
                group.create_array(
                    stored,
                    shape=output.shape,
                    chunks=output.chunk,
                    dtype=output.dtype,
                    fill_value=np.nan if output.dtype.kind == "f" else 0,
                    compressors=codec,
                    chunk_key_encoding={"name": "default", "separator": "/"},
                    config={"write_empty_chunks": True},  # a chunk's file says: its tile is done
                )
            made.replace(path)

    def is_done(self, chunk: tuple[int, ...]) -> bool:
        """Say whether the last output's chunk is there."""
        *_, stored = self._names.values()
        return self._path.joinpath(stored, "c", *map(str, chunk)).exists()

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Write a chunk for each output."""
        with _writing(self._path):
            for name, output in self._outputs.items():
                self._arrays[name][place(output, chunk)] = scores[name]

    def finish(self) -> Mapping[str, Any]:
        """Return the arrays, which read from the folder."""
        return self._arrays


class InFile:
    """Scores in one ``.npy`` or ``.npz``, put together from chunks beside it.

    Parameters
    ----------
    path : path
        The file.
    outputs : mapping of str to Output
        What is to be kept.
    record : dict
        What the run is.
    """

    def __init__(self, path: Path, outputs: Mapping[str, Output], record: Record) -> None:
        self._path, self._outputs = path, outputs
        self._folder = chunks_of(path)
        self._chunks = InFolder(self._folder, outputs, record)
        self.is_done, self.write = self._chunks.is_done, self._chunks.write

    def finish(self) -> Mapping[str, Any]:
        """Put the file together, and remove the chunks."""
        arrays, names = self._chunks.finish(), stored_names(self._outputs)
        with _writing(self._path):
            joined = [
                self._joined(stored, self._outputs[name], arrays[name])
                for name, stored in names.items()
            ]
            made = _zipped(joined) if self._path.suffix == ".npz" else joined[0]
            record = self._folder / "record.json"
            record.write_text(json.dumps(record_in(self._folder), indent=1), encoding="utf-8")
            record.replace(_beside(self._path))
            made.replace(self._path)
            discard(self._folder)
        return Finished(self._path, self._outputs).finish()

    def _joined(self, stored: str, output: Output, chunks: Any) -> Path:
        """Copy the chunks of an output into one file, one after the other."""
        path = self._folder / f"{stored}.npy"
        whole = np.lib.format.open_memmap(path, "w+", output.dtype, output.shape)
        if hasattr(os, "posix_fallocate"):  # a disk that is full is an error here, and no signal
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        counts = (-(-n // m) for n, m in zip(output.shape, output.chunk, strict=True))
        for chunk in np.ndindex(*counts):
            part = place(output, chunk)
            whole[part] = chunks[part]
            release(whole)
        whole.flush()
        return path


class Finished:
    """Scores in one ``.npy`` or ``.npz`` that is complete.

    Parameters
    ----------
    path : path
        The file.
    outputs : mapping of str to Output
        What it holds.
    """

    def __init__(self, path: Path, outputs: Mapping[str, Output]) -> None:
        self._path, self._names = path, stored_names(outputs)

    def is_done(self, chunk: tuple[int, ...]) -> bool:
        """Say that every tile is finished."""
        return True

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Take nothing: there is no tile left."""

    def finish(self) -> Mapping[str, Any]:
        """Open the file, which is read by region."""
        try:
            if self._path.suffix == ".npy":
                return dict.fromkeys(self._names, np.load(self._path, "r"))
            arrays = map_npz(self._path)
            return {name: arrays[stored] for name, stored in self._names.items()}
        except (ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile):
            raise OutputError(f"{self._path} is damaged: overwrite it") from None


def stored_names(outputs: Mapping[str, Output]) -> dict[str, str]:
    """Name the arrays in files as the outputs, if all these can be names of files everywhere."""
    if all(re.fullmatch(r"\w{1,64}", name, re.ASCII) for name in outputs):
        return {name: name for name in outputs}
    return {name: f"output_{k}" for k, name in enumerate(outputs)}


def _zipped(arrays: Sequence[Path]) -> Path:
    """Put .npy files into an .npz beside them, without the time of day."""
    made = arrays[0].with_name("joined.npz")
    with zipfile.ZipFile(made, "w") as archive:
        for path in arrays:
            entry = zipfile.ZipInfo(path.name)
            with path.open("rb") as array, archive.open(entry, "w", force_zip64=True) as file:
                shutil.copyfileobj(array, file)
    return made


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the file in the errors of the system, which do not always, and of broken chunks."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    except RuntimeError as error:
        raise OutputError(f"{path} is damaged ({error}): overwrite it") from error


def discard(folder: Path) -> None:
    """Remove a folder so that half of it is never found in its place."""
    _, old = _leftovers(folder)
    folder.replace(old)
    shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(chunks: Path) -> None:
    """Remove what runs that were cut off left beside a folder of chunks."""
    for leftover in _leftovers(chunks):
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(chunks: Path) -> tuple[Path, Path]:
    """Name what is to become a folder of chunks, and what was one."""
    made, old = (chunks.with_name(f".{chunks.name}.fcconv-{state}") for state in ("new", "old"))
    return made, old


def chunks_of(out: Path) -> Path:
    """Return the folder of chunks: the output itself, or beside it until it is complete."""
    return out if out.suffix == ".zarr" else out.with_name(f"{out.name}.zarr")


def record_in(chunks: Path) -> Record | None:
    """Read what the run is whose chunks lie in a folder; None if it is no such folder."""
    attributes = _read_json(chunks / "zarr.json").get("attributes")
    record = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    return record if isinstance(record, dict) else None


def record_beside(out: Path) -> Record | None:
    """Read what the run was that a ``.npy`` or ``.npz`` is of; None if nothing tells."""
    return _read_json(_beside(out)) or None


def _beside(out: Path) -> Path:
    """Name the file that tells of what run a ``.npy`` or ``.npz`` is."""
    return out.with_name(f"{out.name}.fcconv.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def place(output: Output, chunk: tuple[int, ...]) -> tuple[slice, ...]:
    """Return what a chunk holds of an output, counted in chunks along each axis."""
    return tuple(
        slice(k * m, min((k + 1) * m, n))
        for k, m, n in zip(chunk, output.chunk, output.shape, strict=True)
    )


def _zarr() -> Any:
    try:
        import zarr
    except ModuleNotFoundError:
        raise BackendError("zarr is not installed: pip install 'fcconv[scan]'") from None
    return zarr
