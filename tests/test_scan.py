"""A scan gives each window the scores of its crop, in however many tiles, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.errors import ShapeError
from fcconv.scanning.job import Job, make_job
from fcconv.scanning.network import as_network
from fcconv.scanning.plan import Plan
from graphs import Graph
from random_graphs import Case, cases
from sliding_windows import crops, larger, listed, slid
from strategies import integers, seeds

Array: TypeAlias = npt.NDArray[Any]

WINDOWS = {1: (11,), 2: (7, 8), 3: (5, 4, 6)}
SIZES = {1: (90,), 2: (27, 33), 3: (11, 10, 13)}
TYPES = {"numpy": "float64", "jax": "float64", "onnxruntime": "float32"}


def small_network(
    rank: int = 2, dtype: str = "float32", layout: str = "first", pad: int = 0, heads: int = 1
) -> onnx.ModelProto:
    """Put together a patch classifier of integers, of 2 channels or none, that goes by 2 pixels."""
    window, rng = WINDOWS[rank], np.random.default_rng(rank)
    channels = 1 if layout == "none" else 2
    shape = {"first": (2, *window), "last": (*window, 2), "none": window}[layout]
    graph, x = Graph(*shape, dtype=dtype), "image"
    if layout == "last":
        x = graph.add("Transpose", x, perm=[0, rank + 1, *range(1, rank + 1)])
    if layout == "none":
        x = graph.add("Unsqueeze", x, np.array([1], np.int64))
    kernel = graph.array(rng.integers(-2, 3, (3, channels, *(2 for _ in window))))
    x = graph.add("Relu", graph.add("Conv", x, kernel, pads=[pad] * (2 * rank)))
    x = graph.add("MaxPool", x, kernel_shape=[2] * rank, strides=[2] * rank)
    x = graph.add("Flatten", x)
    features = 3 * math.prod((n + 2 * pad - 1) // 2 for n in window)
    made = [
        graph.add("MatMul", x, graph.array(rng.integers(-2, 3, (features, 2 + k))))
        for k in range(heads)
    ]
    return graph.model(*made)


def picture(rank: int = 2, dtype: str = "float32", channels: int = 2, seed: int = 0) -> Array:
    return integers(seed, (channels, *SIZES[rank]), dtype)


def memory_for(
    tiles: int,
    network: Any,
    image: Any,
    *,
    engine: str = "numpy",
    stride: Any = None,
    windows: str | None = None,
    layout: str | None = None,
) -> int:
    """Find an amount of memory that cuts an image into that many tiles, or as many as it can."""
    job = make_job(as_network(network, stride), image, windows, None, layout, None)
    memory = 2**20
    cut, _ = job.planned(memory, engine)
    most = math.prod(cut.cells)
    while len(cut) < min(tiles, most):
        memory = memory * 4 // 5
        cut, _ = job.planned(memory, engine)
    return memory


@contextmanager
def cut_into(tiles: int, batch: int = 3) -> Iterator[None]:
    """Cut images into so many tiles or more, whatever the memory."""

    def planned(job: Job, memory: int, engine: str) -> tuple[Plan, int]:
        def fits(cut: Plan) -> bool:
            return len(cut) >= min(tiles, math.prod(cut.cells))

        return next(cut for cut in job._plans() if fits(cut)), batch

    with mock.patch.object(Job, "planned", planned):
        yield


def of_crops(network: onnx.ModelProto, image: Array, scan: fcconv.Scan) -> list[Array]:
    """Score each window of an image ``(C, *S)`` by the patch network, channels first."""
    cells = list(np.ndindex(*scan.cells))
    windows = np.stack([image[(slice(None), *scan.box(*cell))] for cell in cells])
    scores = listed(fcconv.compile(network)(windows))
    return [part.reshape(len(cells), -1).T.reshape(-1, *scan.cells) for part in scores]


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
    with pytest.raises(ShapeError, match="there is no image 3"):
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
            with pytest.raises(ShapeError, match="slides by"):
                fcconv.scan(at_another, image, stride=1, windows="shared")
