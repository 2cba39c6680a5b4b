"""Volumes lie in a body as nibabel says, turned or not, and their scores lie on them."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel
import numpy as np
import pytest

import fcconv
from fcconv.cli import app
from fcconv.errors import ImageError, OutputError
from fcconv.images import volumes
from fcconv.images.coordinates import spaced
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from regions import check_regions, whole
from scan_cases import cut_into, small_network

nib: Any = nibabel  # typed in part

SHAPE = (7, 8, 9)
PLACE = (-12.0, 5.0, 100.0)
TILT = np.array([[1, 0.25, 0], [-0.25, 1, 0.125], [0, -0.125, 1]])
"""Turns axes somewhat, and shears them."""


def volume(shape: tuple[int, ...] = SHAPE, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 100, shape, dtype=np.int16)


def saved(path: Path, voxels: np.ndarray, affine: Any, unit: str = "mm", **changed: Any) -> Any:
    """Save a volume, with some fields of its header changed, and open it by nibabel."""
    made = nib.Nifti1Image(voxels, affine)
    made.header.set_xyzt_units(unit)
    nib.save(made, path)
    if changed:  # nibabel would put them right
        header, content = nib.load(path).header, path.read_bytes()
        for name, value in {"vox_offset": 352, **changed}.items():
            header[name] = value
        path.write_bytes(header.binaryblock + content[len(header.binaryblock) :])
    return nib.load(path)


def take(path: Path, rank: int = 3, **reading: Any) -> Image:
    [image], batch = open_images(path, rank, **reading)
    assert not batch
    return image


def oriented() -> list[np.ndarray]:
    """List the 48 ways to lay three axes into a body, some of them tilted."""
    made = []
    for number, (order, signs) in enumerate(
        itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    ):
        turned = np.eye(3)[list(order)] * signs
        linear = (TILT @ turned if number % 3 else turned) * (2, 3, 0.5)
        made.append(np.block([[linear, np.array(PLACE)[:, None]], [0, 0, 0, 1]]))
    return made


def test_volumes_are_turned_as_nibabel_turns_them(tmp_path: Path) -> None:
    path, voxels = tmp_path / "a.nii", volume()
    at = np.array([[0, 0, 0], [3, 1, 2], [6, 6, 6]])
    for affine in oriented():
        stored = saved(path, voxels, affine)
        turned = nib.as_closest_canonical(stored)
        for image, expected in [(take(path), turned), (take(path, orientation="file"), stored)]:
            pixels = np.asarray(expected.dataobj)
            region = tuple(slice(n // 3, n - 1) for n in pixels.shape)
            assert image.size == pixels.shape
            np.testing.assert_array_equal(image.read(region)[0], pixels[region])
            assert image.coordinates is not None
            assert (image.coordinates.names, image.coordinates.unit) == (("x", "y", "z"), "mm")
            found = [image.coordinates.at(voxel + 0.5) for voxel in at]  # exact: powers of two
            np.testing.assert_array_equal(found, nib.affines.apply_affine(expected.affine, at))
    expected = np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)
    check_regions(take(path), expected[np.newaxis])
    assert take(path).identity() != take(path, orientation="file").identity()


def test_a_voxel_of_a_head_that_lies_on_its_back(tmp_path: Path) -> None:
    voxels = volume((10, 20, 30))
    saved(tmp_path / "a.nii", voxels, [[-2, 0, 0, 18], [0, -2, 0, 38], [0, 0, 3, -6], [0, 0, 0, 1]])
    image = take(tmp_path / "a.nii")
    assert "D, H, W run to right, anterior, superior" in image.notes[0]
    assert "stored, they run to left, posterior, superior" in image.notes[0]
    assert image.read((slice(0, 1), slice(1, 2), slice(2, 3))).item() == voxels[9, 18, 2]
    assert image.coordinates is not None
    assert image.coordinates.at((0.5, 1.5, 2.5)) == (0, 2, 0)  # centres of voxels
    assert image.coordinates.at((0, 0, 0)) == (-1, -1, -7.5)  # where the first begins
    as_stored = take(tmp_path / "a.nii", orientation="file")
    assert as_stored.notes == (
        "voxels are taken as stored: D, H, W run to left, posterior, superior",
    )
    assert as_stored.read((slice(9, 10), slice(18, 19), slice(2, 3))).item() == voxels[9, 18, 2]
    assert as_stored.coordinates is not None
    assert as_stored.coordinates.at((9.5, 18.5, 2.5)) == (0, 2, 0)


def test_units_and_what_a_file_leaves_open(tmp_path: Path) -> None:
    path, affine = tmp_path / "a.nii", np.diag([-2.0, 4.0, 8.0, 1.0])
    for unit, scale in [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)]:
        saved(path, volume(), affine, unit)
        image = take(path)
        assert image.coordinates is not None
        assert image.coordinates.spacing == (2 * scale, 4 * scale, 8 * scale)
        assert any("names no unit" in note for note in image.notes) == (unit == "unknown")
    stored = saved(path, volume(), affine, sform_code=0, qform_code=0)
    image = take(path)
    check_regions(image, volume()[np.newaxis])  # which nibabel's own guess would turn
    assert nib.aff2axcodes(stored.affine) == ("L", "A", "S")
    assert image.notes[1] == "the file does not say how it lies in a body"
    assert image.coordinates is not None
    assert not image.coordinates.is_placed
    assert image.coordinates.at((1, 0, 0)) == (2, 0, 0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0])
def test_an_affine_that_is_none(broken: float, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    saved(path, volume(), np.eye(4), srow_x=[broken, 0, 0, 0])
    with pytest.raises(ImageError, match=r"a\.nii does not say .*\(--orientation file\)") as caught:
        take(path)
    assert "\n" not in str(caught.value)
    image = take(path, orientation="file")
    check_regions(image, volume()[np.newaxis])
    assert image.coordinates is None
    with pytest.raises(ImageError, match="orientation is 'ras' or 'file', got 'lps'"):
        take(path, orientation="lps")
    np.save(tmp_path / "a.npy", volume())
    with pytest.raises(ImageError, match=r"is not opened by orientation \(--orientation\)"):
        take(tmp_path / "a.npy", orientation="ras")


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_times_and_vectors_of_a_volume(suffix: str, tmp_path: Path) -> None:
    path, affine = tmp_path / f"a.{suffix}", np.eye(4)[[1, 0, 2, 3]] * (1, -1, 1, 1)
    voxels = volume((*SHAPE, 3))
    made = nib.Nifti1Image(voxels, affine)
    made.header.set_slope_inter(0.5, 3)
    nib.save(made, path)
    expected = np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)
    with pytest.raises(ImageError, match=r"axis T of 3; .*--page 0 to 2.*layout='DHWC'"):
        take(path)
    check_regions(take(path, page=2), expected[np.newaxis, ..., 2])
    check_regions(take(path, layout="DHWC"), np.moveaxis(expected, -1, 0))
    vectors = volume((*SHAPE, 1, 3))
    saved(path, vectors, np.eye(4))
    check_regions(take(path), np.moveaxis(vectors[..., 0, :], -1, 0))


def test_planes_of_a_volume_lie_where_they_did(tmp_path: Path) -> None:
    path, voxels = tmp_path / "a.nii", volume()
    saved(path, voxels, np.diag([2, -4, 8, 1]))
    image = take(path, 2, layout="WHN", page=5)  # seen from above or below
    check_regions(image, voxels[np.newaxis, :, ::-1, 5].transpose(0, 2, 1))
    assert image.coordinates is not None
    assert image.coordinates.names == ("x", "y")
    assert image.coordinates.at((0.5, 1.5)) == (2, -28)  # a row is of one y
    by_z = take(path, 2, z=5)
    check_regions(by_z, whole(image))
    assert by_z.coordinates == image.coordinates
    slices, is_batch = open_images(path, 2, z="all")
    assert (len(slices), is_batch) == (SHAPE[2], True)
    check_regions(slices[5], whole(image))


def test_damaged_volumes_say_so_in_one_line(tmp_path: Path) -> None:
    saved(tmp_path / "a.nii", volume(), np.eye(4))
    plain = (tmp_path / "a.nii").read_bytes()
    packed = gzip.compress(plain)
    fields = {"dim": (40, 16), "datatype": (70, 2), "vox_offset": (108, 4), "magic": (344, 4)}
    damaged = {
        **{f"cut-{n}.nii": plain[:n] for n in (0, 4, 300, 360, len(plain) - 9)},
        **{f"cut-{n}.nii.gz": packed[:n] for n in (0, 9, 40, len(packed) - 99)},
        **{
            f"{name}-{byte}.nii": plain[:at] + bytes([byte]) * n + plain[at + n :]
            for name, (at, n) in fields.items()
            for byte in (0, 0x7F, 0xFF)
            if (name, byte) != ("vox_offset", 0)  # which is a default
        },
        "long.nii.gz": gzip.compress(plain[:42] + b"\xff\x7f" * 3 + plain[48:]),
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=name.replace(".", r"\.")) as caught:
            whole(take(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_what_is_compressed_is_decompressed_once(tmp_path: Path) -> None:
    path, model = tmp_path / "a.nii.gz", tmp_path / "model.onnx"
    saved(path, volume((11, 10, 13)).astype(np.float32), np.eye(4))
    network = small_network(rank=3, layout="none")
    model.write_bytes(network.SerializeToString())
    with mock.patch.object(volumes, "_unpack", wraps=volumes._unpack) as unpacked, cut_into(4):
        found = fcconv.scan(network, path, engine="numpy", out=tmp_path / "scores.zarr")
        opened_again = fcconv.open_scan(tmp_path / "scores.zarr", path)
        np.testing.assert_array_equal(opened_again.overview(), found.overview())
        assert unpacked.call_count == 1
        again = tmp_path / "again.nii.gz"  # which nothing holds open
        again.write_bytes(path.read_bytes())
        words = ["--peaks", "peaks.csv", "--heatmap", "heat.png", "--map", "map.nii"]
        words = [str(tmp_path / word) if "." in word else word for word in words]
        assert app.run(["scan", str(model), str(again), "--engine", "numpy", *words]) == 0
        assert unpacked.call_count == 2


# Scores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("where", ["memory", "store", "array"])
def test_scores_lie_on_the_volume(suffix: str, where: str, tmp_path: Path) -> None:
    """Each score is that of the crop which nibabel cuts out around the place where it lies."""
    path, network = tmp_path / "a.nii", small_network(rank=3, layout="none")
    stored = saved(path, volume((13, 11, 10)).astype(np.float32), oriented()[26])
    source: Any = path
    if where == "array":
        source = np.asarray(stored.dataobj)
        stored = nib.Nifti1Image(source, np.eye(4))
    out = tmp_path / "scores.zarr" if where == "store" else None
    with cut_into(4):
        found = fcconv.scan(network, source, engine="numpy", out=out, labels=["é", "b"])
    found.write_map(tmp_path / f"map.{suffix}")
    written = nib.load(tmp_path / f"map.{suffix}")
    assert written.shape == (*found.cells, 2)
    assert written.get_data_dtype() == np.float32
    scores = np.asarray(written.dataobj)
    np.testing.assert_array_equal(np.moveaxis(scores, -1, 0), found.scores[...])
    turned = nib.as_closest_canonical(stored)
    score = fcconv.compile(network, "numpy")
    pixels = np.asarray(turned.dataobj)
    for cell in [(0, 0, 0), tuple(n - 1 for n in found.cells), (1, 2, 1)]:
        first = np.multiply(cell, found.stride)
        centre = first + (np.array(found.window) - 1) / 2
        np.testing.assert_array_equal(  # exact: powers of two
            nib.affines.apply_affine(written.affine, cell),
            nib.affines.apply_affine(turned.affine, centre),
        )
        box = tuple(slice(k, k + n) for k, n in zip(first, found.window, strict=True))
        np.testing.assert_array_equal(score(pixels[None][(slice(None), *box)])[0], scores[cell])
    if where == "array":
        batch = fcconv.scan(network, source[None, None], engine="numpy")
        batch.of_image(0).write_map(tmp_path / f"one.{suffix}")
        np.testing.assert_array_equal(
            np.asarray(nib.load(tmp_path / f"one.{suffix}").dataobj), scores
        )
    else:
        found.write_map(tmp_path / "map.csv")
        head, line = (tmp_path / "map.csv").read_text(encoding="utf-8").splitlines()[:2]
        told = dict(zip(head.split(","), line.split(","), strict=True))
        corner = nib.affines.apply_affine(turned.affine, (-0.5, -0.5, -0.5))
        assert [float(told[f"{name}_mm"]) for name in "xyz"] == corner.tolist()
    (extension,) = written.header.extensions
    assert json.loads(extension.get_content()) == {"labels": ["é", "b"], "measure": "score"}
    assert written.header.get_xyzt_units()[0] == ("unknown" if where == "array" else "mm")
    assert int(written.header["sform_code"]) == 2


def test_scores_of_other_types_units_and_orders_of_axes(tmp_path: Path) -> None:
    image = volume((11, 10, 13)).astype(np.float32)
    network = small_network(rank=3, layout="none")
    found = fcconv.scan(network, image, engine="numpy")
    one = np.asarray(found.scores[:1])
    microns = spaced((4, 0.5, 0.25), "µm", ("z", "y", "x"), (8, 2, 1))
    for dtype, stored in [("f2", "f4"), ("f8", "f8"), ("i4", "i4"), ("?", "f4")]:
        scores = one.astype(dtype)
        plain = replace(found, outputs={"y": scores}, labels=("a",), coordinates=microns)
        plain.write_map(tmp_path / "map.nii")
        written = nib.load(tmp_path / "map.nii")
        assert (written.shape, written.get_data_dtype()) == (found.cells, np.dtype(stored))
        np.testing.assert_array_equal(np.asarray(written.dataobj), scores[0])
    (d, h, w), (depth, height, width) = found.stride, found.window
    expected = [
        [0, 0, w * 0.25, 1 + width / 2 * 0.25],
        [0, h * 0.5, 0, 2 + height / 2 * 0.5],
        [d * 4, 0, 0, 8 + depth / 2 * 4],
    ]
    rounded = 2**-24 * (1 + 2**-20)  # to float32, of what was rounded to float64 before
    np.testing.assert_allclose(written.affine[:3], np.array(expected) * 0.001, rtol=rounded, atol=0)
    flat = fcconv.scan(small_network(), np.zeros((2, 30, 30), np.float32), engine="numpy")
    with pytest.raises(OutputError, match="NIfTI holds no scores along 2 axes: write them to"):
        flat.write_map(tmp_path / "map.nii")
