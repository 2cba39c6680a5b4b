"""Arrays of any layout and library, read by region as images, hold what the whole one holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask.array
import h5py
import jax.numpy as jnp
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fcconv.errors import ImageError
from fcconv.images import image as images
from fcconv.images.opening import open_images
from regions import RGB, check_regions, opened

dask_array: Any = dask.array.from_array  # typed in part


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_layout_and_region_of_an_array(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    spatial = "DHW"[3 - rank :]
    layout = "".join(data.draw(st.permutations(spatial + data.draw(st.sampled_from(["", "C"])))))
    shape = data.draw(st.tuples(*(st.integers(1, 9) for _ in layout)))
    dtype = data.draw(st.sampled_from(["u1", ">u2", "<i4", ">f4", "f8", "?"]))
    stored = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    ordered = np.einsum(f"{layout}->{'C' * ('C' in layout)}{spatial}", stored)
    ordered = ordered if "C" in layout else ordered[np.newaxis]
    native = np.dtype("f4") if dtype == "?" else np.dtype(dtype).newbyteorder("=")
    check_regions(opened(stored, rank, layout), ordered.astype(native))


@pytest.mark.parametrize("kind", ["numpy", "jax", "dask", "zarr", "memmap", "npy", "h5py"])
def test_arrays_of_every_library(kind: str, tmp_path: Path) -> None:
    source: Any = RGB
    if kind == "jax":
        source = jnp.asarray(RGB)
    elif kind == "dask":
        source = dask_array(RGB, chunks=(3, 32, 32))
    elif kind == "zarr":
        source = tmp_path / "picture.zarr"
        zarr.create_array(source, shape=RGB.shape, chunks=(2, 32, 32), dtype="u1")[:] = RGB
    elif kind in ("memmap", "npy"):
        source = tmp_path / "picture.npy"
        np.save(source, RGB)
        source = np.load(source, mmap_mode="r") if kind == "memmap" else source
    elif kind == "h5py":
        with h5py.File(tmp_path / "file.h5", "w") as file:
            data = file.create_dataset("x", data=RGB, chunks=(1, 16, 16))
            check_regions(opened(data), RGB)
        return
    check_regions(opened(source), RGB)


def test_default_layouts_and_batches() -> None:
    batch = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    made, is_batch = open_images(batch, 2)
    assert is_batch
    assert [image.name for image in made] == ["array[0]", "array[1]"]
    for image, pixels in zip(made, batch, strict=True):
        check_regions(image, pixels)
    check_regions(opened(batch, 3), batch)
    check_regions(opened(batch[0, 0]), batch[:1, 0])
    check_regions(opened(batch[0, 0], 1), batch[0, 0])
    lines, is_batch = open_images(batch[0].transpose(1, 2, 0), 2, layout="HNW")
    assert (len(lines), is_batch) == (5, True)
    check_regions(lines[3], batch[0, :, :, 3].T[np.newaxis])


class Counting:
    """An array that counts what is read of it."""

    dtype = np.dtype("u1")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = self.held = shape
        self.most = 0

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        lengths = [len(range(*part.indices(n))) for part, n in zip(index, self.held, strict=True)]
        spans = [part.stop - part.start for part in index]
        self.most = max(self.most, math.prod(spans))
        return np.zeros(lengths, np.uint8)


def test_overviews_read_in_blocks() -> None:
    array = Counting((1, 100_000, 100_000))
    assert opened(array).overview(1000).shape == (1, 1000, 1000)
    assert array.most <= images.OVERVIEW_BLOCK_ENTRIES


@pytest.mark.parametrize(
    ("source", "rank", "layout", "said"),
    [
        (np.zeros((2, 3)), 3, None, ["(2, 3)", "DHW is needed once", "as many axes"]),
        (np.zeros((2, 3, 4, 5, 6)), 2, None, ["(2, 3, 4, 5, 6)", "each of HW"]),
        (np.zeros((2, 3, 4)), 2, "THW", ["axis T of 2", "layout"]),
        (np.zeros((2, 3, 4)), 2, "DHW", ["axis D of 2"]),
        (np.zeros((2, 3, 4)), 2, "CCW", ["needed once"]),
        (np.zeros((2, 3, 4)), 2, "HW", ["(2, 3, 4)", "'HW' is of 2 axes"]),
        (np.zeros((1, 3, 4)), 2, ".HW", ["'.HW'"]),
        (np.zeros((0, 3)), 2, None, ["(0, 3)", "no pixels"]),
        (np.zeros((0, 3, 4, 5)), 2, None, ["no pixels"]),
        (np.zeros((2, 3), complex), 2, None, ["complex128"]),
        (np.zeros((2, 3), object), 2, None, ["object"]),
        (np.zeros((2, 3), "U3"), 2, None, ["<U3"]),
        ([[1, 2]], 2, None, ["list"]),
    ],
)
def test_what_is_no_image(source: Any, rank: int, layout: str | None, said: list[str]) -> None:
    with pytest.raises(ImageError) as caught:
        open_images(source, rank, layout=layout)
    for word in said:
        assert word in str(caught.value)


def test_regions_are_of_the_image() -> None:
    for region in [(slice(0, 91), slice(0, 5)), (slice(-1, 5), slice(0, 5))]:
        with pytest.raises(ImageError, match=r"\(90, 70\) pixels has no region"):
            opened(RGB).read(region)


def test_an_array_that_ends_early() -> None:
    array = Counting((1, 10, 10))
    array.held = (1, 10, 8)
    with pytest.raises(ImageError, match=r"ends before its region \[0:5, 0:9\] does"):
        opened(array).read((slice(0, 5), slice(0, 9)))


def test_identities(tmp_path: Path) -> None:
    same = opened(RGB).identity()
    assert opened(RGB.copy()).identity() == same
    assert opened(255 - RGB).identity() != same
    assert opened(RGB.astype(np.int16)).identity() != same
    brighter = RGB.copy()
    brighter[0, :45, :35] += 1
    assert opened(brighter).identity() != same
    np.save(tmp_path / "a.npy", RGB)
    before = opened(tmp_path / "a.npy").identity()
    assert opened(tmp_path / "a.npy").identity() == before
    np.save(tmp_path / "a.npy", RGB)
    assert opened(tmp_path / "a.npy").identity() != before
    np.save(tmp_path / "square.npy", RGB[:, :70])
    square = tmp_path / "square.npy"
    assert opened(square, layout="CWH").identity() != opened(square).identity()
    batch, _ = open_images(np.stack([RGB, RGB]), 2)
    assert batch[0].identity() != batch[1].identity()
