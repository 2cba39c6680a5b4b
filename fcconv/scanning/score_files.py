"""Formats of files of scores: how each is put together from arrays, and read by region."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.images.mapped import map_npz
from fcconv.scanning.records import CHUNKED


@dataclass(frozen=True)
class ScoreFormat:
    """A format of one file for the scores of all outputs.

    Attributes
    ----------
    write : callable
        ``write(arrays, file)`` makes the file from ``.npy`` files, one for each output and named as
        its array; these are not needed any more.
    read : callable
        ``read(file, names)`` returns the arrays by name, which read where they are sliced; an
        OSError, ValueError or KeyError says that the file is damaged.
    holds_several : bool
        Whether it takes more than one output.
    """

    write: Callable[[Sequence[Path], Path], None]
    read: Callable[[Path, Sequence[str]], Mapping[str, Any]]
    holds_several: bool = True


def _write_npz(arrays: Sequence[Path], file: Path) -> None:
    """Put the files into an archive, without the time of day."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in arrays:
            entry = zipfile.ZipInfo(path.name)
            with path.open("rb") as array, archive.open(entry, "w", force_zip64=True) as part:
                shutil.copyfileobj(array, part)


def _read_npz(file: Path, names: Sequence[str]) -> Mapping[str, Any]:
    arrays = map_npz(file)
    return {name: arrays[name] for name in names}


def _write_npy(arrays: Sequence[Path], file: Path) -> None:
    (array,) = arrays
    array.replace(file)


def _read_npy(file: Path, names: Sequence[str]) -> Mapping[str, Any]:
    return dict.fromkeys(names, np.load(file, "r"))


SCORE_FORMATS: dict[str, ScoreFormat] = {
    ".npz": ScoreFormat(_write_npz, _read_npz),
    ".npy": ScoreFormat(_write_npy, _read_npy, holds_several=False),
}
"""Suffix to the format of such a file; a zarr folder holds the chunks themselves."""


def suffixes() -> tuple[str, ...]:
    """List the suffixes of what scores go to."""
    return (CHUNKED, *SCORE_FORMATS)
