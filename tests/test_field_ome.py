"""OME-Zarr as ome-zarr-py writes and reads it: planes, coordinates, and scores that are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import fcconv
from fcconv.images.coordinates import spaced
from fcconv.images.opening import open_images
from scan_cases import small_network

formats: Any = pytest.importorskip("ome_zarr.format")
io: Any = pytest.importorskip("ome_zarr.io")
reader: Any = pytest.importorskip("ome_zarr.reader")
writer: Any = pytest.importorskip("ome_zarr.writer")
models: Any = pytest.importorskip("ome_zarr_models.v05")

pytestmark = pytest.mark.filterwarnings("ignore")  # what it depends on is deprecated in places

VERSIONS = ("0.4", "0.5")
STACK = np.random.default_rng(0).integers(0, 255, (2, 2, 3, 60, 70), np.uint8)
SCALE = {"z": 2.0, "y": 0.5, "x": 0.25}


def write(path: Path, version: str) -> None:
    kind = formats.FormatV04() if version == "0.4" else formats.FormatV05()
    group = zarr.open_group(path, mode="w", zarr_format=kind.zarr_format)
    writer.write_image(
        STACK, group, fmt=kind, axes="tczyx", scale=SCALE, scale_factors=[2, 4],
        axes_units=dict.fromkeys("zyx", "micrometer"),
    )  # fmt: skip


def read(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """Return the levels of an image as ome-zarr-py has them, and what it says of them."""
    (node,) = reader.Reader(io.parse_url(path))()
    return node.data, node.metadata


@pytest.mark.parametrize("version", VERSIONS)
def test_planes_and_levels_are_those_that_it_reads(version: str, tmp_path: Path) -> None:
    path = tmp_path / "cells.ome.zarr"
    write(path, version)
    levels, _ = read(path)
    images, batch = open_images(path, 2, time="all", z="all")
    assert batch
    for number, (time, z) in enumerate(np.ndindex(2, 3)):
        whole = images[number].read((slice(0, 60), slice(0, 70)))
        np.testing.assert_array_equal(whole, np.asarray(levels[0][time, :, z]))
    assert images[0].coordinates == spaced((0.5, 0.25), "µm", ("y", "x"), (-0.25, -0.125))
    assert len(images[0].levels) == len(levels) == 3
    small = np.asarray(levels[1][1, :, 2])
    np.testing.assert_array_equal(images[-1].overview(max(small.shape)), small)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rank", [2, 3])
def test_scores_lie_on_the_image_where_it_has_both(version: str, rank: int, tmp_path: Path) -> None:
    write(tmp_path / "cells.ome.zarr", version)
    network = small_network(rank) if rank == 2 else small_volume()
    planes: dict[str, Any] = {"time": 1} if rank == 3 else {"time": 1, "z": 2}
    found = fcconv.scan(network, tmp_path / "cells.ome.zarr", engine="numpy", **planes)
    found.write_map(tmp_path / "scores.ome.zarr")
    (scores,), told = read(tmp_path / "scores.ome.zarr")
    np.testing.assert_array_equal(np.asarray(scores), found.scores)
    assert told["channel_names"] == [*found.labels]
    models.Image.from_zarr(zarr.open_group(tmp_path / "scores.ome.zarr", mode="r"))  # checks it
    _, source = read(tmp_path / "cells.ome.zarr")
    cell = [n - 1 for n in found.cells]
    scale, translation = of_first(told, rank)
    at = [n * i + t for n, i, t in zip(scale, cell, translation, strict=True)]
    pixels, first = of_first(source, rank)
    places = zip(pixels, cell, found.stride, found.window, first, strict=True)
    assert at == [n * (i * s + (k - 1) / 2) + t for n, i, s, k, t in places]


def small_volume() -> Any:
    """Put together a network for stacks of three planes."""
    from graphs import Graph

    graph = Graph(2, 2, 8, 8)
    x = graph.add("Flatten", graph.add("MaxPool", "image", kernel_shape=[2] * 3, strides=[1, 2, 2]))
    return graph.model(graph.add("MatMul", x, graph.array(np.ones((2 * 16, 2)))))


def of_first(told: dict[str, Any], rank: int) -> tuple[list[float], list[float]]:
    """Return scale and translation of the first level along its last axes."""
    found = {one["type"]: one[one["type"]] for one in told["coordinateTransformations"][0]}
    scale, translation = found["scale"], found.get("translation", [0.0] * len(told["axes"]))
    return scale[-rank:], translation[-rank:]
