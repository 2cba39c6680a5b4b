"""The outputs of a network over a whole image: what scores are kept, and under which names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


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

    @property
    def counts(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(-(-n // m) for n, m in zip(self.shape, self.chunk, strict=True))

    def place(self, chunk: tuple[int, ...]) -> tuple[slice, ...]:
        """Return what a chunk holds, counted in chunks along each axis."""
        return tuple(
            slice(k * m, min((k + 1) * m, n))
            for k, m, n in zip(chunk, self.chunk, self.shape, strict=True)
        )


def stored_names(outputs: Mapping[str, Output]) -> dict[str, str]:
    """Name the arrays in files as the outputs, if all these can be names of files everywhere."""
    if all(re.fullmatch(r"\w{1,64}", name, re.ASCII) for name in outputs):
        return {name: name for name in outputs}
    return {name: f"output_{k}" for k, name in enumerate(outputs)}
