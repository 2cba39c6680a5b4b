"""The size in which an image is read: a level, microns a pixel, or the power of an objective."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile

import fcconv
from fcconv.cli.app import run
from fcconv.errors import ArgumentError, BackendError, FcconvError, ImageError, UnsupportedError
from fcconv.images.coordinates import spaced
from fcconv.images.image import Image
from fcconv.images.scales import Resized
from fcconv.images.sizing import open_sized, sized
from fcconv.images.stored import Stored
from graphs import Graph
from regions import HWC, RGB
from scan_cases import small_network

write_tiff: Any = tifffile.imwrite  # typed in part

PYRAMID = [HWC, HWC[::2, ::2], 255 - HWC[::4, ::4][:22, :17]]
"""Of 90 x 70, 45 x 35 and 22 x 17 pixels, the last of which shows other things."""

OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">'
    '<Objective ID="Objective:0" NominalMagnification="4"/>'
    '<Objective ID="Objective:1" NominalMagnification="40"/></Instrument>'
    '<Image ID="Image:0"><ObjectiveSettings ID="Objective:1"/><Pixels ID="Pixels:0" '
    'DimensionOrder="XYCZT" Type="uint8" SizeX="70" SizeY="90" SizeC="3" SizeZ="1" SizeT="1" '
    'PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5"><Channel ID="Channel:0" '
    'SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
)
APERIO = "Aperio Image Library v11\r\n70x90 [0,0 70x90]|AppMag = 20|MPP = 0.499"


def take(source: Any, **told: Any) -> Image | Resized:
    [image], _ = open_sized(source, 2, **told)
    return image


def pixels_of(image: Image | Resized) -> np.ndarray:
    return image.read_valid(tuple(slice(0, n) for n in image.size), None)[0].transpose(1, 2, 0)


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    """A pyramid of 0.25 microns a pixel."""
    path = tmp_path / "a.tif"
    told: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(PYRAMID[0], photometric="rgb", subifds=2, **told)
        for level in PYRAMID[1:]:
            writer.write(level, photometric="rgb", subfiletype=1)
    return path


# What files tell --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "spacing", "power"),
    [
        ({"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}, (0.5, 0.25), None),
        ({"resolution": (25400, 50800), "resolutionunit": "INCH"}, (0.5, 1.0), None),
        ({"resolution": (1000, 1000), "resolutionunit": "CENTIMETER"}, (10.0, 10.0), None),
        ({"description": APERIO, "metadata": None}, (0.499, 0.499), 20),
        ({"description": OME, "metadata": None}, (0.5, 0.25), 40),
        ({"resolution": (40000, 40000), "resolutionunit": "NONE"}, None, None),
    ],
)
def test_microns_of_a_tiff(
    options: dict[str, Any],
    spacing: tuple[float, float] | None,
    power: float | None,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, HWC, photometric="rgb", **options)
    image = take(path)
    expected = None if spacing is None else spaced(spacing, "µm", ("y", "x"))
    assert image.picture.coordinates == expected
    assert image.picture.stored.magnification == power


def test_microns_of_imagej(tmp_path: Path) -> None:
    path, shape = tmp_path / "a.tif", RGB[0]
    for unit, side in (("micron", 0.5), ("\\u00B5m", 0.5), ("nm", 0.0005), ("pixel", None)):
        write_tiff(path, shape, imagej=True, resolution=(2, 2), metadata={"unit": unit})
        expected = None if side is None else spaced((side, side), "µm", ("y", "x"))
        assert take(path).picture.coordinates == expected


def test_microns_follow_a_turned_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    told = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}  # 0.25 wide, 0.5 high
    write_tiff(path, HWC, photometric="rgb", extratags=[(274, 3, 1, 6, True)], **told)
    image = take(path).picture
    assert (image.size, image.coordinates) == ((70, 90), spaced((0.25, 0.5), "µm", ("y", "x")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, r"\(72 x 72 pixels per inch, which"),
        ({"resolution": (999, 999), "resolutionunit": "CENTIMETER"}, "999 x 999 pixels per cm"),
        ({"resolution": (0, 0), "resolutionunit": "INCH"}, "has: give"),
        ({"description": "Aperio x|MPP = nan|AppMag = -1", "metadata": None}, "has: give"),
        (
            {"description": OME.replace("250", "1e999").replace("40", "x"), "metadata": None},
            "has: give",
        ),
        ({"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}, "not square"),
    ],
)
def test_without_microns_none_are_made_up(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, HWC, photometric="rgb", **options)
    for told in ({"mpp": 0.5}, {"magnification": 20}):
        with pytest.raises(ImageError, match=said) as raised:
            take(path, **told)
        assert "source_mpp (--source-mpp)" in str(raised.value)
        assert take(path, **told, source_mpp=0.25).scale == 0.5


# What is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "scale", "level", "said"),
    [
        ({"mpp": 0.5}, 1 / 2, 1, "0.5 microns a pixel, of 0.25 told by its file"),
        ({"mpp": 1}, 1 / 4, 2, "1 microns a pixel, of 0.25 told by its file"),
        ({"mpp": 0.25}, 1, 0, "0.25 microns a pixel, of 0.25 told by its file"),
        ({"mpp": 0.505}, 1 / 2, 1, "level 1 is within 2 % of that and read as stored"),
        ({"mpp": 0.52}, 0.25 / 0.52, 1, "0.52 microns a pixel, of 0.25 told by its file"),
        ({"mpp": 0.1}, 2.5, 0, "0.1 microns a pixel, of 0.25 told by its file"),
        ({"magnification": 20}, 1 / 2, 1, "magnification 20, taken for 0.5 microns a pixel, of"),
        ({"mpp": 1, "source_mpp": 0.5}, 1 / 2, 1, "1 microns a pixel, of 0.5 given"),
        ({"level": 1}, 1 / 2, 1, "read from level 1 of the file, 2 times smaller"),
        ({"level": 2}, 1 / 4, 2, "read from level 2 of the file, 4 times smaller"),
    ],
)
def test_what_is_read(
    told: dict[str, Any], scale: float, level: int, said: str, pyramid: Path
) -> None:
    image = take(pyramid, **told)
    assert isinstance(image, Resized)
    assert (image.scale, image.level) == (scale, level)
    assert any(said in note for note in image.notes)
    if scale in (1 / 4, 1 / 2, 1):
        np.testing.assert_array_equal(pixels_of(image), PYRAMID[level])
    side = told.get("source_mpp", 0.25)
    assert image.picture.coordinates == spaced((side, side), "µm", ("y", "x"))


def test_magnification_is_that_of_the_objective(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, HWC, photometric="rgb", description=APERIO, metadata=None)
    image = take(path, magnification=5)
    assert (image.scale, image.notes[0]) == (1 / 4, "magnification 5, by the objective's power 20")
    assert take(path, magnification=5, source_mpp=1).scale == 1 / 2  # of 2 microns


def test_an_array_is_read_at_microns() -> None:
    image = take(RGB, mpp=0.5, source_mpp=np.float32(0.25))
    assert (image.size, image.scale) == ((45, 35), 0.5)
    json.dumps(image.asked)
    assert take(RGB, level=0).scale == 1


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"level": 3}, ImageError, r"no level 3 .*: choose one of 0 \(90 x 70\), .*2 \(22 x 17\)"),
        ({"level": -1}, ImageError, "no level -1"),
        ({"level": 0.5}, ImageError, r"no level 0\.5"),
        ({"mpp": 0}, ArgumentError, r"mpp \(--mpp\) needs a positive number, got 0"),
        ({"mpp": "x"}, ArgumentError, "got 'x'"),
        ({"mpp": True}, ArgumentError, "needs a positive number, got True"),
        ({"source_mpp": np.inf}, ArgumentError, r"source_mpp \(--source-mpp\) needs"),
        ({"level": 1, "mpp": 1}, ArgumentError, r"level \(--level\) and mpp \(--mpp\) each say"),
        ({"mpp": 1, "magnification": 1}, ArgumentError, "give one of them"),
        ({"mpp": 1e9}, ImageError, "a scale lies between"),
    ],
)
def test_sizes_that_make_no_sense(
    told: dict[str, Any], error: type[FcconvError], said: str, pyramid: Path
) -> None:
    with pytest.raises(error, match=said):
        take(pyramid, **told)


def test_a_level_that_is_another_picture() -> None:
    stored = Stored((HWC, HWC[::2]), "HWC")
    with pytest.raises(ImageError, match=r"\(45, 70\) pixels, which is not the image of"):
        sized(Image("a", stored, "HWC", (0, 0, 0), asked={"level": 1}))


def test_only_pictures_have_sizes() -> None:
    with pytest.raises(UnsupportedError, match=r"3 axes, and mpp \(--mpp\) is of images with two"):
        open_sized(np.zeros((1, 5, 5, 5), np.float32), 3, mpp=1.0)


# Scans ------------------------------------------------------------------------------------------


def test_results_stay_in_pixels_of_the_image(pyramid: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.zarr"
    told: dict[str, Any] = {"layout": "HWC", "mpp": 0.5}
    two = np.ascontiguousarray(HWC[..., :2])
    with tifffile.TiffWriter(pyramid) as writer:
        made: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}
        writer.write(two, subifds=1, resolution=(40000, 40000), resolutionunit="CENTIMETER", **made)
        writer.write(two[::2, ::2], subfiletype=1, **made)
    found = fcconv.scan(small_network(), pyramid, engine="numpy", out=out, **told)
    plain = fcconv.scan(small_network(), two[::2, ::2].transpose(2, 0, 1), engine="numpy")
    np.testing.assert_array_equal(found.scores[...], plain.scores)
    assert (found.size, found.scale) == ((45, 35), 0.5)
    (peak, *_), (other, *_) = (one.peaks(0, -99) for one in (found, plain))
    assert peak.box == tuple((2 * a, 2 * b) for a, b in other.box)
    assert found.coordinates == spaced((0.25, 0.25), "µm", ("y", "x"))
    assert found.map_coordinates is not None
    # the first window of 7 x 8, and a step of 2, in pixels of 0.5 microns
    assert found.map_coordinates.at((0.5, 0.5)) == (7 / 2 * 0.5, 8 / 2 * 0.5)
    assert found.map_coordinates.spacing == (1, 1)
    again = fcconv.open_scan(out, pyramid)
    assert again.notes == found.notes
    np.testing.assert_array_equal(again.overview(), found.overview())


def test_the_command_multiplies_sizes(
    pyramid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Graph(3, 6, 5)
    model, out = tmp_path / "net.onnx", tmp_path / "scores.zarr"
    onnx.save(graph.model(graph.add("Flatten", "image")), model)
    words = ["scan", str(model), str(pyramid), "--engine", "numpy", "--stride", "2", "--json"]
    assert run([*words, "--out", str(out), "--magnification", "20", "--scales", "1,1/2"]) == 0
    told = json.loads(capsys.readouterr().out)["scans"]
    assert [scan["scale"] for scan in told] == [0.5, 0.25]
    assert [scan["size"] for scan in told] == [[45, 35], [22, 17]]
    written = [str(tmp_path / f"scores-{scale}.zarr") for scale in ("1", "0.5")]
    assert run(["show", *written, "--image", str(pyramid), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["scans"]
    assert [scan["notes"] for scan in again] == [scan["notes"] for scan in told]
    assert run([*words, "--mpp", "0.5", "--level", "1"]) != 0
    assert "level (--level) and mpp (--mpp)" in capsys.readouterr().err


def test_slides_without_openslide(
    pyramid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    slide = pyramid.rename(tmp_path / "a.svs")
    image = take(slide, mpp=1)
    assert image.notes[0] == "read by tifffile, as openslide is not installed"
    np.testing.assert_array_equal(pixels_of(image), PYRAMID[2])
    (tmp_path / "a.mrxs").touch()
    with pytest.raises(BackendError, match=r"pip install 'fcconv\[slides\]'"):
        take(tmp_path / "a.mrxs")
