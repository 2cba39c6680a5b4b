"""Non-maximum suppression against the greedy definition, box by box."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcconv.scanning import suppression
from fcconv.scanning.suppression import iou, non_max_suppression
from strategies import seeds

Array = npt.NDArray[Any]
OVERLAPS = [0, 0.1, 1 / 3, 0.5, 0.9, 0.999, 1]


def by_definition(boxes: Array, scores: Array, overlap: float) -> list[int]:
    """Go through the boxes from the strongest on, and keep those that no kept one overlaps."""
    kept: list[int] = []
    for number in sorted(range(len(scores)), key=lambda k: (-float(scores[k]), k)):
        if all(one_iou(boxes[number], boxes[other]) <= overlap for other in kept):
            kept.append(number)
    return kept


def one_iou(one: Array, two: Array) -> float:
    """Return the intersection over union of two boxes, written out."""
    both, first, second = 1.0, 1.0, 1.0
    for (a, b), (c, d) in zip(one.tolist(), two.tolist(), strict=True):
        both *= max(min(b, d) - max(a, c), 0)
        first, second = first * (b - a), second * (d - c)
    return both / (first + second - both)


@given(
    seed=seeds, count=st.integers(0, 70), axes=st.integers(1, 3),
    sizes=st.lists(st.sampled_from([1, 3, 4, 12, 40]), min_size=1, max_size=3),
    parts=st.sampled_from([1, 3, 0.7]), extent=st.sampled_from([3, 20, 1000]),
    levels=st.sampled_from([1, 5, 1000]), overlap=st.sampled_from(OVERLAPS),
    pairs=st.integers(1, 300), prefix=st.integers(1, 40),
)  # fmt: skip
def test_it_keeps_what_the_definition_keeps(
    seed: int, count: int, axes: int, sizes: list[int], parts: float, extent: int, levels: int,
    overlap: float, pairs: int, prefix: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    first: Array = rng.integers(0, extent, (count, axes)) / parts
    boxes: Array = np.stack([first, first + rng.choice(sizes, (count, axes)) / parts], axis=-1)
    scores = rng.integers(0, levels, count)
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "MAX_PAIRS", pairs)
        patch.setattr(suppression, "FIRST_PREFIX", prefix)
        kept = non_max_suppression(boxes, scores, overlap, told.append)
    assert kept.tolist() == by_definition(boxes, scores, overlap)
    assert told == sorted(told)
    assert not told or told[-1] == count


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("order", ["random", "ramp", "plateau"])
def test_windows_that_overlap_heavily(overlap: float, order: str) -> None:
    """Some 1,200 windows of 20 x 20, 2 pixels apart: hundreds overlap with each."""
    rng = np.random.default_rng(0)
    first: Array = 2.0 * np.argwhere(np.ones((35, 35)))
    boxes: Array = np.stack([first, first + 20], axis=-1)
    scores = {
        "random": rng.random(len(first)), "ramp": first.sum(axis=1), "plateau": np.ones(len(first)),
    }[order]  # fmt: skip
    assert non_max_suppression(boxes, scores, overlap).tolist() == by_definition(
        boxes, scores, overlap
    )


def test_a_grid_of_tiny_tiles_is_numbered_without_wrapping() -> None:
    corners = [[0.0] * 3, [1e-9] * 3, [1e9, 0, 0], [0, 1e9, 0], [1e9 + 1e-7, 0, 0]]
    first = np.array(corners)
    boxes = np.stack([first, first + 1e-3], axis=-1)
    scores = np.arange(5)
    kept = non_max_suppression(boxes, scores, 0.98).tolist()
    assert kept == by_definition(boxes, scores, 0.98)


def test_unsigned_scores_are_not_negated() -> None:
    boxes = np.array([[[0, 9]], [[20, 29]], [[40, 49]]], np.float64)
    assert non_max_suppression(boxes, np.array([0, 255, 1], np.uint8), 0.5).tolist() == [1, 2, 0]


def test_intersection_over_union() -> None:
    boxes = np.array([[[0, 4], [0, 2]], [[2, 6], [1, 3]], [[4, 8], [0, 2]]], np.float64)
    assert iou(boxes, boxes[0]).tolist() == [1, 2 / 14, 0]
    assert iou(boxes, boxes[::-1]).tolist() == [0, 1, 0]
