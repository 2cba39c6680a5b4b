"""Where scores go: into memory, or into files that a run cut off at any moment can go on with.

In a file, each tile is one chunk of a zarr array. A chunk is written whole or not at all, and the
last output's chunk says that its tile is finished. A ``.npy`` or ``.npz`` is put together from such
chunks, which lie beside it until then.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fcconv.errors import BackendError, OutputError

Array = npt.NDArray[Any]
Record = dict[str, Any]
"""What a run is: equal records give equal bytes."""

ATTRIBUTE = "fcconv"
"""Under which the record stands in the attributes of a zarr group."""

SUFFIXES = (".zarr", ".npz", ".npy")


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


class Store(Protocol):
    """What takes the scores of tiles."""

    def is_done(self, chunk: tuple[int, ...]) -> bool:
        """Say whether a tile was finished by an earlier run; which chunk it is along each axis."""
        ...

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Keep the scores of a tile, for each output."""
        ...

    def finish(self) -> Mapping[str, Any]:
        """Return all scores, when every tile is written."""
        ...


class InMemory:
    """Scores in arrays.

    Parameters
    ----------
    outputs : mapping of str to Output
        What is to be kept.
    """

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = outputs
        self._arrays = {name: np.empty(made.shape, made.dtype) for name, made in outputs.items()}

    def is_done(self, chunk: tuple[int, ...]) -> bool:
        """Say that nothing was finished before."""
        return False

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Keep the scores of a tile."""
        for name, made in self._outputs.items():
            self._arrays[name][_place(made, chunk)] = scores[name]

    def finish(self) -> Mapping[str, Any]:
        """Return the arrays."""
        return self._arrays


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
        self._path, self._outputs = path, outputs
        group = zarr.open_group(path, mode="r+")
        self._arrays = {name: group[name] for name in outputs}

    def _create(self, path: Path, outputs: Mapping[str, Output], record: Record) -> None:
        """Make the group beside its place and move it there: it is there whole or not at all."""
        made = path.with_name(f"{path.name}.new")
        shutil.rmtree(made, ignore_errors=True)
        zarr = _zarr()
        # zarr's default, zstd, takes longer than many networks
        codec = zarr.codecs.BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
        group = zarr.create_group(made, attributes={ATTRIBUTE: record})
        for name, output in outputs.items():
            group.create_array(
                name,
                shape=output.shape,
                chunks=output.chunk,
                dtype=output.dtype,
                fill_value=np.nan,
                compressors=codec,
                chunk_key_encoding={"name": "default", "separator": "/"},
                config={"write_empty_chunks": True},  # a chunk's file says that its tile is done
            )
        made.replace(path)

    def is_done(self, chunk: tuple[int, ...]) -> bool:
        """Say whether the last output's chunk is there."""
        *_, name = self._outputs
        return self._path.joinpath(name, "c", *map(str, chunk)).exists()

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Write a chunk for each output."""
        for name, output in self._outputs.items():
            self._arrays[name][_place(output, chunk)] = scores[name]

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
        self._folder = _chunks_of(path)
        self._chunks = InFolder(self._folder, outputs, record)
        self.is_done, self.write = self._chunks.is_done, self._chunks.write

    def finish(self) -> Mapping[str, Any]:
        """Put the file together, and remove the chunks."""
        arrays = self._chunks.finish()
        joined = {
            name: self._joined(name, output, arrays[name]) for name, output in self._outputs.items()
        }
        if self._path.suffix == ".npz":
            made = self._folder / "joined.npz"
            with made.open("wb") as file:
                np.savez(
                    file, allow_pickle=False, **{n: np.load(p, "r") for n, p in joined.items()}
                )
        else:
            (made,) = joined.values()
        made.replace(self._path)
        if self._path.suffix == ".npy":
            found: Mapping[str, Any] = dict.fromkeys(self._outputs, np.load(self._path, "r"))
        else:
            found = np.load(self._path)
        shutil.rmtree(self._folder)
        return found

    def _joined(self, name: str, output: Output, chunks: Any) -> Path:
        """Copy the chunks of an output into one file, one after the other."""
        path = self._folder / f"{name}.npy"
        whole = np.lib.format.open_memmap(path, "w+", output.dtype, output.shape)
        counts = (-(-n // m) for n, m in zip(output.shape, output.chunk, strict=True))
        for chunk in np.ndindex(*counts):
            place = _place(output, chunk)
            whole[place] = chunks[place]
        whole.flush()
        return path


def open_store(
    out: Path | None, outputs: Mapping[str, Output], record: Record, existing: str
) -> Store:
    """Open the place where scores go.

    Parameters
    ----------
    out : path or None
        A ``.zarr`` folder, a ``.npy`` or ``.npz`` file; None for memory.
    outputs : mapping of str to Output
        What is to be kept.
    record : dict
        What the run is, as JSON holds it.
    existing : {"refuse", "resume", "overwrite"}
        What to do with scores that are there.

    Raises
    ------
    OutputError
        If there is something that must not be replaced, or that is of another run.
    BackendError
        If zarr is not installed.
    """
    if out is None:
        return InMemory(outputs)
    if out.suffix == ".npy" and len(outputs) > 1:
        raise OutputError(f"a .npy holds one array, the network has {len(outputs)}: use .npz")
    chunks = _chunks_of(out)
    if existing == "overwrite":
        _remove(out)
        _remove(chunks)
    elif existing == "resume":
        _check_same(chunks, record)
    if existing != "resume" and chunks.exists():
        raise OutputError(f"{chunks} is there: resume that run, or overwrite it")
    if out.exists() and not chunks.exists():
        raise OutputError(f"{out} is there, and complete: overwrite it, or take another name")
    opened = InFolder if out.suffix == ".zarr" else InFile
    return opened(out, outputs, record)


def recorded(out: Path | None) -> Record | None:
    """Read what the run was whose chunks are there; None without any."""
    return None if out is None else _record_in(_chunks_of(out))


def check_out(out: Path) -> None:
    """Check that scores can go to a path.

    Raises
    ------
    OutputError
        If its suffix is unknown, or its folder missing.
    """
    if out.suffix not in SUFFIXES:
        raise OutputError(f"{out}: scores go to {', '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}")


def _check_same(chunks: Path, record: Record) -> None:
    before = _record_in(chunks)
    if before is None:
        if chunks.exists():
            raise OutputError(f"{chunks} is no scan: take another name")
        return
    for name in {**before, **record}:
        if before.get(name) != record.get(name):
            raise OutputError(
                f"{chunks} is of another run: its {name} is {before.get(name)!r}, now it is "
                f"{record.get(name)!r}; give the same, or overwrite it"
            )


def _remove(path: Path) -> None:
    """Remove scores; a folder only if it is a scan."""
    if path.is_dir():
        if _record_in(path) is None:
            raise OutputError(f"{path} is no scan, and not removed: take another name")
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _chunks_of(out: Path) -> Path:
    """Return the folder of chunks: the output itself, or beside it until it is complete."""
    return out if out.suffix == ".zarr" else out.with_name(f"{out.name}.zarr")


def _record_in(chunks: Path) -> Record | None:
    try:
        described = json.loads((chunks / "zarr.json").read_text(encoding="utf-8"))
        record = described["attributes"][ATTRIBUTE]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if isinstance(record, dict) else None


def _place(output: Output, chunk: tuple[int, ...]) -> tuple[slice, ...]:
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
