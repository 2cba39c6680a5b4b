"""Files that are mapped into memory, of which only what is in use should stay there."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np


def release(array: np.memmap[Any, Any]) -> None:
    """Let the system take back the memory of a mapped file; it is read again where it is needed.

    Not for files mapped copy-on-write, whose changes would be lost.
    """
    mapped: mmap.mmap | None = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)
