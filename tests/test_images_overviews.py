"""Images in few pixels: recordings keep what is short, strips stay strips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcconv.images import image as images
from regions import envelope, opened


@given(st.integers(1, 60), st.integers(1, 30), st.sampled_from([1, 6, 1000]))
def test_a_recording_keeps_its_lowest_and_highest_samples(size: int, half: int, read: int) -> None:
    samples = np.random.default_rng(size).normal(size=(2, size)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(images, "OVERVIEW_BLOCK_ENTRIES", read)
        patched.setattr(images, "ROW_PIXELS", 5)
        found = opened(samples, rank=1).overview(2 * half)
    np.testing.assert_array_equal(found, envelope(samples, 2 * half))
    assert found.shape[1] <= 2 * half


def test_a_click_is_seen_beside_what_has_no_value() -> None:
    samples = np.zeros((1, 10_000), np.float32)
    samples[0, 4001], samples[0, 4002] = 1, np.nan
    found = opened(samples, rank=1).overview(100)
    assert found.max() == 1
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("size", "most", "small"),
    [((7, 1000), 100, (7, 100)), ((1000, 7), 100, (100, 7)), ((27, 1000), 100, (5, 100)),
     ((500, 1000), 100, (50, 100)), ((60, 90), 30, (20, 30)), ((2, 3), 1, (1, 1))],
)  # fmt: skip
def test_a_strip_keeps_what_lies_across(
    size: tuple[int, int], most: int, small: tuple[int, int]
) -> None:
    pixels = np.arange(size[0] * size[1]).reshape(1, *size)
    found = opened(pixels).overview(most)
    assert found.shape[1:] == small
    down, right = (-(-n // m) for n, m in zip(size, small, strict=True))
    np.testing.assert_array_equal(found, pixels[:, ::down, ::right])
