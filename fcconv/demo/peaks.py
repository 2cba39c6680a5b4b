"""From scores at several scales to boxes in the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skimage as ski

from fcconv.demo.network import WINDOW
from fcconv.demo.photos import Image


@dataclass(frozen=True)
class Level:
    """The scores of one scale of the photo.

    Attributes
    ----------
    scale : float
        Size of the scaled image in parts of the photo.
    image : array, shape (H, W)
        The scaled image.
    scores : array, shape (rows, columns)
        The score of each window.
    stride : int
        Pixels of the scaled image from one window to the next.
    """

    scale: float
    image: Image
    scores: npt.NDArray[np.float32]
    stride: int


@dataclass(frozen=True)
class Peak:
    """A window that scores higher than all that overlap it; pixels of the photo."""

    score: float
    top: float
    left: float
    side: float


def strongest_peaks(levels: list[Level], count: int) -> list[Peak]:
    """Take the highest score, drop the windows that overlap it by a third, and so on."""
    scores = np.concatenate([level.scores.ravel() for level in levels])
    boxes = np.concatenate([_boxes(level) for level in levels])
    peaks: list[Peak] = []
    while len(peaks) < count and np.isfinite(scores.max()):
        best = int(scores.argmax())
        peaks.append(Peak(float(scores[best]), *map(float, boxes[best])))
        scores[_overlap(boxes, boxes[best]) > 1 / 3] = -np.inf
    return peaks


def _boxes(level: Level) -> npt.NDArray[np.float64]:
    """Top, left and side of each window, in pixels of the photo, ``(windows, 3)``."""
    corners = np.indices(level.scores.shape).reshape(2, -1).T * level.stride
    sides = np.full((len(corners), 1), WINDOW)
    return np.hstack([corners, sides]) / level.scale


def _overlap(
    boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Area that each box shares with one box, in parts of the smaller of the two."""
    start = np.maximum(boxes[:, :2], box[:2])
    stop = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2])
    shared = np.clip(stop - start, 0, None).prod(axis=1)
    return np.asarray(shared / np.minimum(boxes[:, 2], box[2]) ** 2)


def heatmap(levels: list[Level]) -> Image:
    """Probability of a face around each pixel of the photo: the largest of all scales."""
    photo = levels[0].image
    heat = np.zeros(photo.shape, np.float32)
    for level in levels:
        probability = 1 / (1 + np.exp(-level.scores))
        # a cell covers `stride` scaled pixels around the centre of its window
        size = [round(n * level.stride / level.scale) for n in level.scores.shape]
        first = round((WINDOW - level.stride) / 2 / level.scale)
        area = heat[first : first + size[0], first : first + size[1]]
        cells = np.asarray(ski.transform.resize(probability, size, order=1))
        np.maximum(area, cells[: area.shape[0], : area.shape[1]], out=area)
    return heat
