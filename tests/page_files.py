"""What the snippets of the pages read: small files of every kind, and networks that fit them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import onnx
import skimage as ski
import soundfile
import tifffile
from onnx import helper, numpy_helper
from PIL import Image

from ome_files import multiscale, write_ome_zarr
from pages import ROOT, SITE, sections
from recordings import loud_for_a_moment, loudness
from scan_cases import small_network
from slide_files import write_svs
from small_streams import recording, whole_numbers

UTM = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
"""Keys of GeoTIFF: a projected system, pixels are areas, EPSG:32633."""

PLACE: list[Any] = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 399960.0, 5300040.0, 0.0), True),
    (34735, "H", 16, UTM, True),
]
"""Tags of a TIFF of which pixels are 10 m, and where its first one begins."""


def write_files(folder: Path) -> None:
    """Write the demo's classifier, a photo in two sizes, and what each field reads."""
    shutil.copy(ROOT / "fcconv/demo/faces.onnx", folder / "classifier.onnx")
    photo = resized(ski.data.astronaut(), 128)
    Image.fromarray(photo).save(folder / "photo.png")
    tifffile.imwrite(folder / "slide.tif", photo[..., 1])
    Image.fromarray(photo[..., 1]).save(folder / "photo-gray.png")
    write_example(folder)
    write_volume(folder)
    write_pages(folder, photo)
    write_slide(folder)
    write_cells(folder)
    write_scene(folder)
    onnx.save(loudness(), folder / "knocks.onnx")
    soundfile.write(folder / "hall.flac", loud_for_a_moment(44_100, 2), 44_100)
    onnx.save(whole_numbers(window=64), folder / "sound.onnx")
    recording(1000)[0].T.astype("<i2").tofile(folder / "sound.raw")


def write_example(folder: Path) -> None:
    """Write the patches and the picture of the first steps, as their page says."""
    [example] = (s for s in sections(SITE / "export.md") if s.title == "The example")
    with contextlib.chdir(folder):
        example.run_python(str)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """Bring a picture to a size, in 8 bits."""
    small = ski.transform.resize(picture, (side, side), anti_aliasing=True)
    return np.asarray(ski.util.img_as_ubyte(small))


def spots(colours: Sequence[float], radius: float, least: float) -> onnx.ModelProto:
    """Put together a network that tells spots of a colour from what surrounds them.

    It averages colours in squares of 3 pixels, takes the mean of those within a radius of the
    window's centre, in squares, less that of the others, and compares it with a number.
    """
    inside = np.hypot(*np.ogrid[-3.5:4:1, -3.5:4:1]) <= radius
    weight = inside / inside.sum() - ~inside / max((~inside).sum(), 1)
    kernel = np.repeat(np.repeat(np.reshape(colours, (1, -1, 1, 1)) / 9, 3, 2), 3, 3)
    arrays = {"kernel": kernel, "weight": 30 * weight.reshape(1, 64), "bias": [-30 * least]}
    nodes = [
        helper.make_node("Conv", ["patch", "kernel"], ["squares"], strides=[3, 3]),
        helper.make_node("Flatten", ["squares"], ["row"]),
        helper.make_node("Gemm", ["row", "weight", "bias"], ["logit"], transB=1),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("patch", 1, ["N", len(colours), 25, 25])],
        [helper.make_tensor_value_info("score", 1, ["N", 1])],
        [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_slide(folder: Path) -> None:
    """Write tissue in the middle of a slide, and a network that tells where its stain is brown."""
    onnx.save(spots((1, 0, -1), 9, 0.2), folder / "stain.onnx")
    slide = np.full((768, 768, 3), 243, np.uint8)
    slide[128:640, 128:640] = ski.data.immunohistochemistry()
    write_svs(folder / "slide.svs", [slide, resized(slide, 192)], mpp=0.25, power=40)


def write_cells(folder: Path) -> None:
    """Write nuclei at 2 times in 3 planes, and a network that tells bright spots."""
    onnx.save(spots((1,), 2.5, 0.15), folder / "nuclei.onnx")
    draw = np.random.default_rng(0)
    stack = draw.integers(10, 30, (2, 2, 3, 120, 180)).astype(float)
    for row, column in draw.uniform((10, 10), (110, 170), (16, 2)):
        place = np.hypot(*np.ogrid[-row : 119.5 - row, -column : 179.5 - column])
        stack[:, 1] += np.array([60, 170, 110])[:, None, None] * np.exp(-((place / 7) ** 4))
    placed = multiscale("tczyx", (1, 1, 2, 0.25, 0.25), (0, 0, 10, 20, 30))
    cells = stack.clip(0, 255).astype(np.uint8)
    write_ome_zarr(folder / "cells.ome.zarr", "0.5", cells, placed, ("GFP", "DAPI"))


def write_scene(folder: Path) -> None:
    """Write ponds in grass, seen from above, and a network that tells dark spots."""
    onnx.save(spots((-1,), 2.5, 0.15), folder / "ponds.onnx")
    scene = resized(ski.data.grass()[:, :512], 128).astype(float)
    for row, column in ((30, 30), (45, 92), (88, 55), (100, 106)):
        scene[np.hypot(*np.ogrid[-row : 128 - row, -column : 128 - column]) < 8] = 40
    tifffile.imwrite(folder / "scene.tif", scene.astype(np.uint8), extratags=PLACE)


def write_volume(folder: Path) -> None:
    """Write a volume that lies on its back, and a network along three axes."""
    onnx.save(small_network(rank=3, layout="none"), folder / "lesions.onnx")
    voxels = np.random.default_rng(0).integers(0, 256, (40, 48, 30), dtype=np.uint8)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[:2, 3] = 40, 34
    volume: Any = nibabel.Nifti1Image  # typed in part
    made = volume(voxels, affine)
    made.header.set_xyzt_units("mm")
    nibabel.save(made, folder / "head.nii.gz")


def write_pages(folder: Path, photo: np.ndarray) -> None:
    """Write pages of two kinds, and of one."""
    fax = Image.fromarray(photo[..., 1] > 99)
    stamp = Image.fromarray(photo[:64, :96]).quantize(64)
    copies = [Image.fromarray(plane) for plane in photo.transpose(2, 0, 1)]
    for name, pages in (("letter.tiff", [fax, stamp]), ("copies.tiff", copies)):
        pages[0].save(folder / name, save_all=True, append_images=pages[1:])
