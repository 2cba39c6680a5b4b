"""The levels of a pyramid: their factors, which is read for a size, and what of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from fcconv.images.image import Image
from fcconv.images.levels import downsample, level_for
from fcconv.images.scales import Resized, factors_of, resized
from fcconv.images.stored import Stored
from regions import opened

SIZES = [(101, 70), (50, 35), (25, 17), (12, 20)]
"""Pixels of an image and its levels: by 2, by 4 (rounded down), and one that shows other things."""

LEVELS = [np.random.default_rng(k).integers(0, 256, (*s, 3), np.uint8) for k, s in enumerate(SIZES)]
"""Pixels that have nothing in common, so that it is seen which were read."""


@pytest.fixture
def image() -> Image:
    return Image("a.tif", Stored(tuple(LEVELS), "HWC"), "HWC", (0, 0, 0))


def read(image: Resized, *region: slice) -> np.ndarray:
    pixels, _ = image.read_valid(region or tuple(slice(0, n) for n in image.size), None)
    return pixels.transpose(1, 2, 0)


@given(st.integers(1, 40), st.data())
def test_a_whole_factor_is_found_in_rounded_sizes(factor: int, data: st.DataObject) -> None:
    # a size is rounded by less than 1, so n / m is off by less than factor^2 / n
    size = data.draw(st.tuples(*[st.integers(2 * factor**2 + factor, 10**6)] * 2))
    level = [data.draw(st.sampled_from([n // factor, -(-n // factor)])) for n in size]
    assert downsample(size, level) == factor


def test_factors_that_are_not_whole() -> None:
    assert downsample((1000, 600), (300, 180)) == 1000 / 300
    assert downsample((600, 1000), (180, 300)) == 1000 / 300
    assert downsample((45056, 35840), (5632, 4608)) is None  # by 8, and padded to tiles of 512
    assert downsample((100, 100), (101, 101)) is None


@given(st.lists(st.integers(2, 64).map(float)), st.floats(1 / 128, 4))
def test_the_coarsest_level_that_has_the_pixels_is_read(factors: list[float], scale: float) -> None:
    found = level_for(scale, [1.0, None, *factors])
    wanted = [1.0, *(factor for factor in factors if factor * scale <= 1)]
    assert [1.0, None, *factors][found] == max(wanted)


@pytest.mark.parametrize(
    ("scale", "level"), [(1, 0), (0.51, 0), (0.5, 1), (0.3, 1), (0.25, 2), (1 / 8, 2), (1.5, 0)]
)
def test_what_is_read_for_a_size(scale: float, level: int, image: Image) -> None:
    sized = resized(image, scale)
    assert sized.level == level
    height, width = sized.size
    assert (height, width) == (int(101 * scale), int(70 * scale))
    if scale in (1, 0.5, 0.25):
        pixels = LEVELS[level]
        np.testing.assert_array_equal(read(sized), pixels)
        region = (slice(3, 20), slice(5, 16))
        np.testing.assert_array_equal(read(sized, *region), pixels[region])
        assert sized.bytes((7, 8)) == 7 * 8 * 3
        return
    # as the level alone is resampled by what is left, to a rounding of where its regions begin
    alone = resized(opened(LEVELS[level].transpose(2, 0, 1)), scale * 2**level)
    assert sized.left == alone.left
    whole, part = read(sized), read(sized, slice(1, 5), slice(2, 8))
    expected = read(alone, slice(0, height), slice(0, width))
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_allclose(part, whole[1:5, 2:8], atol=1)


def test_it_is_said_what_was_read(image: Image) -> None:
    assert resized(image, 0.5).notes == ("read from level 1 of the file, 2 times smaller",)
    assert resized(image, 0.3).notes == (
        "read from level 1 of the file, 2 times smaller, and resampled by 0.6",
    )
    assert resized(image, 0.7).notes == ()
    same = resized(opened(LEVELS[0].transpose(2, 0, 1)), 0.5)
    assert resized(image, 0.5).identity().endswith("times 0.5 of level 1")
    assert same.identity().endswith("times 0.5")


@pytest.mark.parametrize("axes", ["HWC", "CHW"])
def test_levels_of_a_tiff(axes: str, tmp_path: Path) -> None:
    path, levels = tmp_path / "a.tif", LEVELS[:3]
    options: dict[str, Any] = {"tile": (16, 16), "compression": "zlib", "photometric": "rgb"}
    if axes == "CHW":
        levels = [pixels.transpose(2, 0, 1) for pixels in levels]
        options["planarconfig"] = "separate"
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], subifds=2, **options)
        for pixels in levels[1:]:
            writer.write(pixels, subfiletype=1, **options)
    image = opened(path)
    assert factors_of(image) == [1, 2, 4]
    np.testing.assert_array_equal(read(resized(image, 0.25)), LEVELS[2])
