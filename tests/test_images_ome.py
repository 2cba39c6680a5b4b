"""OME-Zarr, OME-TIFF and ImageJ: axes, planes, channels, and where in the world pixels lie."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fcconv
from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from ome_files import multiscale, put, write_ome_zarr
from scan_cases import small_network

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4000, (2, 3, 4, 40, 50), np.uint16)  # t, c, z, y, x
TOLD = multiscale("tczyx", (1, 1, 2, 0.5, 0.25), (0, 0, 10, 20, 30), levels=2)
LABELS = ("DAPI", "GFP", "RFP")
VERSIONS = ("0.4", "0.5")


def take(path: Path, rank: int = 2, **reading: Any) -> Image:
    images, batch = open_images(path, rank, **reading)
    assert (len(images), batch) == (1, False)
    return images[0]


def whole(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, n) for n in image.size))


@pytest.fixture(params=VERSIONS)
def cells(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_ome_zarr(tmp_path / "cells.zarr", request.param, STACK, TOLD, LABELS)
    return tmp_path / "cells.zarr"


# Planes -----------------------------------------------------------------------------------------


def test_planes_are_chosen_by_name_or_taken_one_after_the_other(cells: Path) -> None:
    image = take(cells, z=3, time=1)
    np.testing.assert_array_equal(whole(image), STACK[1, :, 3])
    assert image.stored.channel_names == LABELS
    np.testing.assert_array_equal(whole(take(cells, z=3, page=1)), STACK[1, :, 3])
    np.testing.assert_array_equal(whole(take(cells, 3, time=1)), STACK[1])
    for chosen, expected in (
        ({"z": "all", "time": 1}, STACK[1].swapaxes(0, 1)),
        ({"z": 2, "time": "all"}, STACK[:, :, 2]),
        ({"z": "all", "time": "all"}, STACK.swapaxes(1, 2).reshape(8, 3, 40, 50)),
    ):
        given: Any = chosen
        images, batch = open_images(cells, 2, **given)
        assert batch
        np.testing.assert_array_equal([whole(image) for image in images], expected)
        assert len({image.identity() for image in images}) == len(images)
    images, _ = open_images(cells, 3, time="all")
    np.testing.assert_array_equal([whole(image) for image in images], STACK)


def test_planes_of_arrays_are_those_of_their_layout() -> None:
    images, batch = open_images(STACK, 2, layout="TCDHW", time="all", z=1)
    assert batch
    np.testing.assert_array_equal([whole(image) for image in images], STACK[:, :, 1])
    images, _ = open_images(STACK, 2, layout="NCDHW", z="all")  # a batch of stacks
    assert len(images) == 8


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"time": 0}, "one along z, or all of them (--z K, or all)"),
        ({"time": 0, "z": 4}, "has 4 planes along z (--z), 0 to 3, or 'all': there is no 4"),
        ({"time": "every", "z": 0}, "there is no 'every'"),
        ({"time": -1, "z": 0}, "there is no -1"),
        ({"time": 0, "z": 0, "page": 1}, "one page, 0: there is no page 1"),
    ],
)
def test_planes_that_are_not_there(chosen: Any, said: str, cells: Path) -> None:
    with pytest.raises(ImageError) as caught:
        open_images(cells, 2, **chosen)
    assert said in str(caught.value)


def test_an_image_without_the_axis_has_no_planes(cells: Path) -> None:
    with pytest.raises(ImageError, match=r"no axis to take one of by z .* slides along DHW"):
        open_images(cells, 3, time=0, z=0)
    with pytest.raises(ImageError, match=r"by time .* say with layout which is which"):
        open_images(np.zeros((2, 2, 2, 2, 9, 9)), 2, time=0)
    with pytest.raises(ImageError, match=r"by time \(--time\): .* its axes are CHW"):
        open_images(np.zeros((2, 9, 9)), 2, time=0)


def test_a_pyramid_that_drops_planes_is_looked_at_where_it_has_all(tmp_path: Path) -> None:
    group = write_ome_zarr(
        tmp_path / "a.zarr", "0.5", STACK[0, :1], multiscale("czyx", (1,) * 4, levels=2)
    )
    del group["1"]
    group.create_array("1", data=STACK[0, :1, ::2, ::2, ::2])
    image = take(tmp_path / "a.zarr", z=3)
    np.testing.assert_array_equal(image.overview(25), STACK[0, :1, 3, ::2, ::2])
    assert take(tmp_path / "a.zarr", 3).overview(25).shape == (1, 2, 20, 25)


def test_a_coarser_level_is_what_an_overview_reads(cells: Path) -> None:
    zarr.open_array(cells / "1")[...] = 7
    assert (take(cells, z=0, time=0).overview(25) == 7).all()


# Coordinates ------------------------------------------------------------------------------------


def test_pixels_begin_half_a_pixel_before_their_centres(cells: Path) -> None:
    stack = take(cells, 3, time=0)
    assert stack.coordinates == spaced((2, 0.5, 0.25), "µm", ("z", "y", "x"), (9, 19.75, 29.875))
    plane = take(cells, z=1, time=0)
    assert plane.coordinates == spaced((0.5, 0.25), "µm", ("y", "x"), (19.75, 29.875))


def test_transformations_of_the_whole_follow_those_of_a_level(tmp_path: Path) -> None:
    told = multiscale("yx", (2, 4), (10, 20), unit="nanometer")
    told["axes"][0]["unit"] = "micrometer"
    told["coordinateTransformations"] = [
        {"type": "translation", "translation": [1, 2]},
        {"type": "scale", "scale": [0.5, 250]},
    ]
    write_ome_zarr(tmp_path / "a.zarr", "0.4", STACK[0, 0, 0], told)
    # centres at (2 i + 10 + 1) / 2 µm and (4 j + 20 + 2) * 250 nm
    assert take(tmp_path / "a.zarr").coordinates == spaced((1, 1), "µm", ("y", "x"), (5, 5))


def test_an_axis_without_a_unit_leaves_the_others_theirs(tmp_path: Path) -> None:
    told = multiscale("zyx", (1, 0.5, 0.25), unit="micrometer")
    del told["axes"][0]["unit"]
    write_ome_zarr(tmp_path / "a.zarr", "0.5", STACK[0, 0], told)
    (plane,), _ = open_images(tmp_path / "a.zarr", 2, z=0)
    assert plane.coordinates is not None
    assert (plane.coordinates.unit, plane.coordinates.spacing) == ("µm", (0.5, 0.25))


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [
        ("nanometer", (65, 65), spaced((0.065, 0.065), "µm", ("y", "x"), (-0.0325, -0.0325))),
        ("parsec", (2, 3), spaced((2, 3), "parsec", ("y", "x"), (-1, -1.5))),
        ("", (2, 3), spaced((2, 3), "", ("y", "x"), (-1, -1.5))),
        ("", (1, 1), None),
    ],
)
def test_units(
    unit: str, scale: tuple[float, ...], expected: Coordinates | None, tmp_path: Path
) -> None:
    write_ome_zarr(tmp_path / "a.zarr", "0.5", STACK[0, 0, 0], multiscale("yx", scale, unit=unit))
    found = take(tmp_path / "a.zarr").coordinates
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.names, found.unit) == (expected.names, expected.unit)
        np.testing.assert_array_almost_equal_nulp(np.array(found.matrix), np.array(expected.matrix))


def test_axes_lie_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a.zarr", "0.4", STACK[0, 0], multiscale("xyc", (3, 2, 1)))
    image = take(tmp_path / "a.zarr")
    np.testing.assert_array_equal(whole(image), STACK[0, 0].transpose(2, 1, 0))
    assert image.coordinates == spaced((2, 3), "µm", ("y", "x"), (-1, -1.5))


# Several images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["plate", "well", "converted", "converted and listed", "several"])
def test_one_of_several_images_is_asked_for(kind: str, version: str, tmp_path: Path) -> None:
    path, told = tmp_path / "many.zarr", multiscale("yx", (1, 1))
    root = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    places = {"plate": ["A/1/0", "A/1/1", "B/2/0"], "several": [".", "."]}.get(kind, ["0", "1"])
    if kind == "plate":
        put(root, version, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
        for well, fields in (("A/1", "01"), ("B/2", "0")):
            group = root.create_group(well)
            put(group, version, {"well": {"images": [{"path": field} for field in fields]}})
    elif kind == "well":
        put(root, version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
    elif kind.startswith("converted"):
        put(root, version, {"bioformats2raw.layout": 3})
        group = root.create_group("OME")
        if kind.endswith("listed"):
            places = ["first", "second"]
            put(group, version, {"series": places})
    if kind == "several":
        write_ome_zarr(path, version, STACK[0, 0, 0], told)
        put(zarr.open_group(path), version, {"multiscales": [told, {**told, "name": "again"}]})
    else:
        for k, place in enumerate(places):
            write_ome_zarr(path / place, version, STACK[0, 0, k], told)
    with pytest.raises(ImageError, match=r"holds [23] images: take one with series .* 1 \(.*"):
        take(path)
    last = len(places) - 1
    image = take(path, series=last)
    np.testing.assert_array_equal(whole(image)[0], STACK[0, 0, 0 if kind == "several" else last])
    assert image.name == f"many.zarr, series {last}"
    assert image.notes[0].startswith(f"series {last} of the folder (")
    with pytest.raises(ImageError, match=f"no series {last + 1}: choose one of 0"):
        take(path, series=last + 1)


def test_the_only_image_of_a_converted_file_is_opened(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr/0", "0.4", STACK[0, 0, 0], multiscale("yx", (1, 1)))
    for reading in ({}, {"series": 0}):
        np.testing.assert_array_equal(whole(take(tmp_path / "a.zarr", **reading)), STACK[0, 0, :1])
    with pytest.raises(ImageError, match="no series 1"):
        take(tmp_path / "a.zarr", series=1)


# Lies -------------------------------------------------------------------------------------------

Broken = Callable[[dict[str, Any]], Any]


def step(told: dict[str, Any], number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = told["datasets"][0]["coordinateTransformations"][number]
    return found


LIES: dict[str, Broken] = {
    "no datasets": lambda told: told.pop("datasets"),
    "no levels": lambda told: told["datasets"].clear(),
    "a level that is not there": lambda told: told["datasets"][1].update(path="7"),
    "a level that is the group": lambda told: told["datasets"][1].update(path=""),
    "a level outside": lambda told: told["datasets"][0].update(path="../cells.zarr/0"),
    "levels upside down": lambda told: told["datasets"].reverse(),
    "no axes": lambda told: told.pop("axes"),
    "axes of version 0.3": lambda told: told.update(axes=[*"tczyx"]),
    "an axis too few": lambda told: told["axes"].pop(),
    "an axis without a name": lambda told: told["axes"][0].pop("name"),
    "an axis of a star": lambda told: told["axes"][0].update(name="*", type=""),
    "an axis of a point": lambda told: told["axes"][0].update(name=".", type=""),
    "an axis twice": lambda told: told["axes"][3].update(name="x"),
    "a scale of zero": lambda told: step(told).update(scale=[1, 1, 1, 0, 1]),
    "a scale of words": lambda told: step(told).update(scale=[1, 1, 1, "a", 1]),
    "a short scale": lambda told: step(told).update(scale=[1, 1]),
    "no scale": lambda told: step(told).pop("scale"),
    "no number": lambda told: step(told, 1).update(translation=[0, 0, 0, float("nan"), 0]),
    "another transformation": lambda told: step(told).update(type="affine"),
    "datasets of numbers": lambda told: told.update(datasets=[1, 2]),
}


@pytest.mark.parametrize("lie", LIES)
def test_damaged_metadata_is_an_error_of_one_line(lie: str, tmp_path: Path) -> None:
    group = write_ome_zarr(tmp_path / "cells.zarr", "0.5", STACK[:1, :1, :1], TOLD)
    told = copy.deepcopy(TOLD)
    LIES[lie](told)
    put(group, "0.5", {"multiscales": [told]})
    with pytest.raises(ImageError) as caught:
        take(tmp_path / "cells.zarr", z=0, time=0)
    assert "\n" not in str(caught.value)
    assert "cells.zarr" in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["path", "axes", "datasets", "name", "wells", "images", "type", "scale"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["multiscales", "plate", "well", "bioformats2raw.layout", "omero"]),
    value=json_values,
)
def test_whatever_metadata_says_is_an_image_or_an_error(
    key: str, value: Any, tmp_path: Path
) -> None:
    group = (
        write_ome_zarr(tmp_path / "a.zarr", "0.5", STACK[0, 0, 0], multiscale("yx", (1, 1)))
        if not (tmp_path / "a.zarr").exists()
        else zarr.open_group(tmp_path / "a.zarr")
    )
    put(group, "0.5", {"multiscales": [multiscale("yx", (1, 1))], key: value})
    error = None
    try:
        whole(take(tmp_path / "a.zarr"))
    except ImageError as caught:
        error = caught
    assert "\n" not in str(error)


# TIFF -------------------------------------------------------------------------------------------


def test_ome_tiff_says_its_microns_and_channels(tmp_path: Path) -> None:
    told = {
        "axes": "TCZYX",
        "Channel": {"Name": [*LABELS]},
        "PhysicalSizeX": 0.25,
        "PhysicalSizeY": 500.0,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 2.0,
    }
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata=told)
    image = take(path, time=1, z=3)
    np.testing.assert_array_equal(whole(image), STACK[1, :, 3])
    assert image.stored.channel_names == LABELS
    assert image.coordinates == spaced((0.5, 0.25), "µm", ("y", "x"))
    stack = take(path, 3, time=1)
    assert stack.coordinates == spaced((2, 0.5, 0.25), "µm", ("z", "y", "x"))
    # without a depth nothing is known of the stack, but of its planes
    del told["PhysicalSizeZ"]
    tifffile.imwrite(path, STACK, metadata=told)
    assert take(path, 3, time=1).coordinates is None
    assert take(path, time=1, z=3).coordinates == image.coordinates


def test_each_picture_of_an_ome_tiff_has_its_own_microns(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for k in (1, 2):
            sizes = {"PhysicalSizeX": k, "PhysicalSizeY": 4 * k}
            writer.write(STACK[0, 0, k], metadata={"axes": "YX", **sizes})
    for k in (1, 2):
        found = take(tmp_path / "a.ome.tif", series=k - 1).coordinates
        assert found == spaced((4 * k, k), "µm", ("y", "x"))


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "1e999", "wide", ""])
def test_lengths_that_are_none_are_not_known(size: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK[0, 0, 0], metadata={"axes": "YX", "PhysicalSizeX": "12345"})
    data = path.read_bytes()
    assert b'"12345"' in data
    path.write_bytes(data.replace(b'"12345"', f'"{size}"'.ljust(7).encode()))
    image = take(path)
    np.testing.assert_array_equal(whole(image), STACK[:1, 0, 0])
    assert image.coordinates is None


@pytest.mark.parametrize(
    ("unit", "micron"), [("um", 1), (r"\u00B5m", 1), ("micron", 1), ("nm", 1e-3)]
)
def test_stacks_of_imagej_say_their_microns(unit: str, micron: float, tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", STACK.transpose(0, 2, 1, 3, 4)
    told = {"axes": "TZCYX", "spacing": 2.5, "unit": unit}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4, 2), metadata=told)
    image = take(path, time=1, z=3)
    np.testing.assert_array_equal(whole(image), pixels[1, 3])
    sizes = [n * micron for n in (2.5, 0.5, 0.25)]
    assert image.coordinates == spaced(sizes[1:], "µm", ("y", "x"))
    assert take(path, 3, time=0).coordinates == spaced(sizes, "µm", ("z", "y", "x"))


@pytest.mark.parametrize("told", [{}, {"unit": "pixel"}])
def test_stacks_of_imagej_without_a_unit(told: dict[str, str], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, 0], imagej=True, metadata={"axes": "ZYX", **told})
    assert take(tmp_path / "a.tif", z=0).coordinates is None


# Scans ------------------------------------------------------------------------------------------


def test_a_scan_of_all_planes_is_that_of_each() -> None:
    network, two = small_network(pad=1), STACK[:, :2].astype(np.float32)
    two[1, 0, 2, 5, 5] = np.nan  # one plane has windows without a score
    given: Any = {"engine": "numpy", "layout": "TCDHW", "windows": "shared"}
    given["region"] = (slice(0, 30), slice(0, 40))
    found = fcconv.scan(network, two, z="all", time="all", **given)
    for number, (time, z) in enumerate(np.ndindex(2, 4)):
        one = fcconv.scan(network, two, z=z, time=time, **given)
        of_image = found.of_image(number)
        np.testing.assert_array_equal(of_image.scores[...], one.scores)
        assert (of_image.unscored, of_image.outside) == (one.unscored, one.outside)
        for exact in (False, True):
            peaks = of_image.peaks(one.labels, -1e9, most=9, exact=exact)
            assert peaks == one.peaks(one.labels, -1e9, most=9, exact=exact)
        np.testing.assert_array_equal(of_image.overview(), one.overview())
        assert of_image.of_image(0) is of_image
    assert found.of_image(6).unscored == found.unscored > 0
    with pytest.raises(fcconv.ArgumentError, match="no image 8"):
        found.of_image(8)
