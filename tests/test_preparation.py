"""What is done to pixels: the arithmetic bit for bit, and numbers that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fcconv.errors import ImageError
from fcconv.images.image import Image
from fcconv.images.preparation import Preparation, check_channels
from regions import opened

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (3, 9, 7), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_step_is_rounded_once(dtype: Any) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    made = Preparation(mean=mean, std=std).prepared(COLOURS, dtype)
    assert made.dtype == dtype
    for channel, plane in enumerate(COLOURS.astype(dtype)):
        expected = (plane * dtype(1 / 255) - dtype(mean[channel])) / dtype(std[channel])
        np.testing.assert_array_equal(made[channel], expected)


def test_grey_is_the_luma_of_bt_601() -> None:
    red, green, blue = COLOURS.astype(np.float64)
    expected = (red * 0.299 + green * 0.587 + blue * 0.114) * 0.5
    made = Preparation(gray=True, scale=0.5).prepared(COLOURS, np.float64)
    np.testing.assert_array_equal(made, expected[np.newaxis])


def test_grey_becomes_three_equal_channels() -> None:
    preparation = Preparation(rgb=True, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    three = Preparation(mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    np.testing.assert_array_equal(
        preparation.prepared(COLOURS[:1], np.float32),
        three.prepared(COLOURS[[0, 0, 0]], np.float32),
    )
    plain = COLOURS[:1].astype(np.float32)
    made = Preparation(rgb=True).prepared(plain, np.float32)
    np.testing.assert_array_equal(made, plain[[0, 0, 0]])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("u1", 1 / 255), ("u2", 1 / 65535), (">u2", 1 / 65535), ("f4", 1), ("f8", 1)],
)
def test_scales_of_dtypes(dtype: str, scale: float) -> None:
    assert Preparation().resolved(np.dtype(dtype)).scale == scale
    assert Preparation(scale=3).resolved(np.dtype(dtype)).scale == 3
    pixels = COLOURS.astype(dtype)
    expected = pixels.astype(np.float32) * np.float32(scale)
    np.testing.assert_array_equal(Preparation().prepared(pixels, np.float32), expected)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "u8"])
def test_other_integers_need_a_scale(dtype: str) -> None:
    with pytest.raises(ImageError, match=r"int.* give scale"):
        Preparation().resolved(np.dtype(dtype))
    made = Preparation(scale=2).prepared(np.array([[3]], dtype), np.float32)
    assert made == 6


def test_tiles_become_what_the_whole_image_becomes() -> None:
    preparation = Preparation(gray=True, mean=(0.3,), std=(0.7,))
    image = RNG.integers(0, 256, (3, 50, 61), dtype=np.uint8)
    whole = preparation.prepared(image, np.float32)
    for start in range(7):
        tile = preparation.prepared(image[:, start:, start : 41 + start], np.float32)
        np.testing.assert_array_equal(tile, whole[:, start:, start : 41 + start])


def test_nothing_to_do_is_no_copy_and_nothing_is_written_to() -> None:
    pixels = COLOURS.astype(np.float32)
    assert Preparation().prepared(pixels, np.float32) is pixels
    before = pixels.copy()
    assert Preparation(mean=(1,), std=(2,)).prepared(pixels, np.float32) is not pixels
    np.testing.assert_array_equal(pixels, before)
    assert Preparation(scale=1).prepared(COLOURS, np.float16).dtype == np.float16


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("preparation", [Preparation(), Preparation(gray=True, mean=(1,))])
def test_pixels_that_are_no_numbers(bad: float, preparation: Preparation) -> None:
    pixels = np.zeros((3, 2, 2))
    pixels[1, 0, 1] = bad
    for dtype in (np.float32, np.float64):
        with pytest.raises(ImageError, match="NaN or infinite pixels: replace them first"):
            preparation.prepared(pixels, dtype)


@pytest.mark.parametrize(
    ("preparation", "pixel", "dtype"),
    [
        (Preparation(), 1e300, np.float32),
        (Preparation(scale=1e5), 1, np.float16),
        (Preparation(std=(1e-300,)), 1, np.float32),
    ],
)
def test_pixels_that_become_infinite(preparation: Preparation, pixel: float, dtype: Any) -> None:
    with pytest.raises(ImageError, match="too large for float"):
        preparation.prepared(np.full((1, 2), pixel, np.float64), dtype)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scale": 0}, "scale needs a number other than 0"),
        ({"scale": np.nan}, "scale needs finite"),
        ({"scale": np.inf}, "scale needs finite"),
        ({"scale": "x"}, "scale needs finite"),
        ({"mean": (0, np.nan)}, "mean needs finite"),
        ({"mean": ()}, "mean needs finite"),
        ({"std": (1, 0)}, "std needs numbers above 0"),
        ({"std": (-1,)}, "std needs numbers above 0"),
        ({"std": (np.inf,)}, "std needs finite"),
        ({"rgb": "yes"}, "rgb is True or False"),
        ({"rgb": True, "gray": True}, "choose one"),
    ],
)
def test_numbers_that_make_no_sense(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        Preparation(**arguments)


def test_numbers_may_come_as_any_sequence() -> None:
    made = Preparation(scale=2, mean=np.array([1, 2]), std=3)  # type: ignore[arg-type]  # pyright: ignore
    assert made == Preparation(scale=2.0, mean=(1.0, 2.0), std=(3.0,))


def of_channels(count: int) -> Image:
    return opened(np.zeros((count, 2, 2), np.uint8))


@pytest.mark.parametrize(
    ("given", "preparation", "needed", "said"),
    [
        (
            3,
            Preparation(),
            1,
            ["3 channels", "reads 1", "--gray (Preparation(gray=True)) makes it grey"],
        ),
        (4, Preparation(), 3, ["4 channels", "reads 3"]),
        (1, Preparation(), 3, ["1 channel,", "reads 3", "--rgb (Preparation(rgb=True))"]),
        (1, Preparation(mean=(1, 2, 3)), 3, ["mean needs 1 numbers, got 3; --rgb"]),
        (1, Preparation(rgb=True), 1, ["3 channels after rgb", "leave rgb out"]),
        (3, Preparation(rgb=True), 3, ["rgb needs 1 channel, grey, got 3"]),
        (3, Preparation(gray=True), 3, ["1 channel after gray", "leave gray out"]),
        (4, Preparation(gray=True), 1, ["gray needs 3 channels", "got 4"]),
        (3, Preparation(mean=(1, 2)), 3, ["mean needs 1 or 3 numbers, got 2"]),
        (3, Preparation(gray=True, std=(1, 2, 3)), 1, ["std needs 1 numbers, got 3"]),
    ],
)
def test_channels_that_do_not_fit(
    given: int, preparation: Preparation, needed: int, said: list[str]
) -> None:
    with pytest.raises(ImageError) as caught:
        check_channels(of_channels(given), preparation, needed)
    for word in ["array", *said]:
        assert word in str(caught.value)


def test_channels_that_fit() -> None:
    check_channels(of_channels(3), Preparation(), 3)
    check_channels(of_channels(3), Preparation(gray=True, mean=(1,)), 1)
    check_channels(of_channels(1), Preparation(rgb=True, mean=(1, 2, 3)), 3)
    check_channels(of_channels(5), Preparation(mean=(1, 2, 3, 4, 5)), 5)


@pytest.mark.parametrize(
    ("preparation", "words"),
    [
        (
            Preparation(gray=True, mean=(0.5,), std=(0.25,)).resolved(np.uint8),
            "grey (0.299 R + 0.587 G + 0.114 B), times 1/255, minus 0.5, divided by 0.25",
        ),
        (Preparation(rgb=True).resolved(np.uint8), "grey in three equal channels, times 1/255"),
        (Preparation(mean=(1, 2)).resolved(np.uint16), "times 1/65535, minus (1, 2)"),
        (Preparation(std=(1, 0.5)).resolved(np.float32), "divided by (1, 0.5)"),
        (Preparation(scale=0.1 + 0.2), "times 0.30000000000000004"),
        (Preparation(scale=1), "as they are"),
        (Preparation(), "scaled as their dtype says"),
    ],
)
def test_preparations_in_words(preparation: Preparation, words: str) -> None:
    assert str(preparation) == words
