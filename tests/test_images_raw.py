"""What is read from a file as it is equals NumPy's slices; a file that shrinks is an error."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from fcconv.errors import ImageError
from fcconv.images.raw import Turned, open_raw
from regions import HWC, RGB, check_regions, opened, tampered

nifti: Any = nibabel.Nifti1Image  # typed in part
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@st.composite
def regions(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Draw a slice an axis, with a step, maybe of nothing."""
    starts = [draw(st.integers(0, n)) for n in shape]
    stops = [draw(st.integers(a, n)) for a, n in zip(starts, shape, strict=True)]
    steps = [draw(st.integers(1, 4)) for _ in shape]
    return tuple(map(slice, starts, stops, steps))


@given(st.data())
def test_raw_parts_are_those_of_numpy(data: st.DataObject) -> None:
    shape = tuple(data.draw(shapes))
    dtype = data.draw(st.sampled_from(["u1", ">u2", "<f8"]))
    array = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(b"abc" + array.tobytes())
        raw = open_raw(path, array.dtype, shape, 3)
        for _ in range(3):
            region = data.draw(regions(shape))
            np.testing.assert_array_equal(raw[region], array[region])


@given(st.data())
def test_turned_parts_are_those_of_numpy(data: st.DataObject) -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    order = data.draw(st.permutations(range(4)))
    flipped = data.draw(st.sets(st.integers(0, 3)).map(tuple))
    expected = np.flip(array, flipped).transpose(order)
    turned = Turned(array, order, flipped)
    assert turned.shape == expected.shape
    region = data.draw(regions(expected.shape))
    np.testing.assert_array_equal(turned[region], expected[region])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">i4", "f4"])
def test_npy_of_any_order(order: Any, dtype: str, tmp_path: Path) -> None:
    pixels = np.asarray(RGB.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", pixels)
    check_regions(opened(tmp_path / "a.npy"), pixels.astype(np.dtype(dtype).newbyteorder("=")))


SHRUNK = """
import os, sys
import numpy as np
from fcconv.errors import ImageError
from fcconv.images.opening import open_images
path, how = sys.argv[1:]
source = np.load(path, mmap_mode=how) if how != "path" else path
[image], _ = open_images(source, 2)
os.truncate(path, 5000)
try:
    image.read((slice(60, 90), slice(0, 70)))
except ImageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "how"), [("a.npy", "path"), ("a.npy", "r"), ("a.npy", "c"), ("a.tif", "path")]
)
def test_a_file_that_becomes_shorter_ends_no_process(name: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, RGB)
    else:
        tifffile.imwrite(path, HWC, photometric="rgb")
    done = subprocess.run(
        [sys.executable, "-c", SHRUNK, str(path), how], capture_output=True, text=True, check=True
    )
    said = {  # a file is watched; an array of the user's own tells of its file only by its length
        "path": f"{name} has changed since it was opened",
        "r": "can't be read in its region [60:90, 0:70]: the file has become shorter",
        "c": "can't be read in its region [60:90, 0:70]: the file has become shorter",
    }
    assert said[how] in done.stdout


def test_the_first_pixels_are_still_there_when_a_file_has_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(RGB.tobytes())
    raw = open_raw(path, RGB.dtype, RGB.shape, 0)
    os.truncate(path, RGB.nbytes - 1)
    first, last = (
        (slice(channel, channel + 1), slice(0, 90), slice(0, 70)) for channel in (0, len(RGB) - 1)
    )
    np.testing.assert_array_equal(raw[first], RGB[first])
    with pytest.raises(EOFError, match="become shorter"):
        raw[last]


# Compressed volumes -----------------------------------------------------------------------------


def volume(path: Path) -> np.ndarray:
    voxels = np.random.default_rng(1).integers(0, 255, (20, 21, 22), dtype=np.uint8)
    nibabel.save(nifti(voxels, np.eye(4)), path)
    return voxels


def test_a_compressed_volume_is_decompressed_once(tmp_path: Path) -> None:
    voxels = volume(tmp_path / "a.nii.gz")
    image = opened(tmp_path / "a.nii.gz", 3)
    check_regions(image, voxels[np.newaxis])
    (tmp_path / "a.nii.gz").unlink()  # nothing is read from it any more
    (stored,) = image.stored.levels
    np.testing.assert_array_equal(stored[(slice(None),) * 3], voxels)


def test_a_compressed_volume_that_is_cut_off(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii.gz")
    cut = tampered(tmp_path / "a.nii.gz", "cut.nii.gz", 5000)
    with pytest.raises(ImageError, match=r"cut\.nii\.gz"):
        opened(cut, 3)


def test_a_disk_that_has_no_room_for_a_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume(tmp_path / "a.nii.gz")
    full = Path("/dev/full").open("w+b")  # noqa: SIM115 - what opens a volume closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    with pytest.raises(ImageError, match=r"No space left .*; let TMPDIR name .* 9,592 bytes"):
        opened(tmp_path / "a.nii.gz", 3)
    assert full.closed
