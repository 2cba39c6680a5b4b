"""Pixels at the ends of an image are in a window where it is padded, and told of where not."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, OutputError
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from fcconv.images.padded import PADS, padded
from fcconv.images.scales import resized
from fcconv.scanning.network import Network, as_network
from fcconv.scanning.saved import open_scan
from scan_cases import WINDOWS, Array, cut_into, picture, small_network
from score_files import tree


@functools.cache
def network_of(rank: int, stride: int, windows: str) -> Network:
    """Make a network that pads slide; once, as it takes longer than to scan."""
    return as_network(small_network(rank, pad=1), stride, windows=windows)


def by_hand(image: Array, window: Any, stride: Any, pad: Any) -> Array:
    """Pad an image ``(C, *S)`` until windows cover it."""
    more = [
        max(k - n, 0) if n <= k else -(n - k) % s
        for n, k, s in zip(image.shape[1:], window, stride, strict=True)
    ]
    return np.pad(image, [(0, 0), *((0, n) for n in more)], pad)


@given(
    rank=st.sampled_from([1, 2, 3]),
    pad=st.sampled_from(PADS),
    stride=st.sampled_from([2, 4, 6, 10]),
    tiles=st.integers(1, 9),
    windows=st.sampled_from(["shared", "exact", "crops"]),
)
def test_a_padded_scan_is_that_of_the_padded_image(
    rank: int, pad: str, stride: int, tiles: int, windows: str
) -> None:
    network: Any = network_of(rank, stride, windows)
    image = picture(rank)
    given: dict[str, Any] = {"engine": "numpy", "windows": windows}
    whole = by_hand(image, WINDOWS[rank], (stride,) * rank, pad)
    with cut_into(tiles):
        found = fcconv.scan(network, image, pad=pad, **given)
        expected = fcconv.scan(network, whole, **given)
    assert found.size == whole.shape[1:]
    assert found.remainder == (0,) * rank
    assert_identical(found.scores, expected.scores, (pad, stride))


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("shape", [(5, 33), (2, 3), (7, 8), (1, 1)])
def test_an_image_smaller_than_the_window_is_scored(pad: str, shape: tuple[int, int]) -> None:
    image = picture()[:, : shape[0], : shape[1]]
    found = fcconv.scan(small_network(), image, pad=pad, engine="numpy")
    expected = fcconv.scan(small_network(), by_hand(image, (7, 8), (2, 2), pad), engine="numpy")
    assert_identical(found.scores, expected.scores, pad)


@pytest.mark.parametrize("pad", PADS)
def test_pixels_without_a_value_are_repeated_as_such(pad: str) -> None:
    image = picture()
    image[:, 23, 12], image[:, 3, 29] = np.nan, np.nan  # in the last windows by reflection only
    whole = by_hand(image, (7, 8), (6, 6), pad)
    plain: dict[str, Any] = {"engine": "numpy", "stride": 6}
    with cut_into(4):
        found = fcconv.scan(small_network(), image, pad=pad, **plain)
    expected = fcconv.scan(small_network(), whole, **plain)
    assert 0 < found.unscored == expected.unscored
    assert_identical(found.scores, expected.scores, pad)


def opened(image: Array) -> Image:
    images, _ = open_images(image, 2)
    return images[0]


def test_overviews_have_the_new_pixels() -> None:
    image = picture()
    whole = padded(opened(image), (7, 8), (10, 10), "reflect")
    assert whole.size == (27, 38)
    assert_identical(whole.overview(99), by_hand(image, (7, 8), (10, 10), "reflect"), "whole")
    assert whole.overview(11).shape == (2, 9, 13)
    twice = padded(resized(opened(image), 0.5), (7, 8), (4, 4), "edge")
    assert (twice.size, twice.scale, twice.picture.size) == ((15, 16), 0.5, (27, 33))


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_the_store_tells_the_pad(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"x{suffix}"
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": out, "stride": 6}
    found = fcconv.scan(**given, pad="edge")
    with pytest.raises(OutputError, match="is of another run"):
        fcconv.scan(**given, pad="reflect", existing="resume")
    again = open_scan(out, picture())
    assert (again.size, again.pad, again.notes) == (found.size, "edge", found.notes)
    assert found.notes == ("padded (edge) by 4 x 5 at the ends of the axes",)
    assert again.padding == found.padding == (4, 5)
    whole = fcconv.scan(small_network(), picture(), stride=6, engine="numpy")
    assert found.unpadded == whole.cells == whole.unpadded
    assert_identical(again.overview(99), found.overview(99), "overview")


def test_a_mask_and_a_region_go_with_it() -> None:
    mask = np.zeros((27, 33), bool)
    mask[20:] = True
    plain: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    plain |= {"stride": 6, "pad": "edge"}
    whole = fcconv.scan(**plain)
    found = fcconv.scan(**plain, mask=mask, region=(slice(None), slice(9, None)))
    wanted = np.zeros(whole.cells, bool)
    wanted[3:, 2:] = True
    assert_identical(found.scores, np.where(wanted, whole.scores, np.float32(np.nan)), "both")


def test_which_pixels_are_in_no_window_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = {
        1: ("4", "the last 3 samples"),
        2: ("6", "the last 2 rows and 1 column"),
        3: ("6", "the last 1 column"),
    }
    for rank, (stride, words) in said.items():
        fcconv.convolutionize(small_network(rank)).save("net.onnx")
        np.save("image.npy", picture(rank))
        scan = ["scan", "net.onnx", "image.npy", "--engine", "numpy", "--stride", stride]
        assert app.run(scan) == 0
        assert f"{words} (--pad reaches them)" in capsys.readouterr().out
        assert app.run([*scan, "--pad", "reflect", "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["scans"]
        assert (told["pad"], told["remainder"]) == ("reflect", [0] * rank)


def test_nonsense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentError, match="pad is 'edge', 'reflect', 'constant' or None, got 1"):
        fcconv.scan(small_network(), picture(), pad=1)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    fcconv.convolutionize(small_network()).save("net.onnx")
    np.save("image.npy", picture())
    before = tree(tmp_path)
    for value in ("wrap", ""):
        assert app.run(["scan", "net.onnx", "image.npy", "--out", "s.npy", "--pad", value]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert "--pad" in printed.err
    assert tree(tmp_path) == before
