"""Files that are mapped into memory, of which only what is in use should stay there."""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np


def release(array: np.memmap[Any, Any]) -> None:
    """Let the system take back the memory of a mapped file; it is read again where it is needed.

    Not for files mapped copy-on-write, whose changes would be lost.
    """
    mapped: mmap.mmap | None = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def reserve(path: Path) -> None:
    """Reserve the disk that a file takes: one that is full is an error here, and later a signal."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def is_whole(array: np.memmap[Any, Any]) -> bool:
    """Tell whether a mapped file still holds all that was mapped: reading what is gone kills."""
    mapped: mmap.mmap | None = getattr(array, "_mmap", None)
    if mapped is None:
        return True
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return mapped.size() >= start + len(mapped)


def map_npz(path: Path) -> dict[str, np.memmap[Any, Any]]:
    """Map the arrays of a ``.npz`` into memory, by their names.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If it is damaged, or its arrays are compressed.
    """
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        return {Path(entry.filename).stem: _map(file, entry) for entry in archive.infolist()}


def _map(file: IO[bytes], entry: zipfile.ZipInfo) -> np.memmap[Any, Any]:
    file.seek(entry.header_offset + 26)  # in its header here two lengths follow, name and extra
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), os.SEEK_CUR)
    if entry.compress_type != zipfile.ZIP_STORED or np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{entry.filename} is not stored as it is")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.memmap(file, dtype, "r", file.tell(), shape)
