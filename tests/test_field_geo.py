"""Scenes of satellites: what rasterio reads of them, and where on the ground results lie."""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile

import fcconv
from fcconv.cli import app
from fcconv.errors import ArgumentError, BackendError, ImageError, OutputError
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from fcconv.report import map_geotiff
from fcconv.scanning.result import Scan
from regions import check_regions, tampered
from scan_cases import small_network

rasterio = pytest.importorskip("rasterio")
pyproj = pytest.importorskip("pyproj")

UTM = "EPSG:32633"
NORTH_UP = rasterio.Affine(10, 0, 399960, 0, -10, 5300040)
"""Pixels of 10 m; the upper left corner of the first at 399,960 m east, 5,300,040 m north."""
TURNED = NORTH_UP @ rasterio.Affine.rotation(30)
PIXELS = np.random.default_rng(0).integers(1, 4000, (4, 70, 90), dtype=np.uint16)
NAMES = ("blue", "green", "red", "nir")


def write_scene(
    path: Path,
    pixels: np.ndarray = PIXELS,
    transform: Any = NORTH_UP,
    names: tuple[str, ...] | None = NAMES,
    scale: tuple[float, float] | None = None,
    valid: np.ndarray | None = None,
    overviews: tuple[int, ...] = (),
    **options: Any,
) -> Path:
    """Write a GeoTIFF in tiles of 32 x 32 pixels."""
    bands, height, width = pixels.shape
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    facts = {"driver": "GTiff", "crs": UTM, "transform": transform, "dtype": pixels.dtype.name}
    shape = {"count": bands, "height": height, "width": width}
    with rasterio.open(path, "w", **{**facts, **shape, **tiles, **options}) as scene:
        scene.write(pixels)
        if names is not None:
            scene.descriptions = names
        if scale is not None:
            scene.scales, scene.offsets = [scale[0]] * bands, [scale[1]] * bands
        if valid is not None:
            scene.write_mask(valid)
    if overviews:
        with rasterio.open(path, "r+") as scene:
            scene.build_overviews(overviews, rasterio.enums.Resampling.average)
    return path


def take(path: Path, **choice: Any) -> Image:
    [image], batch = open_images(path, 2, **choice)
    assert not batch
    return image


def missing(image: Image, region: tuple[slice, slice] | None = None) -> np.ndarray:
    where = region or tuple(slice(0, n) for n in image.size)
    found = image.read_valid(where, image.nodata)[1]
    assert found is not None
    return found


# Reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_regions_and_bands_are_those_of_the_file(interleave: str, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.tif", interleave=interleave)
    check_regions(take(path), PIXELS)
    for channels in (("red", "green", "blue"), (3, 2, 1), ("3", "green", 1)):
        image = take(path, channels=channels)
        check_regions(image, PIXELS[[2, 1, 0]])
        assert image.notes == ("channels 3 (red), 2 (green), 1 (blue) of 4",)
    with rasterio.open(path) as scene:
        window = rasterio.windows.Window(col_off=40, row_off=20, width=25, height=30)
        crop = scene.read([4, 3], window=window)
    pixels = take(path, channels=(4, 3)).read((slice(20, 50), slice(40, 65)))
    np.testing.assert_array_equal(pixels, crop)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "turned"])
def test_coordinates_are_those_of_the_ground(transform: Any, tmp_path: Path) -> None:
    found = take(write_scene(tmp_path / "scene.tif", transform=transform)).coordinates
    assert found is not None
    assert (found.names, found.unit) == (("y", "x"), "m")
    assert pyproj.CRS(found.crs) == pyproj.CRS(UTM)
    np.testing.assert_allclose(found.spacing, 10, rtol=1e-12)
    if transform is NORTH_UP:  # row 3 ends 30 m south of the corner, column 7 70 m east of it
        assert found.at((3, 7)) == (5300010, 400030)
    with rasterio.open(tmp_path / "scene.tif") as scene:
        x, y = scene.xy(3, 7)  # of the pixel's centre
    np.testing.assert_allclose(found.at((3.5, 7.5)), (y, x), rtol=1e-14)


def test_overviews_are_levels(tmp_path: Path) -> None:
    pixels = np.arange(4 * 256 * 256, dtype=np.uint16).reshape(4, 256, 256)
    path = write_scene(tmp_path / "scene.tif", pixels, overviews=(2, 4))
    image = take(path, channels=(4,))
    with rasterio.open(path, overview_level=1) as scene:
        np.testing.assert_array_equal(image.overview(64), scene.read([4]))
    np.testing.assert_array_equal(image.overview(256), pixels[3:])


def test_nodata_is_said(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[:, :5] = 0
    pixels[0, 6, 6] = 0  # one band may be 0 by right
    image = take(write_scene(tmp_path / "scene.tif", pixels, nodata=0))
    assert image.nodata == 0
    np.testing.assert_array_equal(missing(image), (pixels == 0).all(axis=0))


def test_masks_say_what_has_no_value(tmp_path: Path) -> None:
    valid = np.random.default_rng(1).random(PIXELS.shape[1:]) > 0.1
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        inside = write_scene(tmp_path / "inside.tif", valid=valid)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        beside = write_scene(tmp_path / "beside.tif", valid=valid)
        other = write_scene(tmp_path / "other.tif", valid=~valid)
    region = (slice(10, 50), slice(20, 90))
    for path in (inside, beside):
        for channels in (None, (4, 2)):
            image = take(path, channels=channels)
            np.testing.assert_array_equal(missing(image), ~valid)
            np.testing.assert_array_equal(missing(image, region), ~valid[region])
    before = take(beside).identity()
    Path(f"{other}.msk").replace(f"{beside}.msk")
    assert take(beside).identity() != before


def test_overviews_have_masks_too(tmp_path: Path) -> None:
    valid = np.ones((128, 128), bool)
    valid[:64] = False
    pixels = np.ones((2, 128, 128), np.uint16)
    path = write_scene(tmp_path / "a.tif", pixels, names=None, valid=valid, overviews=(2,))
    found = take(path).read_valid((slice(0, 64), slice(0, 64)), None, level=1)[1]
    np.testing.assert_array_equal(found, ~valid[::2, ::2])


def test_opacity_is_a_mask_unless_it_is_a_channel(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[3, 10:20] = 0
    path = write_scene(tmp_path / "scene.tif", pixels, names=None, photometric="rgb", alpha="yes")
    image = take(path)
    check_regions(image, pixels[:3])
    np.testing.assert_array_equal(missing(image), pixels[3] == 0)
    assert "band 4 is opacity" in image.notes[0]
    np.testing.assert_array_equal(missing(take(path, channels=("green",))), pixels[3] == 0)
    for choice in ({"channels": (1, 2, 3, 4)}, {"layout": "CHW"}):
        whole = take(path, **choice)
        check_regions(whole, pixels)
        assert whole.read_valid((slice(0, 70), slice(0, 90)), None)[1] is None


def test_scale_and_offset_are_applied(tmp_path: Path) -> None:
    pixels = PIXELS.copy()
    pixels[:, 3] = 7
    pixels[1, 5, 5] = 7
    path = write_scene(tmp_path / "scene.tif", pixels, scale=(0.5, -100.0), nodata=7)
    image = take(path, channels=(2, 4))
    check_regions(image, (pixels[[1, 3]] * 0.5 - 100).astype(np.float32))  # exact: halves
    assert "times 0.5 plus -100" in image.notes[0]
    np.testing.assert_array_equal(missing(image), (pixels[[1, 3]] == 7).all(axis=0))


def test_bits_in_use_are_known(tmp_path: Path) -> None:
    assert take(write_scene(tmp_path / "scene.tif", nbits=12)).bits == 12


def test_other_formats_lie_on_the_ground_too(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif")
    copy = pytest.importorskip("rasterio.shutil").copy
    for name, driver in (("scene.img", "HFA"), ("scene.jp2", "JP2OpenJPEG"), ("scene.vrt", "VRT")):
        lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
        copy(scene, tmp_path / name, driver=driver, **lossless)
        image = take(tmp_path / name)
        check_regions(image, PIXELS)
        assert image.coordinates is not None
        assert image.coordinates.at((0, 0)) == (5300040, 399960)


# What is missing, damaged or lies ---------------------------------------------------------------


def test_without_rasterio_pixels_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "scene.tif", photometric="minisblack")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    image = take(path, layout="CHW" if take(path).stored.axes == "CHW" else "HWC")
    check_regions(image, PIXELS)
    assert image.coordinates is None
    assert "pip install 'fcconv[geo]'" in image.notes[0]
    (tmp_path / "scene.vrt").write_text("<VRTDataset/>")
    with pytest.raises(BackendError, match=r"pip install 'fcconv\[geo\]'"):
        take(tmp_path / "scene.vrt")


def test_what_is_not_brightness_is_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.tif", PIXELS[:1].astype(np.uint8), names=None)
    with rasterio.open(path, "r+") as scene:
        scene.write_colormap(1, {0: (255, 0, 0, 255)})
    with pytest.raises(ImageError, match="stores palette pixels: convert it"):
        take(path)


def overwrite(path: Path, tag: int, value: Any) -> None:
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[tag].overwrite(value)


def test_damaged_scenes_are_refused_in_a_line(tmp_path: Path) -> None:
    path, region = write_scene(tmp_path / "scene.tif"), (slice(0, 70), slice(0, 90))
    for name, start, length in (("cut.tif", 30000, None), ("noise.tif", 9000, 9000)):
        with pytest.raises(
            ImageError,
            match=r"is cut off$|is cut off:|can't be read in its region \[0:70, 0:90\]: \S",
        ):
            take(tampered(path, name, start, length)).read(region)
    offsets = 324  # of tiles
    overwrite(path, offsets, tuple(10**9 + k for k in range(9)))
    with pytest.raises(ImageError, match="is cut off"):
        take(path)


def test_a_place_that_is_none_is_not_kept(tmp_path: Path) -> None:
    path, pixel_scale = write_scene(tmp_path / "scene.tif"), 33550
    overwrite(path, pixel_scale, (0.0, 0.0, 0.0))
    image = take(path)
    check_regions(image, PIXELS)
    assert image.coordinates is None
    points = [
        rasterio.control.GroundControlPoint(0, 0, 1, 2),
        rasterio.control.GroundControlPoint(9, 9, 3, 1),
    ]
    path = write_scene(tmp_path / "points.tif", transform=None, gcps=points)
    assert take(path).coordinates is None
    assert "gdalwarp" in take(path).notes[0]


VRT = """<VRTDataset rasterXSize="90" rasterYSize="70"{kind}>
<VRTRasterBand dataType="UInt16" band="1"{band}><SimpleSource>
<SourceFilename relativeToVRT="{beside}">{source}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand>{more}</VRTDataset>"""


def write_vrt(path: Path, source: str, beside: int = 1, **parts: Any) -> Path:
    path.write_text(
        VRT.format(**{"kind": "", "band": "", "more": ""} | parts, source=source, beside=beside)
    )
    return path


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Give an address on this machine, and where what is asked of it is written down.

    The server is another process: GDAL holds the interpreter while it waits.
    """
    asked = tmp_path / "asked.txt"
    words = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with (
        asked.open("w") as log,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path
        ) as server,
    ):
        assert server.stdout is not None
        port = server.stdout.readline().split()[5]
        yield f"http://127.0.0.1:{port}/absent.tif", asked
        server.terminate()


def test_mosaics_refer_to_local_images_only(tmp_path: Path, address: tuple[str, Path]) -> None:
    url, asked = address
    write_scene(tmp_path / "scene.tif")
    good = write_vrt(tmp_path / "good.vrt", "scene.tif")
    check_regions(take(good), PIXELS[:1])
    check_regions(take(write_vrt(tmp_path / "outer.vrt", str(good), beside=0)), PIXELS[:1])
    (tmp_path / "wms.tif").write_text(
        f"<GDAL_WMS><Service><ServerUrl>{url}</ServerUrl></Service></GDAL_WMS>"
    )
    for number, source in enumerate(
        (url, f"/vsicurl/{url}", f"WMS:{url}", "<GDAL_WMS/>", "wms.tif", "no.tif", "a\0b", ".")
    ):
        text = source.replace("<", "&lt;").replace("\0", "")
        with pytest.raises(ImageError, match=r"refers to .* which is not"):
            take(write_vrt(tmp_path / f"{number}.vrt", text, beside=number % 2))
    loop = write_vrt(tmp_path / "loop.vrt", "loop.vrt")
    with pytest.raises(ImageError, match="one of too many"):
        take(loop)
    odd: tuple[dict[str, Any], ...] = (
        {"kind": ' subClass="VRTPansharpenedDataset"'},
        {"band": ' subClass="VRTDerivedRasterBand"'},
    )
    for parts in odd:
        with pytest.raises(ImageError, match="make a GeoTIFF of it"):
            take(write_vrt(tmp_path / "odd.vrt", "scene.tif", **parts))
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]>' + good.read_text()
    (tmp_path / "bomb.vrt").write_text(bomb)
    with pytest.raises(ImageError, match="declares entities"):
        take(tmp_path / "bomb.vrt")
    assert asked.read_text() == ""


def test_overviews_are_not_fetched(tmp_path: Path, address: tuple[str, Path]) -> None:
    url, asked = address
    path = write_scene(tmp_path / "scene.tif")
    text = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{url}</MDI></Metadata>'
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{text}</PAMDataset>")
    check_regions(take(path), PIXELS)
    assert asked.read_text() == ""


# Results ----------------------------------------------------------------------------------------


def scanned(path: Path, **options: Any) -> Scan:
    """Score windows of the bands nir and red, which go by 2 pixels."""
    return fcconv.scan(small_network(), path, engine="numpy", channels=("nir", "red"), **options)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "turned"])
def test_cells_of_a_geotiff_have_the_centres_of_their_windows(
    transform: Any, tmp_path: Path
) -> None:
    found = scanned(write_scene(tmp_path / "scene.tif", transform=transform))
    found.write_map(tmp_path / "scores.tif")
    with rasterio.open(tmp_path / "scores.tif") as scores:
        np.testing.assert_array_equal(scores.read(), found.scores)
        assert scores.descriptions == found.labels
        assert np.isnan(scores.nodata)
        assert scores.crs.to_epsg() == 32633
        (height, width), (rows, columns) = found.window, found.cells
        for row, column in ((0, 0), (3, 7), (rows - 1, columns - 1)):
            centre = transform @ (2 * column + width / 2, 2 * row + height / 2)
            np.testing.assert_allclose(scores.xy(row, column), centre, rtol=1e-12)
        if transform is NORTH_UP:
            assert (height, width) == (7, 8)
            # the window of cell (3, 7) begins at row 6, column 14; its centre is at 9.5, 18
            assert scores.xy(3, 7) == (399960 + 180, 5300040 - 95)


def test_a_geotiff_is_written_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_geotiff, "SCORES_AT_A_TIME", 1)
    monkeypatch.setattr(map_geotiff, "TILE", 16)
    pixels = PIXELS.copy()
    pixels[:, 20:24, 30:40] = 0
    path = write_scene(tmp_path / "scene.tif", pixels, nodata=0)
    found = scanned(path, out=tmp_path / "scores.zarr", memory="8MB")
    found.write_map(tmp_path / "scores.tif")
    with rasterio.open(tmp_path / "scores.tif") as scores:
        np.testing.assert_array_equal(scores.read(), found.scores[:])
        assert int(np.isnan(scores.read(1)).sum()) == found.unscored > 0


def test_scores_of_a_plain_picture_are_in_its_pixels(tmp_path: Path) -> None:
    found = fcconv.scan(small_network(), PIXELS[:2], engine="numpy", stride=4)
    found.write_map(tmp_path / "scores.tif")
    with rasterio.open(tmp_path / "scores.tif") as scores:
        assert scores.crs is None
        assert scores.xy(1, 2) == (2 * 4 + 8 / 2, 4 + 7 / 2)


def test_a_full_disk_is_noticed(tmp_path: Path) -> None:
    found = scanned(write_scene(tmp_path / "scene.tif"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"can't write .*scores.tif"):
            found.write_map(tmp_path / "scores.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "scores.tif").exists()


def boxes_of(path: Path) -> tuple[dict[str, Any], list[np.ndarray], list[dict[str, float]]]:
    told = json.loads(path.read_text())
    rings, measured = [], []
    for feature in told.pop("features"):
        (ring,) = feature["geometry"]["coordinates"]
        x, y = np.array(ring).T
        assert ring[0] == ring[-1]
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # counterclockwise
        rings.append(np.array(ring))
        measured.append(feature["properties"]["measurements"])
    return told, rings, measured


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "turned"])
def test_peaks_lie_in_longitude_and_latitude(transform: Any, tmp_path: Path) -> None:
    found = scanned(write_scene(tmp_path / "scene.tif", transform=transform))
    peaks = found.peaks(found.labels, -1e9)
    found.write_peaks(tmp_path / "peaks.geojson", peaks)
    told, rings, measured = boxes_of(tmp_path / "peaks.geojson")
    assert told == {"type": "FeatureCollection"}  # without crs, as RFC 7946 has it
    back = pyproj.Transformer.from_crs("OGC:CRS84", UTM, always_xy=True)
    for peak, ring, scores in zip(peaks, rings, measured, strict=True):
        assert 11 < ring[0, 0] < 16  # west and east of zone 33: 12 to 18 degrees
        x, y = back.transform(*ring.T)
        columns, rows = ~transform @ (x, y)
        # 1e-9 degrees, to which places are rounded, are 1e-4 m, 1e-5 of a pixel
        for ends, places in zip(peak.box, (rows, columns), strict=True):
            np.testing.assert_allclose(sorted(set(places.round(4))), ends, atol=2e-5)
        assert scores["score"] == peak.score
        for channel, label in enumerate(found.labels):
            assert scores[label] == found.scores[channel, *peak.cell]


def test_peaks_in_the_system_of_the_file_say_so(tmp_path: Path) -> None:
    found = scanned(write_scene(tmp_path / "scene.tif"))
    peak = found.peaks(found.labels, -1e9)[0]
    found.write_peaks(tmp_path / "peaks.geojson", [peak], crs="file")
    told, [ring], _ = boxes_of(tmp_path / "peaks.geojson")
    assert told["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    (top, bottom), (left, right) = peak.box
    west, east, north, south = left * 10, right * 10, -top * 10, -bottom * 10
    corners = {(west, north), (east, north), (east, south), (west, south)}
    assert {(x - 399960, y - 5300040) for x, y in ring.tolist()} == corners
    with pytest.raises(ArgumentError, match="crs is 'lonlat' or 'file'"):
        found.write_peaks(tmp_path / "peaks.geojson", [peak], crs="pixels")


def test_boxes_across_the_180th_meridian_stay_small(tmp_path: Path) -> None:
    east = rasterio.Affine(0.001, 0, 179.97, 0, -0.001, 10)
    found = scanned(write_scene(tmp_path / "scene.tif", transform=east, crs="EPSG:4326"))
    found.write_peaks(tmp_path / "peaks.geojson", found.peaks(found.labels, -1e9))
    _, rings, _ = boxes_of(tmp_path / "peaks.geojson")
    assert max(np.ptp(ring[:, 0]) for ring in rings) < 0.012
    assert max(ring[:, 0].max() for ring in rings) > 180


@pytest.mark.parametrize("named", [False, True])
def test_masks_lie_on_the_ground(named: bool, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.tif", transform=TURNED)
    corners = np.array([(10.3, 5.1), (80.7, 20.2), (50.4, 60.6), (10.3, 5.1)])
    x, y = TURNED @ corners.T
    told: dict[str, Any] = {"type": "Polygon"}
    if named:
        told["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    else:
        x, y = pyproj.Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True).transform(x, y)
    (tmp_path / "fields.geojson").write_text(
        json.dumps({**told, "coordinates": [np.stack([x, y], axis=-1).tolist()]})
    )
    (tmp_path / "pixels.geojson").write_text(
        json.dumps({"type": "Polygon", "coordinates": [corners.tolist()]})
    )
    # no centre of a window is nearer to a side than 0.02 pixels, by which sides move by no means
    found = scanned(path, mask=tmp_path / "fields.geojson")
    plain = fcconv.scan(
        small_network(), PIXELS[[3, 2]], engine="numpy", mask=tmp_path / "pixels.geojson"
    )
    assert 0 < found.outside == plain.outside
    np.testing.assert_array_equal(found.scores, plain.scores)
    said = "EPSG::32633" if named else "in longitude and latitude"
    assert any(said in note for note in found.notes)


def test_sides_of_masks_are_straight_in_degrees(tmp_path: Path) -> None:
    wide = rasterio.Affine(10_000, 0, 50_000, 0, -10_000, 5_600_000)  # pixels of 10 km
    path = write_scene(tmp_path / "scene.tif", transform=wide)
    west, south, east, north = 10.03, 46.02, 20.04, 49.03
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    told = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "box.geojson").write_text(json.dumps(told))
    found = scanned(path, mask=tmp_path / "box.geojson")
    rows, columns = np.indices(found.cells)
    x, y = wide @ (2 * columns + 4, 2 * rows + 3.5)
    x, y = pyproj.Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True).transform(x, y)
    inside = (x > west) & (x < east) & (y > south) & (y < north)
    np.testing.assert_array_equal(np.isfinite(found.scores[0]), inside)


def test_masks_in_pixels_are_told_from_those_on_the_ground(tmp_path: Path) -> None:
    ring = [[100, 50], [800, 200], [500, 600], [100, 50]]
    (tmp_path / "far.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    path = write_scene(tmp_path / "scene.tif")
    with pytest.raises(ImageError, match="are not longitude and latitude"):
        scanned(path, mask=tmp_path / "far.json")


def test_masks_whose_places_are_exchanged_are_told_the_order(tmp_path: Path) -> None:
    ring = [[100, 5], [100.1, 5], [100.1, 5.1], [100, 5]]
    (tmp_path / "far.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    with pytest.raises(ImageError, match="longitude stands before latitude"):
        scanned(write_scene(tmp_path / "scene.tif"), mask=tmp_path / "far.json")


def test_names_of_bands_need_rasterio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "scene.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)  # as if it were not installed
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BackendError, match=r"pip install 'fcconv\[geo\]'"):
        take(path, channels=("nir",))
    assert take(path, channels=("4",)).channels == 1


def test_the_command_line_goes_from_a_scene_to_the_ground(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(small_network(), tmp_path / "model.onnx")
    write_scene(tmp_path / "scene.tif")
    inputs = [str(tmp_path / name) for name in ("model.onnx", "scene.tif")]
    outputs = ["--peaks", str(tmp_path / "a.geojson"), "--map", str(tmp_path / "a.tif")]
    words = ["--crs", "file", "--threshold", "0", "--engine", "numpy"]
    words += ["--channels", "nir,red", "--out", str(tmp_path / "a.zarr")]
    assert app.run(["scan", *inputs, *outputs, *words]) == 0
    before = [(tmp_path / name).read_bytes() for name in ("a.geojson", "a.tif")]
    (tmp_path / "scene.tif").unlink()
    words = ["--crs", "file", "--threshold", "0"]
    assert app.run(["show", str(tmp_path / "a.zarr"), *outputs, *words]) == 0
    assert [(tmp_path / name).read_bytes() for name in ("a.geojson", "a.tif")] == before
    assert "urn:ogc:def:crs:EPSG::32633" in (tmp_path / "a.geojson").read_text()
    capsys.readouterr()
    assert app.run(["show", str(tmp_path / "a.zarr"), *outputs, "--crs", "pixels"]) == 2
    assert "--crs" in capsys.readouterr().err


def test_a_site_that_lies_nowhere_on_earth_is_said_before_the_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(small_network(), tmp_path / "model.onnx")
    write_scene(tmp_path / "scene.tif", crs='LOCAL_CS["site",UNIT["metre",1]]')
    inputs = [str(tmp_path / name) for name in ("model.onnx", "scene.tif")]
    words = ["--channels", "1,2", "--engine", "numpy", "--peaks", str(tmp_path / "a.geojson")]
    out = ["--out", str(tmp_path / "a.zarr")]
    assert app.run(["scan", *inputs, *words, *out]) == 2
    assert "(--crs file)" in capsys.readouterr().err
    assert not (tmp_path / "a.zarr").exists()
    assert app.run(["scan", *inputs, *words, *out, "--crs", "file"]) == 0
