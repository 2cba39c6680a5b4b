"""One image of a batch that was scanned, as a scan of its own: nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.images.blocks import blocks
from fcconv.images.missing import count_unscored

if TYPE_CHECKING:
    from fcconv.scanning.result import Scan

ENTRIES_AT_A_TIME = 2**22
"""Scores that are read together."""


@dataclass(frozen=True, eq=False)
class OneImage:
    """The scores ``(K, *cells)`` of an image, read by region from those of its batch.

    Attributes
    ----------
    batch : array, shape (N, K, *cells)
        The scores of all.
    number : int
        Which image.
    """

    batch: Any
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, and cells along each axis."""
        return tuple(self.batch.shape[1:])

    @property
    def dtype(self) -> Any:
        """Data type of the scores."""
        return self.batch.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Entries that are read as a whole along each axis; None where they are not in chunks."""
        chunks = getattr(self.batch, "chunks", None)
        return None if chunks is None else tuple(chunks[1:])

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a part."""
        parts = index if isinstance(index, tuple) else (index,)
        return np.asarray(self.batch[(self.number, *parts)])


def image_of(scan: Scan, number: int) -> Scan:
    """Return an image of a batch as a scan of its own; see :meth:`Scan.of_image`."""
    count = scan.scores.shape[0]
    outputs = {name: OneImage(scores, number) for name, scores in scan.outputs.items()}
    outside = scan.outside // count  # which are the same windows of each
    cut_out = scan.cut_out
    if cut_out is not None:
        job = replace(cut_out.job, images=[cut_out.job.images[number]], batched=False)
        cut_out = replace(cut_out, job=job)
    return replace(
        scan,
        outputs=outputs,
        images=scan.images[number : number + 1],
        outside=outside,
        unscored=_without_score(scan, outputs) - outside if scan.unscored else 0,
        cut_out=cut_out,
        notes=(*scan.notes, f"image {number} of a batch of {count}, 0 to {count - 1}"),
    )


def _without_score(scan: Scan, outputs: dict[str, OneImage]) -> int:
    """Count the windows that are NaN in every output."""
    rank, channels = len(scan.size), max(scores.shape[0] for scores in outputs.values())
    cells = blocks(scan.cells, [1] * rank, max(ENTRIES_AT_A_TIME // channels, 1))
    return sum(
        count_unscored((y[(slice(None), *b)] for y in outputs.values()), rank) for b in cells
    )
