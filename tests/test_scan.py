"""A scan gives each window the scores of its crop, in however many tiles, bit for bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.errors import ArgumentError, UnsupportedError
from graphs import Graph
from random_graphs import Case, cases
from scan_cases import (
    TYPES,
    cut_into,
    memory_for,
    of_crops,
    picture,
    small_network,
)
from sliding_windows import crops, larger, listed, slid
from strategies import integers, seeds

# Equal to crops and to the whole ----------------------------------------------------------------


@pytest.mark.parametrize("engine", TYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("stride", [None, 1, 3])
def test_tiles_equal_crops(engine: str, rank: int, stride: int | None) -> None:
    network = small_network(rank, TYPES[engine], heads=2)
    image = picture(rank, TYPES[engine])
    memory = memory_for(5, network, image, engine=engine, stride=stride)
    found = fcconv.scan(network, image, stride=stride, engine=engine, memory=memory)
    assert found.tiles >= 5
    assert found.computed == found.tiles
    assert found.engine == engine
    assert found.exact
    assert [len(scores) for scores in found.outputs.values()] == [2, 3]
    assert found.labels == ("0", "1")
    for scores, expected in zip(
        found.outputs.values(), of_crops(network, image, found), strict=True
    ):
        assert scores.dtype == TYPES[engine]
        assert_identical(scores, expected, (engine, rank, stride))


def spectral(channels: int, axis: int) -> fcconv.Sliding:
    """Slide a classifier of spectra, ``(N, C, bands, time)`` or turned, along time alone."""
    rng, window = np.random.default_rng(0), (6, 8)[:: 1 if axis == 3 else -1]
    graph = Graph(channels, *window, dtype="float64")
    kernel = graph.array(rng.integers(-2, 3, (3, channels, 3, 3)))
    x = graph.add("Flatten", graph.add("Relu", graph.add("Conv", "image", kernel)))
    dense = graph.add("MatMul", x, graph.array(rng.integers(-2, 3, (3 * 4 * 6, 2))))
    return fcconv.convolutionize(graph.model(dense), spatial_axes=(axis,))


@pytest.mark.parametrize("windows", ["shared", "exact"])
@pytest.mark.parametrize("axis", [2, 3])
def test_bands_that_do_not_slide_are_channels(axis: int, windows: str) -> None:
    sliding, image = spectral(1, axis), integers(0, (6, 90), "float64")
    whole = sliding((image if axis == 3 else image.T)[None, None])
    with cut_into(4):
        found = fcconv.scan(sliding, image, engine="numpy", windows=windows)
    assert_identical(found.scores, whole[0], (axis, windows))
    several = fcconv.scan(sliding, image[None], engine="numpy", windows=windows)
    assert_identical(several.scores, whole, (axis, windows))


def test_bands_beside_channels_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"2 axes that do not slide, of 2 and 6, but a scan"):
        fcconv.scan(spectral(2, 3), np.zeros((12, 90)), engine="numpy")


@pytest.mark.parametrize("layout", ["first", "last", "none"])
@pytest.mark.parametrize("order", ["CHW", "HWC", "WHC"])
def test_layouts_of_network_and_image(layout: str, order: str) -> None:
    network = small_network(dtype="float64", layout=layout)
    image = picture(dtype="float64", channels=1 if layout == "none" else 2)
    given_image = np.einsum(f"CHW->{order}", image)
    memory = memory_for(6, network, given_image, layout=order)
    found = fcconv.scan(network, given_image, engine="numpy", memory=memory, layout=order)
    one = image if layout == "none" else np.moveaxis(image, 0, -1)[None]
    whole = fcconv.convolutionize(network)(image[None] if layout == "first" else one)
    assert found.tiles >= 6
    assert_identical(found.scores, whole[0], (layout, order))


@pytest.mark.parametrize("windows", ["shared", "exact"])
def test_batches(windows: str) -> None:
    network = small_network(pad=1)
    images = np.stack([picture(seed=k) for k in range(3)])
    memory = memory_for(4, network, images, windows=windows)
    found = fcconv.scan(network, images, windows=windows, engine="numpy", memory=memory)
    one_by_one = [
        fcconv.scan(network, image, windows=windows, engine="numpy").scores for image in images
    ]
    assert found.scores.shape[0] == 3
    assert found.tiles >= 12
    assert_identical(found.scores, np.stack(one_by_one), windows)
    with pytest.raises(ArgumentError, match="there is no image 3"):
        found.peaks("1", 0, image=3)
    assert found.peaks("1", 0, image=2) == fcconv.scan(
        network, images[2], windows=windows, engine="numpy"
    ).peaks("1", 0)


@settings(max_examples=settings().max_examples // 2)
@given(
    case=cases(whole=True), seed=seeds, more=st.tuples(*[st.tuples(st.integers(0, 5), seeds)] * 3),
    tiles=st.integers(1, 9), windows=st.sampled_from(["shared", "exact"]),
)  # fmt: skip
def test_random_networks(case: Case, seed: int, more: Any, tiles: int, windows: str) -> None:
    sliding = slid(case)
    given_image, cells = larger(case, sliding, seed, more)
    rank = len(case.axes)
    first = case.axes[0] == 2 or given_image.ndim == 1 + rank
    image = given_image[0] if first else np.moveaxis(given_image[0], -1, 0)
    with cut_into(tiles):
        found = fcconv.scan(sliding, image, engine="numpy", windows=windows)
    assert found.cells == cells
    assert found.tiles >= min(tiles, math.prod(cells))
    assert found.exact == (sliding.exact or windows == "exact")
    maps = [scores[0] for scores in listed(sliding(given_image))]
    if windows == "exact":
        patches = np.concatenate([*crops(case, sliding, given_image, cells)])
        maps = [
            scores.reshape(len(patches), -1).T.reshape(-1, *cells)
            for scores in listed(fcconv.compile(case.model)(patches))
        ]
    for scores, expected in zip(found.outputs.values(), maps, strict=True):
        assert_identical(scores, expected, case)


@pytest.mark.parametrize("engine", TYPES)
def test_padded_networks_have_two_kinds_of_windows(engine: str) -> None:
    network, image = small_network(pad=1, dtype=TYPES[engine]), picture(dtype=TYPES[engine])
    whole = fcconv.convolutionize(network)(image[None])[0]
    memory = memory_for(6, network, image, engine=engine, windows="shared")
    shared = fcconv.scan(network, image, engine=engine, memory=memory, windows="shared")
    assert shared.tiles >= 6
    assert not shared.exact
    assert shared.reasons
    assert_identical(shared.scores, whole, "shared")
    for tiles in (1, 6):  # of a tile, and of all; neither is a multiple of a batch
        memory = memory_for(tiles, network, image, engine=engine, windows="exact")
        exact = fcconv.scan(network, image, engine=engine, memory=memory, windows="exact")
        assert exact.exact
        assert_identical(exact.scores, of_crops(network, image, exact)[0], "exact")
    assert not np.array_equal(shared.scores, exact.scores)


def test_a_saved_network_scans_as_it_did(tmp_path: Path) -> None:
    image = picture()
    for pad in (0, 1):
        sliding = fcconv.convolutionize(small_network(pad=pad), stride=3 if not pad else 2)
        path = tmp_path / f"{pad}.onnx"
        sliding.save(path)
        for windows in ("shared", "exact"):
            expected = fcconv.scan(sliding, image, windows=windows, engine="numpy")
            for given_network in (path, str(path), onnx.load(path)):
                found = fcconv.scan(given_network, image, windows=windows, engine="numpy")
                assert found.stride == sliding.stride
                assert_identical(found.scores, expected.scores, (pad, windows))
        for at_another in (sliding, path):
            with pytest.raises(ArgumentError, match="slides by"):
                fcconv.scan(at_another, image, stride=1, windows="shared")
