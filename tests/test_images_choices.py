"""Files that hold several pictures: which is taken, which could be, and what messages advise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from fcconv.errors import ImageError
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from regions import HWC, RGB, check_regions
from tiff_files import scn

nifti: Any = nibabel.Nifti1Image  # typed in part
TILED: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "metadata": None}
SMALL = np.ascontiguousarray(255 - HWC[:40, :30])
LABEL = np.ascontiguousarray(HWC[::-1, ::-1][:70, :70])


def take(source: Any, rank: int = 2, layout: str | None = None, **choice: Any) -> Image:
    [image], batch = open_images(source, rank, layout=layout, **choice)
    assert not batch
    return image


def planes(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(2, 0, 1)


# Series -----------------------------------------------------------------------------------------


def write_scn(path: Path) -> None:
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        text = scn({"a": [(40, 30)], "b": [(90, 70)]})
        writer.write(SMALL, description=text, **TILED)
        writer.write(HWC, **TILED)


def write_ome(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(SMALL, photometric="rgb", metadata={"Name": "macro image"})
        writer.write(HWC, photometric="rgb", metadata={"Name": "cells"})


def write_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(SMALL, photometric="rgb", metadata=None)
        writer.write(HWC, photometric="rgb", metadata=None)


@pytest.mark.parametrize("name", ["a.scn", "a.ome.tif", "a.tif"])
def test_the_largest_picture_is_the_image(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    {"a.scn": write_scn, "a.ome.tif": write_ome, "a.tif": write_pages}[name](path)
    image = take(path)
    check_regions(image, planes(HWC))
    *_, note = image.notes  # which of slides says first what reads it
    assert "series 1 of the file" in note
    assert "--series takes another: 0 (" in note
    assert "40 x 30" in note
    other = take(path, series=0)
    check_regions(other, planes(SMALL))
    assert other.name == f"{name}, series 0"
    assert other.identity() != image.identity()
    for wrong in (2, -1, "x"):
        with pytest.raises(ImageError, match=r"no series .*: choose one of 0 \(.*40 x 30.*1 \("):
            take(path, series=wrong)


def test_a_label_is_not_the_image_though_it_is_larger(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(HWC, photometric="rgb", metadata={"Name": "label image"})
        writer.write(SMALL, photometric="rgb", metadata={"Name": "Image:0"})
    check_regions(take(path), planes(SMALL))
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(HWC, photometric="rgb", metadata={"Name": "label image"})
    check_regions(take(path), planes(HWC))


def test_a_mask_is_not_the_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(HWC[..., 0] > 9, subfiletype=4, photometric="mask", metadata=None)
        writer.write(HWC, photometric="rgb", metadata=None)
    check_regions(take(path), planes(HWC))


def test_frames_of_a_gif(tmp_path: Path) -> None:
    frames = [PIL.Image.fromarray(plane) for plane in RGB]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"3 images: .*--series 0 to 2"):
        take(tmp_path / "a.gif")
    shown = whole_of(take(tmp_path / "a.gif", series=2))
    np.testing.assert_array_equal(shown[0], RGB[2])
    with pytest.raises(ImageError, match="no series 3"):
        take(tmp_path / "a.gif", series=3)


def whole_of(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, n) for n in image.size))


def test_series_of_what_has_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RGB)
    check_regions(take(tmp_path / "a.npy", series=0), RGB)
    with pytest.raises(ImageError, match=r"a\.npy has no series 1: choose one of 0"):
        take(tmp_path / "a.npy", series=1)
    with pytest.raises(ImageError, match="but the image is an array"):
        take(RGB, series=0)


# Pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["ZYXS", "TZYXS", "QYXS"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_of_a_stack(axes: str, compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stack = np.stack([HWC + k for k in range(6)]).astype(np.uint8)
    shape = (2, 3, *HWC.shape) if axes[0] == "T" else stack.shape
    options: dict[str, Any] = {"photometric": "rgb", "compression": compression}
    tifffile.imwrite(path, stack.reshape(shape), metadata={"axes": axes}, **options)
    for page in (0, 4, 5):
        image = take(path, page=page)
        check_regions(image, planes(stack[page]))
        assert image.name == f"a.tif, page {page}"
    with pytest.raises(ImageError, match=r"--page 0 to 5\)"):
        take(path)
    for wrong in (6, -1, 0.5):
        with pytest.raises(ImageError, match="6 pages, 0 to 5: there is no page"):
            take(path, page=wrong)


def test_pages_of_arrays() -> None:
    batch = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    check_regions(take(batch, page=1), batch[1])
    check_regions(take(batch, layout="CZHW", page=2), batch[:, 2])
    check_regions(take(batch, layout="TZHW", page=5), batch[1:, 2])
    check_regions(take(batch[0], page=0), batch[0])
    with pytest.raises(ImageError, match="one page, 0: there is no page 1"):
        take(batch[0], page=1)


def test_channels_can_be_pages() -> None:
    batch = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for pixels, layout, at in ((batch[1], "NHW", 2), (batch, "NTHW", 5)):
        said = f"layout='{layout}'"
        with pytest.raises(ImageError, match=f"no page 5; {said} .* takes its 3 channels"):
            take(pixels, page=5)
        check_regions(take(pixels, layout=layout, page=at), batch[1, 2:])
    with pytest.raises(ImageError, match=r"there is no page 5$"):
        take(batch[:1, :1], page=5)


def test_times_of_a_volume(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (4, 5, 6, 3), dtype=np.uint8)
    nibabel.save(nifti(voxels, np.eye(4)), tmp_path / "a.nii")
    image = take(tmp_path / "a.nii", 3, "DHWN", page=2)
    check_regions(image, voxels[np.newaxis, ..., 2])


# Advice -----------------------------------------------------------------------------------------


def test_what_is_advised_for_other_axes_works(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="minisblack")
    with pytest.raises(ImageError) as caught:
        take(path)
    for advice in ("--page 0 to 2", "channels with layout='CHW'", "batch with layout='NHW'"):
        assert advice in str(caught.value)
    check_regions(take(path, layout="CHW"), RGB)
    check_regions(take(path, page=2), RGB[2:])
    assert len(open_images(path, 2, layout="NHW")[0]) == 3
    tifffile.imwrite(path, np.zeros((2, 2, 8, 8), np.uint8), imagej=True, metadata={"axes": "TZYX"})
    for plane in ("all", 0):  # of which a layout would have to name the axis, too
        with pytest.raises(ImageError, match=r"--time K, or all\)$"):
            open_images(path, 2, z=plane)
    with pytest.raises(ImageError, match=r"there is no page 5$"):
        open_images(np.zeros((3, 2, 8, 8)), 2, layout="CTHW", time=0, page=5)
    for layout in ("*NHW", ".NHW"):
        with pytest.raises(ImageError, match="give a letter for each"):
            open_images(path, 2, layout=layout)


# Zarr -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_a_group_names_its_arrays(version: Any, tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "picture", zarr_format=version)
    with pytest.raises(ImageError, match="it holds none"):
        take(tmp_path / "picture")
    group.create_array("0", shape=RGB.shape, chunks=(3, 32, 32), dtype="u1")[:] = RGB
    group.create_group("labels").create_array("1", shape=(2, 3), dtype="u1")
    with pytest.raises(ImageError) as caught:
        take(tmp_path / "picture")
    for named in ("picture/0 of (3, 90, 70)", "picture/labels/1 of (2, 3)"):
        assert named in str(caught.value)
    check_regions(take(tmp_path / "picture" / "0"), RGB)


@pytest.mark.parametrize("version", [2, 3])
def test_names_of_axes_are_read(version: Any, tmp_path: Path) -> None:
    def stored(name: str, pixels: np.ndarray, names: tuple[str, ...]) -> Path:
        options: dict[str, Any] = {"zarr_format": version, "dtype": "u1"}
        if version == 3:
            options["dimension_names"] = names
        path = tmp_path / name
        array = zarr.create_array(path, shape=pixels.shape, chunks=pixels.shape, **options)
        array[:] = pixels
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(names)
        return path

    check_regions(take(stored("a", HWC, ("y", "x", "band"))), RGB)
    check_regions(take(stored("b", RGB, ("c", "x", "y"))), RGB.transpose(0, 2, 1))
    times = stored("c", RGB, ("time", "lat", "lon"))
    with pytest.raises(ImageError, match="no image has an axis T of 3"):
        take(times)
    check_regions(take(times, page=1), RGB[1:2])
    check_regions(take(stored("d", RGB, ("dim_0", "dim_1", "dim_2"))), RGB)
