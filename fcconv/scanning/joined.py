"""Scores in one file, put together from chunks which lie beside it until then."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import OutputError
from fcconv.images.mapped import release, reserve
from fcconv.scanning.chunks import Array, InFolder
from fcconv.scanning.outputs import Output, stored_names
from fcconv.scanning.records import (
    Record,
    beside,
    chunks_of,
    describe_beside,
    discard,
    record_beside,
    write_record,
    writing,
)
from fcconv.scanning.score_files import SCORE_FORMATS


@dataclass(frozen=True, eq=False)
class InFile:
    """Scores in one file that is not complete.

    Attributes
    ----------
    path : Path
        The file.
    folder : InFolder
        Its chunks.
    """

    path: Path
    folder: InFolder

    @classmethod
    def opened(cls, path: Path, outputs: Mapping[str, Output], record: Record) -> InFile:
        """Begin, or go on with what a run of the same record began; see :class:`InFolder`."""
        return cls(path, InFolder.opened(chunks_of(path), outputs, record))

    def read(self, chunk: tuple[int, ...]) -> Mapping[str, Array] | None:
        """Return the scores of a tile, if it is finished."""
        return self.folder.read(chunk)

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Write a chunk for each output."""
        self.folder.write(chunk, scores)

    def skip(self, chunk: tuple[int, ...]) -> None:
        """Take note that a tile is not to have scores."""
        self.folder.skip(chunk)

    def finish(self) -> Mapping[str, Any]:
        """Put the file together, and remove the chunks.

        Raises
        ------
        OutputError
            If it can't be written, or chunks were damaged.
        """
        self.folder.finish()
        chunks = chunks_of(self.path)
        with writing(self.path):
            made = chunks / "joined-outputs"  # with a hyphen, and so of no output
            SCORE_FORMATS[self.path.suffix].write(self._joined(), made)
            record = chunks / "record.json"
            write_record(record, self.folder.record, _digest(made))
            record.replace(beside(self.path))
            made.replace(self.path)
            discard(chunks)
        return _opened(self.path, self.folder.outputs)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write beside the file what the scan is."""
        _describe(self.path, description)

    def _joined(self) -> list[Path]:
        """Copy the chunks of each output into one file, tile after tile."""
        outputs, names = self.folder.outputs, stored_names(self.folder.outputs)
        paths = {name: chunks_of(self.path) / f"{stored}.npy" for name, stored in names.items()}
        wholes = {name: _empty(path, outputs[name]) for name, path in paths.items()}
        for chunk in self.folder.chunks():
            is_skipped = chunk in self.folder.skipped
            scores = None if is_skipped else self.folder.read(chunk)
            if scores is None and not is_skipped:
                raise OutputError(f"{self.folder.path} has lost finished tiles")
            for name, whole in wholes.items():
                whole[outputs[name].place(chunk)] = np.nan if scores is None else scores[name]
                release(whole)
        for whole in wholes.values():
            whole.flush()
        return list(paths.values())


@dataclass(frozen=True, eq=False)
class Finished:
    """Scores in one file that is complete.

    Attributes
    ----------
    path : Path
        The file.
    outputs : mapping of str to Output
        What it holds.
    arrays : mapping of str to array
        The array of each output, which is read by region.
    """

    path: Path
    outputs: Mapping[str, Output]
    arrays: Mapping[str, Any]

    def read(self, chunk: tuple[int, ...]) -> Mapping[str, Array]:
        """Return the scores of a tile, read where they are looked at; every one is finished."""
        return {n: self.arrays[n][made.place(chunk)] for n, made in self.outputs.items()}

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Take nothing: there is no tile left."""

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write beside the file what the scan is."""
        _describe(self.path, description)

    def skip(self, chunk: tuple[int, ...]) -> None:
        """Take no note: there is NaN already."""

    def finish(self) -> Mapping[str, Any]:
        """Return the arrays."""
        return self.arrays


def open_finished(path: Path, outputs: Mapping[str, Output]) -> Finished:
    """Open a file of scores that is as it was written.

    Raises
    ------
    OutputError
        If it is not.
    """
    with writing(path):
        told = record_beside(path)
        if told is None or _digest(path) != told[1]:
            raise _damaged(path)
    return Finished(path, outputs, _opened(path, outputs))


def _describe(path: Path, description: Mapping[str, Any]) -> None:
    """Write beside a file what its scan is."""
    with writing(path):
        describe_beside(path, description)


def _opened(path: Path, outputs: Mapping[str, Output]) -> Mapping[str, Any]:
    """Open the arrays in a file, which are read by region."""
    names = stored_names(outputs)
    try:
        arrays = SCORE_FORMATS[path.suffix].read(path, list(names.values()))
        return {name: arrays[stored] for name, stored in names.items()}
    except (OSError, ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile):
        raise _damaged(path) from None


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path} is damaged: overwrite it")


def _digest(path: Path) -> str:
    """Return the BLAKE2 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _empty(path: Path, output: Output) -> np.memmap[Any, Any]:
    """Map a new file for the scores of an output."""
    whole = np.lib.format.open_memmap(path, "w+", output.dtype, output.shape)
    reserve(path)
    return whole
