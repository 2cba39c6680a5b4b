"""From scores at several scales to boxes in the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skimage as ski

from fcconv.demo.network import WINDOW
from fcconv.demo.photos import Image
from fcconv.scanning.suppression import iou


@dataclass(frozen=True)
class Level:
    """The scores of one scale of the photo.

    Attributes
    ----------
    scale : float
        Size of the scaled image in parts of the photo.
    scores : array, shape (rows, columns)
        The score of each window.
    stride : int
        Pixels of the scaled image from one window to the next.
    """

    scale: float
    scores: npt.NDArray[np.float32]
    stride: int


@dataclass(frozen=True)
class FoundFace:
    """A window that finds more agreement than all that overlap it; pixels of the photo.

    Attributes
    ----------
    strength : float
        Sum of the positive scores of all windows, of all scales, that share half with this one.
    score : float
        The window's own score.
    top, left, side : float
        Where it lies in the photo.
    """

    strength: float
    score: float
    top: float
    left: float
    side: float


def strongest_peaks(levels: list[Level], count: int) -> list[FoundFace]:
    """Find the windows that most others agree with, each apart from the ones before.

    A face is found by many windows, a little shifted and scaled, a false alarm by few (Rowley,
    Baluja & Kanade, *Neural network-based face detection*, 1998, section 2.2).
    """
    scores = np.concatenate([level.scores.ravel() for level in levels])
    boxes = np.concatenate([_boxes(level) for level in levels])[scores > 0]
    scores = scores[scores > 0]
    strengths = np.array([scores[iou(boxes, box) > 1 / 2].sum() for box in boxes])
    peaks: list[FoundFace] = []
    while len(peaks) < count and strengths.any():
        best = int(strengths.argmax())
        (top, bottom), (left, _) = boxes[best].tolist()
        peaks.append(
            FoundFace(float(strengths[best]), float(scores[best]), top, left, side=bottom - top)
        )
        strengths[iou(boxes, boxes[best]) > 0] = 0
    return peaks


def _boxes(level: Level) -> npt.NDArray[np.float64]:
    """Where each window lies in the photo, ``(windows, axes, 2)``, as the peaks of a scan have."""
    corners = np.indices(level.scores.shape).reshape(2, -1).T * level.stride
    return np.stack([corners, corners + WINDOW], axis=-1) / level.scale


def heatmap(levels: list[Level], shape: tuple[int, ...]) -> Image:
    """Probability of a face around each pixel of the photo: the largest of all scales."""
    heat = np.zeros(shape, np.float32)
    for level in levels:
        probability = (1 + np.tanh(level.scores / 2)) / 2  # the logistic function
        # a cell covers `stride` scaled pixels around the centre of its window
        size = [round(n * level.stride / level.scale) for n in level.scores.shape]
        first = round((WINDOW - level.stride) / 2 / level.scale)
        area = heat[first : first + size[0], first : first + size[1]]
        cells = np.asarray(ski.transform.resize(probability, size, order=1))
        np.maximum(area, cells[: area.shape[0], : area.shape[1]], out=area)
    return heat
