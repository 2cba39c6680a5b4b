"""Slides that openslide knows: what is read is what it reads, at places worked out by hand."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import fcconv
from fcconv.errors import FcconvError, ImageError
from fcconv.images import slides
from fcconv.images.coordinates import spaced
from fcconv.images.formats import files_of
from fcconv.images.image import Image
from fcconv.images.scales import Resized
from fcconv.images.sizing import open_sized
from graphs import Graph
from regions import tampered
from slide_files import TILE, write_dicom, write_svs

openslide: Any = pytest.importorskip("openslide")

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 256, (400, 480, 3), np.uint8)
SMALL = RNG.integers(0, 256, (100, 120, 3), np.uint8)
"""A level by 4, which has nothing in common with the slide, so that it is seen which was read."""

ODD = RNG.integers(0, 256, (403, 481, 3), np.uint8)
"""A slide of which `SMALL` is a quarter, rounded down along both axes."""


def take(path: Path, **told: Any) -> Image | Resized:
    [image], _ = open_sized(path, 2, **told)
    return image


def read(image: Image | Resized, *region: slice) -> np.ndarray:
    pixels, _ = image.read_valid(region or tuple(slice(0, n) for n in image.size), None)
    return pixels.transpose(1, 2, 0)


def check(image: Image | Resized, pixels: np.ndarray) -> None:
    """Compare the whole, some regions and a sample of pixels with what a slide is to hold."""
    np.testing.assert_array_equal(read(image), pixels)
    for region in regions_of(image):
        np.testing.assert_array_equal(read(image, *region), pixels[region])
    assert isinstance(image, Image)
    np.testing.assert_array_equal(image.overview(max(image.size)), pixels.transpose(2, 0, 1))


def regions_of(image: Image | Resized) -> Iterator[tuple[slice, slice]]:
    for _ in range(20):
        (top, bottom), (left, right) = (np.sort(RNG.integers(0, n, 2)) for n in image.size)
        yield slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)


@pytest.fixture
def svs(tmp_path: Path) -> Path:
    """A slide of 0.25 microns a pixel, in tiles that need no rounding."""
    write_svs(tmp_path / "a.svs", [WHOLE, SMALL], mpp=0.25, power=40)
    return tmp_path / "a.svs"


# What is read -----------------------------------------------------------------------------------


def test_a_slide_is_read_by_openslide(svs: Path) -> None:
    image = take(svs)
    assert isinstance(image, Image)
    check(image, WHOLE)
    assert image.level_sizes == [(400, 480), (100, 120)]  # no label, no macro, no thumbnail
    assert image.notes == (f"read by openslide {openslide.__library_version__} (aperio)",)
    assert image.coordinates == spaced((0.25, 0.25), "µm", ("y", "x"))
    for told in ({"level": 1}, {"mpp": 1}, {"magnification": 10}, {"mpp": 2, "source_mpp": 0.5}):
        sized = take(svs, **told)
        assert sized.scale == 0.25
        np.testing.assert_array_equal(read(sized), SMALL)
    assert take(svs, magnification=20).notes[1] == "magnification 20, by the objective's power 40"


def test_scores_are_those_of_crops_that_openslide_reads(svs: Path, tmp_path: Path) -> None:
    graph, out = Graph(3, 16, 20), tmp_path / "scores.zarr"
    weights = RNG.integers(-3, 4, (3 * 16 * 20, 2))
    x = graph.add("MatMul", graph.add("Flatten", "image"), graph.array(weights))
    found = fcconv.scan(
        graph.model(x), svs, mpp=1, stride=4, engine="numpy", out=out,
        preparation=fcconv.Preparation(scale=1),
    )  # fmt: skip
    slide = openslide.OpenSlide(svs)
    assert found.cells == (22, 26)  # (100 - 16) / 4 + 1, (120 - 20) / 4 + 1
    for row, column in ((0, 0), (3, 7), (21, 25)):
        # a cell goes by 4 pixels of the level, which are 16 of the slide
        crop = np.asarray(slide.read_region((16 * column, 16 * row), 1, (20, 16)))[..., :3]
        expected = crop.transpose(2, 0, 1).reshape(-1).astype(int) @ weights
        np.testing.assert_array_equal(found.scores[:, row, column], expected)
    peaks = found.peaks(0, -1e9, overlap=0)
    row, column = peaks[0].cell
    assert peaks[0].box == ((16 * row, 16 * row + 64), (16 * column, 16 * column + 80))
    assert fcconv.open_scan(out, svs).notes == found.notes


def test_a_level_that_is_resampled_is_the_same_in_all_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, block = tmp_path / "a.svs", 32
    write_svs(path, [ODD, SMALL])
    monkeypatch.setattr(slides, "BLOCK", block)
    image, slide = take(path, level=1), openslide.OpenSlide(path)
    factor = slide.level_downsamples[1]
    assert factor == (481 / 120 + 403 / 100) / 2  # by openslide; by fcconv it is 4
    assert (image.scale, image.size) == (0.25, (100, 120))
    whole = read(image)
    np.testing.assert_array_equal(whole[:block, :block], SMALL[:block, :block])
    for row, column in ((0, 64), (64, 32), (96, 96)):
        place = round(column * factor), round(row * factor)
        block_there = whole[row : row + block, column : column + block]
        expected = np.asarray(slide.read_region(place, 1, block_there.shape[1::-1]))
        inside = expected[..., 3] == 255  # its last pixels reach beyond the slide
        assert inside.mean() > 0.6
        np.testing.assert_array_equal(block_there[inside], expected[inside, :3])
    for region in regions_of(image):
        np.testing.assert_array_equal(read(image, *region), whole[region])


def test_what_is_not_there_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.svslide"
    tiles = [WHOLE[:TILE, :TILE], None, WHOLE[TILE : 2 * TILE, :TILE], None]
    options: dict[str, Any] = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "zlib"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(iter(tiles), shape=(2 * TILE, 2 * TILE, 3), dtype="u1", **options)
    image = take(path)
    assert "(generic-tiff)" in image.notes[0]
    pixels = read(image)
    np.testing.assert_array_equal(pixels[:, :TILE], WHOLE[: 2 * TILE, :TILE])
    assert (pixels[:, TILE:] == 255).all()


def test_a_plain_pyramid_is_what_openslide_reads(tmp_path: Path) -> None:
    path, half = tmp_path / "a.tif", RNG.integers(0, 256, (200, 240, 3), np.uint8)
    options: dict[str, Any] = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "zlib"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(WHOLE, resolution=(40000, 40000), resolutionunit="CENTIMETER", **options)
        for pixels in (half, SMALL):
            writer.write(pixels, subfiletype=1, **options)
    slide = openslide.OpenSlide(path)
    for mpp, level in ((0.25, 0), (0.5, 1), (1, 2)):
        image = take(path, mpp=mpp)
        # 30 rows and 20 columns from row 10 and column 50 of the level on
        place = 50 * 2**level, 10 * 2**level
        expected = np.asarray(slide.read_region(place, level, (20, 30)))[..., :3]
        np.testing.assert_array_equal(read(image, slice(10, 40), slice(50, 70)), expected)


def test_dicom_is_read_from_a_file_and_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    folder.mkdir()
    write_dicom(folder / "a.dcm", WHOLE, 0.25, power=40)
    write_dicom(folder / "b.dcm", SMALL, 1.0, power=40, image="2")
    for place in (folder, folder / "a.dcm"):
        image = take(place)
        assert isinstance(image, Image)
        check(image, WHOLE)
        assert image.coordinates == spaced((0.25, 0.25), "µm", ("y", "x"))
        np.testing.assert_array_equal(read(take(place, magnification=10)), SMALL)
    (folder / "b.dcm").write_bytes((folder / "b.dcm").read_bytes()[:200])
    (folder / "a.dcm").write_bytes(b"no slide")
    with pytest.raises(ImageError, match="holds DICOM, but no slide"):
        take(folder)


def test_a_picture_that_is_chosen_is_read_by_tifffile(svs: Path) -> None:
    for series in range(4):
        image = take(svs, series=series)
        assert image.size == [(400, 480), (100, 120), (50, 60), (50, 60)][series]


def test_what_openslide_does_not_know_is_read_by_tifffile(
    svs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = svs.with_name("plain.svs")
    tifffile.imwrite(plain, WHOLE, photometric="rgb")
    image = take(plain)
    assert image.notes[0].startswith("read by tifffile, as openslide does not: Unsupported")
    np.testing.assert_array_equal(read(image), WHOLE)
    monkeypatch.setitem(sys.modules, "openslide", None)
    image = take(svs, mpp=1)
    assert image.notes[0] == "read by tifffile, as openslide is not installed"
    np.testing.assert_array_equal(read(image), SMALL)


# Threads, and the end ---------------------------------------------------------------------------


def test_threads_read_at_the_same_time(svs: Path) -> None:
    image = take(svs)
    regions = [(slice(k, k + 90), slice(3 * k, 3 * k + 70)) for k in range(0, 130, 5)]
    with ThreadPoolExecutor(8) as pool:
        for region, pixels in zip(
            regions, pool.map(lambda r: read(image, *r), regions), strict=True
        ):
            np.testing.assert_array_equal(pixels, WHOLE[region])


def test_a_slide_is_closed_when_nothing_refers_to_it(svs: Path) -> None:
    image = take(svs, mpp=1)
    read(image)
    handle = weakref.ref(image.picture.stored.levels[0].slide)
    assert handle() is not None
    del image
    gc.collect()
    assert handle() is None


def test_a_slide_of_several_files_may_not_change(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", WHOLE, 0.25)
    write_dicom(tmp_path / "b.dcm", SMALL, 1.0, image="2")
    for place in (tmp_path, tmp_path / "a.dcm"):
        image = take(place, mpp=1)
        write_dicom(tmp_path / "b.dcm", SMALL, 1.0, image="2")
        with pytest.raises(ImageError, match="has changed since it was opened"):
            read(image)
    files = [
        tmp_path / "c.mrxs",
        tmp_path / "c/Data0.dat",
        tmp_path / "d.vms",
        tmp_path / "d(1).jpg",
    ]
    (tmp_path / "c").mkdir()
    for file in files:
        file.touch()
    assert files_of(files[0]) == files[:2]
    assert set(files_of(files[2])) == {*files[2:]}


# Damaged files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.svs", "a.dcm"])
def test_damaged_slides_end_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.svs":
        write_svs(path, [WHOLE, SMALL])
    else:
        write_dicom(path, WHOLE, 0.5)
    rng, size, said = np.random.default_rng(1), path.stat().st_size, []
    for attempt in range(40):  # three of four are cut off
        start = int(rng.integers(0, size))
        broken = tampered(path, f"broken-{name}", start, None if attempt % 4 else 400)
        try:
            read(take(broken))
        except FcconvError as error:
            said.append(str(error))
    assert len(said) >= 30
    assert [line for line in said if f"broken-{name}" not in line or "\n" in line] == []


@pytest.mark.parametrize(
    "name", ["a.mrxs", "a.vms", "a.vmu", "a.svslide", "a.dcm", "a.bif", "a.scn"]
)
def test_what_is_no_slide(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"[Virtual Microscope Specimen]\nNoLayers=1\n")
    with pytest.raises(ImageError, match=rf"{name} can't be read"):
        take(tmp_path / name)


def test_tiles_that_are_too_large_are_refused(svs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slides, "MOST_CHUNK", 4 * TILE * TILE - 1)
    with pytest.raises(ImageError, match=r"tiles of 16384 bytes in its level 0"):
        take(svs)
