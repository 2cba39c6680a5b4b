"""Scores in a zarr group that a run cut off at any moment can go on with.

Each tile is one chunk of each output's array, and one of an array of digests. A tile is finished if
its digest is that of the scores which its chunks hold, of its place and of its run: whatever was
changed, exchanged, cut short or never written does not agree, and is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import OutputError
from fcconv.images.libraries import needed
from fcconv.remote import Place, Remote
from fcconv.scanning.group import DIGEST_BYTES, DIGESTS, mend_group
from fcconv.scanning.outputs import Output, stored_names
from fcconv.scanning.records import (
    DESCRIBED,
    Record,
    description_in,
    record_in,
    remove,
    writing,
)

Array = npt.NDArray[Any]

WHOLE = {"write_empty_chunks": True}
"""How arrays are opened: zarr does not keep it in their files."""


@dataclass(frozen=True, eq=False)
class InFolder:
    """Scores in a zarr group, one chunk per tile.

    Attributes
    ----------
    path : Path or Remote
        The folder.
    outputs : mapping of str to Output
        What is kept.
    record : dict
        What the run is.
    arrays : mapping of str to zarr.Array
        The array of each output.
    digests : zarr.Array
        A digest for each tile.
    skipped : set of tuple of int
        Tiles that are not to have scores: where they lie, zarr reads NaN.
    """

    path: Place
    outputs: Mapping[str, Output]
    record: Record
    arrays: Mapping[str, Any]
    digests: Any
    skipped: set[tuple[int, ...]] = field(default_factory=set)

    @classmethod
    def opened(cls, path: Place, outputs: Mapping[str, Output], record: Record) -> InFolder:
        """Make the group, or go on with one of the same run, to which nothing else writes.

        Raises
        ------
        OutputError
            If it can't be written, or is damaged.
        """
        mend_group(path, outputs, record)
        return cls.joining(path, outputs, record)

    @classmethod
    def joining(cls, path: Place, outputs: Mapping[str, Output], record: Record) -> InFolder:
        """Open the group of a run to which others may write.

        Raises
        ------
        OutputError
            If it is damaged.
        """
        return cls._of_group(path, outputs, record, "r+")

    @classmethod
    def reading(cls, path: Place, outputs: Mapping[str, Output], record: Record) -> InFolder:
        """Open the group of a run that is finished; nothing is written.

        Raises
        ------
        OutputError
            If it is damaged.
        """
        return cls._of_group(path, outputs, record, "r")

    @classmethod
    def _of_group(
        cls, path: Place, outputs: Mapping[str, Output], record: Record, mode: str
    ) -> InFolder:
        try:
            group = needed("zarr").open_group(str(path), mode=mode, use_consolidated=False)
            # a tile is there if its files are, those that hold nothing but the fill value included
            arrays = {
                name: group[stored].with_config(WHOLE)
                for name, stored in {**stored_names(outputs), DIGESTS: DIGESTS}.items()
            }
            return cls(path, outputs, record, arrays, arrays.pop(DIGESTS))
        except Exception as error:  # zarr raises anything on what is damaged
            raise OutputError(f"{path} is damaged: overwrite it") from error

    def read(self, chunk: tuple[int, ...]) -> dict[str, Array] | None:
        """Return the scores of a tile; None if they are not there as they were written."""
        if not self._is_there(chunk):
            return None
        try:
            scores = {
                name: self.arrays[name][output.place(chunk)]
                for name, output in self.outputs.items()
            }
            # a chunk of bytes that is not compressed: zarr would take 0.2 ms of a core to say them
            written = self._digest_file(chunk).read_bytes()
        except Exception:  # codecs raise anything on what is damaged
            return None
        return scores if written == self._digest(chunk, scores).tobytes() else None

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Write a chunk for each output, and their digest.

        Raises
        ------
        OutputError
            If that fails, or the folder is not there any more.
        """
        self._check_folder()
        with writing(self.path):
            for file in self._files(chunk):  # a damaged one would be read, to write a part of it
                remove(file)
            for name, output in self.outputs.items():
                self.arrays[name][output.place(chunk)] = scores[name]
            self.digests[chunk] = self._digest(chunk, scores)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write into the attributes what the scan is, unless it is there."""
        if description_in(self.path) != description:
            with writing(self.path):
                needed("zarr").open_group(str(self.path), mode="r+").attrs[DESCRIBED] = description

    def skip(self, chunk: tuple[int, ...]) -> None:
        """Take note that a tile is not to have scores."""
        self.skipped.add(chunk)

    def chunks(self) -> Iterator[tuple[int, ...]]:
        """Name all tiles."""
        return np.ndindex(*self.digests.shape[:-1])

    def finish(self) -> Mapping[str, Any]:
        """Return the arrays, which read from the folder.

        Raises
        ------
        OutputError
            If it has lost what was written to it.
        """
        self._check_folder()
        is_there = self._listed(self.path) if isinstance(self.path, Remote) else self._is_there
        if not all(chunk in self.skipped or is_there(chunk) for chunk in self.chunks()):
            raise OutputError(f"{self.path} has lost finished tiles while others were computed")
        return self.arrays

    def _digest(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> Array:
        """Tell the scores of a tile from all others: of another place, output or run."""
        told = json.dumps([self.record, chunk], sort_keys=True)
        digest = hashlib.blake2b(told.encode(), digest_size=DIGEST_BYTES)
        for name, output in self.outputs.items():
            digest.update(np.ascontiguousarray(scores[name], output.dtype).view(np.uint8).data)
        return np.frombuffer(digest.digest(), np.uint8)

    def _files(self, chunk: tuple[int, ...]) -> Iterator[Place]:
        """Name the files of a tile."""
        key = ("c", *map(str, chunk))
        for stored in stored_names(self.outputs).values():
            yield self.path.joinpath(stored, *key)
        yield self._digest_file(chunk)

    def _digest_file(self, chunk: tuple[int, ...]) -> Place:
        """Name the file that holds the digest of a tile."""
        return self.path.joinpath(DIGESTS, "c", *map(str, chunk), "0")

    def _is_there(self, chunk: tuple[int, ...]) -> bool:
        """Say whether a tile has its files; a link or a pipe in the place of one is not."""
        return all(file.is_file() and not file.is_symlink() for file in self._files(chunk))

    def _listed(self, folder: Remote) -> Callable[[tuple[int, ...]], bool]:
        """Answer the same by one list, where each answer would be a request."""
        names = folder.names()
        return lambda chunk: all(str(file) in names for file in self._files(chunk))

    def _check_folder(self) -> None:
        """Check that the folder is still there, and of this run."""
        if record_in(self.path) != self.record:
            raise OutputError(f"{self.path} was removed, renamed or replaced while it was written")
