"""Arguments of another type than is needed: errors of fcconv that say which, and what came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from fcconv.errors import FcconvError
from fcconv.images.opening import open_images
from fcconv.images.scales import resized
from fcconv.report import write_heatmap, write_page, write_peaks
from scan_cases import picture, small_network
from small_scans import make_scan, randoms

OF_A_SCAN: dict[str, list[Any]] = {
    "labels": [5, "ab", b"ab", [1, 2], [None, "a"]],
    "preparation": [{"gray": True}, "gray", 5],
    "existing": [1, None, []],
    "engine": [None, 5, ["numpy"]],
    "memory": [None, [], {}],
    "out": [5, b"scores.npy", ["scores.npy"]],
    "windows": [5, True, ["shared"]],
    "layout": [5, ["C", "H", "W"], b"CHW"],
    "stride": ["2", 2.5, {}],
    "window": [5, "abc"],
    "progress": [5, "bar"],
}
OF_A_PREPARATION: dict[str, list[Any]] = {
    "gray": ["no", 1, None],
    "scale": ["1", [1], {}, 10**400],
    "mean": [None, "12", [None], np.array(5)],
    "std": [None, "1", {}],
}


def refused(name: str, value: Any, call: Callable[..., object], *given: Any, **named: Any) -> None:
    """Check that an error names an argument, and what came."""
    with pytest.raises(FcconvError) as found:
        call(*given, **named)
    assert name in str(found.value)
    assert any(str(found.value).count(came[:9]) for came in (str(value), repr(value)))


@pytest.mark.parametrize("name", OF_A_SCAN)
def test_arguments_of_a_scan(name: str) -> None:
    network, image = small_network(), picture()
    for value in OF_A_SCAN[name]:
        arguments = {"engine": "numpy", name: value}
        refused(name, value, fcconv.scan, network, image, **arguments)


@pytest.mark.parametrize("name", OF_A_PREPARATION)
def test_arguments_of_a_preparation(name: str) -> None:
    for value in OF_A_PREPARATION[name]:
        refused(name, value, fcconv.Preparation, **{name: value})


def test_an_open_image_is_not_opened_otherwise() -> None:
    opened = open_images(picture(), 2)[0][0]
    for image in (opened, resized(opened, 2)):
        for name, value in {"layout": "CHW", "series": 0, "page": 0}.items():
            refused(f"{name}=", value, fcconv.scan, small_network(), image, **{name: value})


def test_the_window_of_a_network_that_slides_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "sliding.onnx"
    fcconv.convolutionize(small_network()).save(path)
    with pytest.raises(FcconvError, match=r"network slides, .* leave window \(--window\) out"):
        fcconv.scan(path, picture(), window=(2, 9, 9))


def test_cells_and_boxes() -> None:
    scan: Any = make_scan(randoms(2, 6, 5), (3, 3), (2, 2))
    assert scan.box(np.int64(1), np.array(-1)) == (slice(2, 5), slice(8, 11))
    for cell in [(1.5, 0), ("a", 0), (None, 0), (True, 0), ([1], 0), (1, None, 0)]:
        refused("cell", cell, scan.box, *cell)
    for box in [5, None, "ab", slice(3), (1, 2), (slice(0.5, 3), slice(3)), (slice(3), slice("a"))]:
        refused("box", box, scan.within, box)
    for step in (2, -1):  # a slice of every other pixel is no box
        box = (slice(0, 4, step), slice(0, 4))
        refused("box", box, scan.within, box)


def test_arguments_of_peaks() -> None:
    scan: Any = make_scan(randoms(2, 6, 5), (3, 3), (2, 2), ("cat", "dog"))
    assert scan.peaks(np.int64(1), np.float32(0)) == scan.peaks("dog", 0)
    for label in (None, 1.5, True, b"cat"):
        refused("label", label, scan.peaks, label, 0)
    for threshold in ("a", "1", None, [1], np.array([1, 2])):
        refused("threshold", threshold, scan.peaks, 0, threshold)
    for overlap in ("0.5", None, [0.5]):
        refused("overlap", overlap, scan.peaks, 0, 0, overlap=overlap)
    for image in ("0", None, 0.5, False):
        refused("image", image, scan.peaks, 0, 0, image=image)
    refused("progress", 5, scan.peaks, 0, 0, progress=5)


NO_PATHS = (5, None, b"name.png")
NO_OVERVIEWS = (None, 5, [[1]], "photo.png", np.zeros((3, 0, 4)))


def test_arguments_of_reports(tmp_path: Path) -> None:
    scan, overview = make_scan(randoms(2, 6, 5), (3, 3), (2, 2)), randoms(3, 13, 11)
    rest: tuple[Any, ...]
    for write, name, rest in ((write_heatmap, "a.png", ()), (write_page, "a.html", (None, []))):
        for path in NO_PATHS:
            refused("path", path, write, path, scan, overview, *rest)
        for shown in NO_OVERVIEWS:
            came = getattr(shown, "shape", shown)
            refused("overview", came, write, tmp_path / name, scan, shown, *rest)
        refused("scan", None, write, tmp_path / name, None, overview, *rest)
    page = tmp_path / "a.html"
    refused("certificate", 5, write_page, page, scan, overview, 5, [])
    for layers in (5, None, [5]):
        refused("layers", layers, write_page, page, scan, overview, None, layers)
    heat, table = tmp_path / "a.png", tmp_path / "a.csv"
    for labels in (5, "class 0", [0]):
        refused("label", labels, write_heatmap, heat, scan, overview, labels)
    refused("labels", "none", write_heatmap, heat, scan, overview, [])
    for peaks in (5, None, ["peak"]):
        refused("peaks", peaks, write_heatmap, heat, scan, overview, peaks=peaks)
        refused("peaks", peaks, write_peaks, table, peaks, 2)
    for rank in (4, None, "2"):
        refused("rank", rank, write_peaks, table, [], rank)
    for path in NO_PATHS:
        refused("path", path, write_peaks, path, [], 2)
    assert not list(tmp_path.iterdir())
