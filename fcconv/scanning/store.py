"""Where scores go: into memory, or into files; and what may be replaced there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fcconv.arguments import either
from fcconv.errors import OutputError
from fcconv.remote import Place, Remote
from fcconv.scanning.chunks import Array, InFolder
from fcconv.scanning.group import complete_group
from fcconv.scanning.joined import InFile, open_finished
from fcconv.scanning.outputs import Output
from fcconv.scanning.records import (
    CHUNKED,
    Record,
    chunks_of,
    clear_leftovers,
    discard,
    record_beside,
    record_in,
    record_of,
    writing,
)
from fcconv.scanning.score_files import SCORE_FORMATS, suffixes

SAID = {
    "fcconv": "version of fcconv",
    "network": "network, by a digest of nodes and weights,",
    "providers": "list of providers",
}
NEEDED = {"network": "give the file of the network that began it"}
"""The entries of a record in words, and what a user should give where one differs."""

DIGEST_DIGITS = 12
"""Digits of a digest that are told."""

MOST_TOLD = 100
"""Letters of what a run has that are told."""


class Store(Protocol):
    """What takes the scores of tiles."""

    def read(self, chunk: tuple[int, ...]) -> Mapping[str, Array] | None:
        """Return the scores of a tile, by which chunk it is along each axis.

        None if no earlier run finished it, or its scores are not there as they were written.
        """
        ...

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Keep the scores of a tile, for each output."""
        ...

    def skip(self, chunk: tuple[int, ...]) -> None:
        """Take note that a tile is not to have scores: where it lies they are NaN."""
        ...

    def finish(self) -> Mapping[str, Any]:
        """Return all scores, when every tile is written or skipped."""
        ...

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keep what the finished scan is beyond its record."""
        ...


def in_memory(outputs: Mapping[str, Output]) -> InMemory:
    """Make room for scores in arrays.

    Raises
    ------
    OutputError
        If there is none.
    """
    try:
        arrays = {n: np.empty(made.shape, made.dtype) for n, made in outputs.items()}
    except MemoryError as error:
        raise OutputError(f"the scores do not fit into memory ({error}): give out") from None
    return InMemory(outputs, arrays)


@dataclass(frozen=True, eq=False)
class InMemory:
    """Scores in arrays.

    Attributes
    ----------
    outputs : mapping of str to Output
        What is to be kept.
    arrays : mapping of str to array
        The scores of each output.
    """

    outputs: Mapping[str, Output]
    arrays: Mapping[str, Array]

    def read(self, chunk: tuple[int, ...]) -> None:
        """Return nothing: no tile was finished before."""

    def write(self, chunk: tuple[int, ...], scores: Mapping[str, Array]) -> None:
        """Keep the scores of a tile."""
        for name, made in self.outputs.items():
            self.arrays[name][made.place(chunk)] = scores[name]

    def skip(self, chunk: tuple[int, ...]) -> None:
        """Leave NaN where a tile lies."""
        for name, made in self.outputs.items():
            self.arrays[name][made.place(chunk)] = np.nan

    def finish(self) -> Mapping[str, Any]:
        """Return the arrays."""
        return self.arrays

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keep nothing: who has the arrays has the scan."""


def open_store(
    out: Place | None, outputs: Mapping[str, Output], record: Record, existing: str
) -> Store:
    """Open the place where scores go.

    Parameters
    ----------
    out : path or None
        A ``.zarr`` folder, or a file of :data:`SCORE_FORMATS`; None for memory.
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
        return in_memory(outputs)
    chunks = chunks_of(out)
    with writing(out):
        clear_leftovers(chunks)
        if chunks.exists() and existing == "overwrite":
            discard(chunks)
        elif chunks.exists():
            _check_same(record_in(chunks), record, chunks)
        elif isinstance(out, Path) and out.exists() and existing == "resume":
            told = record_beside(out)
            _check_same(told and told[0], record, out)
            return open_finished(out, outputs)
        if isinstance(out, Remote) or out == chunks:
            return InFolder.opened(out, outputs, record)
        return InFile.opened(out, outputs, record)


def join_store(out: Place, outputs: Mapping[str, Output], record: Record) -> Store:
    """Open the folder that all parts of a scan write to.

    Raises
    ------
    OutputError
        If it is of another run, or damaged.
    """
    _check_same(recorded(out), record, out)
    complete_group(out, outputs, record)
    return InFolder.joining(out, outputs, record)


def recorded(out: Place | None) -> Record | None:
    """Read what the run was whose scores are there; None without any."""
    return None if out is None else record_of(out)


def check_count(out: Place | None, outputs: Mapping[str, Output]) -> None:
    """Check that a path takes as many outputs as there are.

    Raises
    ------
    OutputError
        If it does not.
    """
    if out is None or out.suffix == CHUNKED or len(outputs) == 1:
        return
    if not SCORE_FORMATS[out.suffix].holds_several:
        others = [suffix for suffix, made in SCORE_FORMATS.items() if made.holds_several]
        raise OutputError(
            f"a {out.suffix} holds one array, the network has {len(outputs)}: use "
            f"{either([*others, CHUNKED])}"
        )


def check_out(out: Place, existing: str, *sources: Any) -> None:
    """Check that scores can go to a path.

    Raises
    ------
    OutputError
        If its suffix is unknown, its folder missing, it is one of the sources that are read, or
        something is there that must not be replaced.
    """
    if out.suffix not in suffixes():
        raise OutputError(f"{out}: scores go to {', '.join(suffixes())}")
    with writing(out):
        _check_place(out, existing, sources)


def _check_place(out: Place, existing: str, sources: Sequence[Any]) -> None:
    if isinstance(out, Path) and not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}")
    if any(_is_same(out, source) for source in sources):
        raise OutputError(f"{out} is read, and scores would replace it: take another name")
    if isinstance(out, Remote) and out.suffix != CHUNKED:
        raise OutputError(f"{out}: there scores are kept in a {CHUNKED}, which is written in parts")
    chunks = chunks_of(out)
    if out != chunks and out.is_dir():
        raise OutputError(f"{out} is there, a folder: take another name")
    if chunks.exists() and record_in(chunks) is None:
        raise OutputError(
            f"{chunks} is not a scan, or damaged, and not replaced: remove it, or take another name"
        )
    if existing == "refuse" and (out.exists() or chunks.exists()):
        raise OutputError(
            f"{out} is there: resume that run (--resume, existing='resume'), or overwrite it"
        )


def _is_same(out: Place, source: Any) -> bool:
    """Say whether scores would go to where something is read."""
    if isinstance(out, Remote):
        return str(out) == str(source)
    return isinstance(source, str | os.PathLike) and out.resolve() == Path(source).resolve()


def _check_same(before: Record | None, record: Record, path: Place) -> None:
    """Check that scores are of this run."""
    if before is None:
        raise OutputError(f"{path} is there, and does not tell of what run: overwrite it")
    names = sorted({**before, **record}, key=lambda name: name == "network")  # has the stride in it
    for name in names:
        was, now = before.get(name), record.get(name)
        if was != now:
            was, now = _told(name, was, now)
            raise OutputError(
                f"{path} is of another run: its {SAID.get(name, name)} is {was}, now it is {now}; "
                f"{NEEDED.get(name, 'give the same')}, or overwrite it "
                f"(--overwrite, existing='overwrite')"
            )


def _told(name: str, was: Any, now: Any) -> tuple[str, str]:
    """Say in short what two runs have, where that is long about where it differs."""
    if name == "network":
        return f"{was}"[:DIGEST_DIGITS], f"{now}"[:DIGEST_DIGITS]
    before, after = repr(was), repr(now)
    start = 0
    if max(len(before), len(after)) > MOST_TOLD:
        pairs = enumerate(zip(before, after, strict=False))
        start = max(next((k for k, (a, b) in pairs if a != b), len(before)) - MOST_TOLD // 4, 0)
    return _short(before, start), _short(after, start)


def _short(text: str, start: int) -> str:
    part = text[start : start + MOST_TOLD]
    return f"{'...' if start else ''}{part}{'...' if start + len(part) < len(text) else ''}"
