"""Images read by region hold what the whole one holds, in every format; broken ones say so."""

from __future__ import annotations

import importlib.util
import math
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from threading import Thread
from typing import Any

import dask.array
import jax.numpy as jnp
import nibabel
import numpy as np
import PIL.Image
import pytest
import soundfile
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fcconv.errors import BackendError, ImageError
from fcconv.scanning import formats, images
from fcconv.scanning.images import Image, open_images

write_tiff: Any = tifffile.imwrite  # typed in part, as these are
dask_array: Any = dask.array.from_array
nifti: Any = nibabel.Nifti1Image

RGB = np.random.default_rng(0).integers(0, 256, (3, 90, 70), dtype=np.uint8)
"""A picture, channels first."""

HWC = np.ascontiguousarray(RGB.transpose(1, 2, 0))


def opened(source: Any, rank: int = 2, layout: str | None = None) -> Image:
    [image], batch = open_images(source, rank, layout)
    assert not batch
    return image


def whole(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, pixels) for pixels in image.size))


def check_regions(image: Image, pixels: np.ndarray) -> None:
    """Compare the whole, some regions and overviews with what the image is to hold."""
    assert (image.channels, *image.size) == pixels.shape
    assert image.dtype == pixels.dtype
    rng = np.random.default_rng(1)
    for attempt in range(8):
        starts = [int(rng.integers(0, size)) if attempt else 0 for size in image.size]
        stops = [
            int(rng.integers(start, size)) + 1 if attempt else size
            for start, size in zip(starts, image.size, strict=True)
        ]
        region = tuple(slice(*ends) for ends in zip(starts, stops, strict=True))
        part = image.read(region)
        assert type(part) is np.ndarray
        assert part.dtype == pixels.dtype
        assert part.dtype.isnative
        np.testing.assert_array_equal(part, pixels[(slice(None), *region)])
    for most in (1, 7, 1000):
        n = math.ceil(max(image.size) / most)
        every = (slice(None), *(slice(None, None, n) for _ in image.size))
        np.testing.assert_array_equal(image.overview(most), pixels[every])


def tampered(path: Path, name: str, start: int, length: int | None = None) -> Path:
    """Write the file again with noise from `start` on, or cut off there."""
    data = path.read_bytes()
    made = path.with_name(name)
    noise = b"" if length is None else b"\xa5" * length + data[start + length :]
    made.write_bytes(data[:start] + noise)
    return made


# Arrays and layouts


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
        h5py = pytest.importorskip("h5py")
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
    lines, is_batch = open_images(batch[0].transpose(1, 2, 0), 2, "HNW")
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
    assert array.most <= images.BLOCK


@pytest.mark.parametrize(
    ("source", "rank", "layout", "said"),
    [
        (np.zeros((2, 3)), 3, None, ["(2, 3)", "DHW is needed once", "layout"]),
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
        open_images(source, rank, layout)
    for word in said:
        assert word in str(caught.value)


def test_regions_are_of_the_image() -> None:
    for region in [(slice(0, 91), slice(0, 5)), (slice(-1, 5), slice(0, 5))]:
        with pytest.raises(ImageError, match=r"\(90, 70\) pixels has no region"):
            opened(RGB).read(region)


# TIFF

TIFFS: dict[str, dict[str, Any]] = {
    "plain": {"photometric": "rgb"},
    "strips": {"photometric": "rgb", "compression": "zlib", "rowsperstrip": 16, "predictor": True},
    "tiles": {"photometric": "rgb", "compression": "zlib", "tile": (32, 32)},
    "big": {"photometric": "rgb", "tile": (16, 32), "bigtiff": True},
    "other byte order": {"photometric": "rgb", "byteorder": ">"},
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tiff(kind: str, dtype: str, tmp_path: Path) -> None:
    options = dict(TIFFS[kind])
    if dtype == "f4":
        options.pop("predictor", None)  # tifffile needs imagecodecs for that of floats
    pixels = (RGB.astype(dtype) * 200).astype(dtype) if dtype != "u1" else RGB
    write_tiff(tmp_path / "a.tif", pixels.transpose(1, 2, 0), **options)
    check_regions(opened(tmp_path / "a.tif"), pixels)


def test_axes_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32)}
    write_tiff(path, RGB, **planes)
    check_regions(opened(path), RGB)
    write_tiff(path, RGB[0, :1])
    check_regions(opened(path), RGB[:1, :1])
    check_regions(opened(path, 1), RGB[0, :1])
    write_tiff(path, RGB[0])
    check_regions(opened(path, layout="WH"), RGB[:1].transpose(0, 2, 1))
    ome = tmp_path / "a.ome.tif"
    write_tiff(ome, np.stack([RGB, RGB[::-1]]), metadata={"axes": "ZCYX"})
    check_regions(opened(ome, 3), np.stack([RGB, RGB[::-1]], axis=1))
    with pytest.raises(ImageError, match="axis D of 2"):
        opened(ome)
    write_tiff(path, RGB, photometric="minisblack")
    with pytest.raises(ImageError, match=r"axis Q of 3; .* layout"):
        opened(path)
    check_regions(opened(path, layout="CHW"), RGB)


def test_a_tiff_is_read_by_tile(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, HWC, tile=(32, 32), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        start, length = page.dataoffsets[4], page.databytecounts[4]  # rows 32:64, columns 32:64
    image = opened(tampered(path, "broken.tif", start, length))
    region = (slice(0, 32), slice(0, 70))
    np.testing.assert_array_equal(image.read(region), RGB[:, :32])
    with pytest.raises(ImageError, match=r"broken\.tif .* region \[30:40, 30:40\]"):
        image.read((slice(30, 40), slice(30, 40)))


def test_overviews_are_read_from_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(HWC, subifds=2, **options)
        writer.write(255 - HWC[::2, ::2], subfiletype=1, **options)
        writer.write(HWC[::4, ::4], subfiletype=1, **options)
    image = opened(path)
    np.testing.assert_array_equal(whole(image), RGB)
    for most, expected in [
        (200, RGB), (90, RGB), (89, 255 - RGB[:, ::2, ::2]), (46, 255 - RGB[:, ::2, ::2]),
        (45, RGB[:, ::4, ::4]), (23, RGB[:, ::4, ::4]), (10, RGB[:, ::12, ::12]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(image.overview(most), expected)


def test_what_a_tiff_can_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    for options in ({}, {"compression": "zlib"}, {"tile": (32, 32)}):
        write_tiff(path, HWC, photometric="rgb", **options)
        cut = tampered(path, "cut.tif", path.stat().st_size - 2000)
        with pytest.raises(ImageError, match=r"cut\.tif is cut off"):
            opened(cut)
    for start in (0, 6, 100):
        with pytest.raises(ImageError, match=r"cut\.tif"):
            opened(tampered(path, "cut.tif", start))
    write_tiff(path, RGB[0], photometric="miniswhite")
    with pytest.raises(ImageError, match="MINISWHITE"):
        opened(path)
    PIL.Image.fromarray(HWC).convert("P").save(path)
    with pytest.raises(ImageError, match="PALETTE"):
        opened(path)
    write_tiff(path, HWC, photometric="rgb", compression="zlib")
    monkeypatch.setattr(formats, "MOST_CHUNK", HWC.nbytes - 1)
    with pytest.raises(ImageError, match=f"{HWC.nbytes} bytes.*convert it to tiles"):
        opened(path)
    write_tiff(path, HWC, photometric="rgb")
    check_regions(opened(path), RGB)


def test_a_tiff_whose_codec_may_be_missing(tmp_path: Path) -> None:
    PIL.Image.fromarray(HWC).save(tmp_path / "a.tif", compression="tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        check_regions(opened(tmp_path / "a.tif"), RGB)
        return
    with pytest.raises(BackendError, match=r"a\.tif .*LZW.* 'imagecodecs' package: install it"):
        opened(tmp_path / "a.tif")


def test_opacity_of_a_tiff_is_full_where_it_is_read(tmp_path: Path) -> None:
    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    rgba[80, 60, 3] = 254
    options: dict[str, Any] = {
        "photometric": "rgb",
        "extrasamples": ["unassalpha"],
        "tile": (16, 16),
    }
    write_tiff(tmp_path / "a.tif", rgba, **options)
    image = opened(tmp_path / "a.tif")
    assert image.channels == 3
    np.testing.assert_array_equal(image.read((slice(0, 80), slice(0, 70))), RGB[:, :80])
    with pytest.raises(ImageError, match=r"transparent .* region \[70:90, 0:70\]"):
        image.read((slice(70, 90), slice(0, 70)))


# Pictures


def png(mode: int, size: tuple[int, int], rows: bytes, bits: int = 8) -> bytes:
    """Write a PNG by hand, with what Pillow would not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", *size, bits, mode, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "ppm"])
def test_pictures(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix.upper()}"
    PIL.Image.fromarray(HWC).save(path, lossless=True)
    check_regions(opened(path), RGB)


def test_modes_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    deep = RGB[:1].astype(np.uint16) * 257
    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    cases: list[tuple[Any, np.ndarray]] = [
        (PIL.Image.fromarray(RGB[0]), RGB[:1]),
        (PIL.Image.fromarray(deep[0]), deep),
        (PIL.Image.fromarray(RGB[0] > 99), np.where(RGB[:1] > 99, np.uint8(255), np.uint8(0))),
        (PIL.Image.fromarray(rgba), RGB),
        (PIL.Image.fromarray(rgba[..., 2:]), RGB[2:]),
    ]
    for picture, expected in cases:
        picture.save(path)
        check_regions(opened(path), expected)
    palette = PIL.Image.fromarray(HWC).quantize(16)
    palette.save(path)
    check_regions(opened(path), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    with pytest.raises(ImageError, match="DHW"):
        opened(path, 3)


def test_orientation_of_a_photo(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned to the left
    PIL.Image.fromarray(HWC).save(tmp_path / "a.png", exif=exif)
    check_regions(opened(tmp_path / "a.png"), np.rot90(RGB, -1, (1, 2)))


def test_pictures_that_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, said: str) -> None:
        with pytest.raises(ImageError, match=said) as caught:
            opened(path)
        assert path.name in str(caught.value)

    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    rgba[3, 4, 3] = 254
    path = tmp_path / "a.png"
    for see_through in (PIL.Image.fromarray(rgba), PIL.Image.fromarray(rgba[..., 2:])):
        see_through.save(path)
        refused(path, "transparent .* background")
    PIL.Image.fromarray(HWC).quantize(16).save(path, transparency=3)
    refused(path, "transparent")
    path.write_bytes(png(0, (100_000, 100_000), b""))
    refused(path, "convert it to a tiled TIFF")
    path.write_bytes(png(2, (2, 1), b"\0" * 13, bits=16))
    refused(path, "16 bits a colour")
    for suffix in ("png", "jpg"):
        PIL.Image.fromarray(HWC).save(tmp_path / f"b.{suffix}")
        for length in (0, 20, 2000):
            refused(tampered(tmp_path / f"b.{suffix}", f"cut.{suffix}", length), "can't be read")
    PIL.Image.fromarray(HWC).convert("CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "CMYK")
    frames = [PIL.Image.fromarray(plane) for plane in RGB]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.gif", "3 images")
    PIL.Image.fromarray(HWC).save(tmp_path / "other.png", format="TGA")
    refused(tmp_path / "other.png", "can't be read")


def test_a_decoder_that_warns_is_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PIL.Image.fromarray(HWC).save(tmp_path / "a.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 90 * 70 - 1)  # a warning, but no error
    check_regions(opened(tmp_path / "a.png"), RGB)


# Sound, volumes and other files


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS")],
)
def test_sound(name: str, subtype: str, tmp_path: Path) -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, (30_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / name, samples, 8000, subtype=subtype)
    expected = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0].T
    if subtype == "FLOAT":
        np.testing.assert_array_equal(expected, samples.T)
    image = opened(tmp_path / name, 1)
    check_regions(image, expected)

    def read(start: int, found: list[bool]) -> None:
        for at in range(start, 29_000, 1000):
            part = image.read((slice(at, at + 300),))
            found.append(np.array_equal(part, expected[:, at : at + 300]))

    found: list[bool] = []
    threads = [Thread(target=read, args=(start, found)) for start in (0, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 58
    assert all(found)


def test_sound_that_ends_early(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "a.flac", rng.normal(0, 0.1, 90_000), 8000)
    cut = tampered(tmp_path / "a.flac", "cut.flac", 40_000)
    image = opened(cut, 1)
    assert image.read((slice(0, 100),)).any()
    with pytest.raises(ImageError, match=r"cut\.flac .* region \[80000:80100\]"):
        image.read((slice(80_000, 80_100),))


def test_an_array_that_ends_early() -> None:
    array = Counting((1, 10, 10))
    array.held = (1, 10, 8)
    with pytest.raises(ImageError, match=r"ends before its region \[0:5, 0:9\] does"):
        opened(array).read((slice(0, 5), slice(0, 9)))


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("channels", [(), (2,), (1, 3)])
def test_volumes(suffix: str, channels: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    rng = np.random.default_rng(4)
    voxels = rng.integers(-100, 100, (7, 8, 9, *channels), dtype=np.int16)
    volume = nifti(voxels, np.eye(4))
    volume.header.set_slope_inter(0.5, 3)
    nibabel.save(volume, path)
    ordered = np.moveaxis(voxels.reshape(7, 8, 9, -1), -1, 0)
    check_regions(opened(path, 3), 0.5 * ordered + 3)
    if suffix == "nii":
        cut = tampered(path, "cut.nii", path.stat().st_size - 20)
        with pytest.raises(ImageError, match=r"cut\.nii"):
            whole(opened(cut, 3))


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xyz").write_bytes(b"1")
    np.save(tmp_path / "a.npy", np.array([{}, {}]))
    np.save(tmp_path / "b.npy", RGB)
    tampered(tmp_path / "b.npy", "cut.npy", 5000)
    zarr.create_group(tmp_path / "group.zarr")
    for name, said in [
        ("none.png", "does not exist"), (".", "folder"), ("a.xyz", r"suffix .*\.png"),
        ("a.npy", "can't be read"), ("cut.npy", "can't be read"), ("group.zarr", "group"),
    ]:  # fmt: skip
        with pytest.raises(ImageError, match=said) as caught:
            opened(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    (tmp_path / "a.tif").write_bytes(b"1")
    with pytest.raises(BackendError, match=r"tifffile.*pip install 'fcconv\[scan\]'"):
        opened(tmp_path / "a.tif")


def test_libraries_print_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + b"\xa5" * 50)
    nibabel.save(nifti(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[252] = 99  # of a form that is not known
    (tmp_path / "a.nii").write_bytes(data)
    code = """
from fcconv.errors import ImageError
from fcconv.scanning.images import open_images
try:
    open_images("a.tif", 2)
except ImageError:
    print("refused")
print(open_images("a.nii", 3)[0][0].size)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n(2, 3, 4)\n"
    assert done.stderr == ""


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
