"""An image that changes while it is scanned is an error, and no tile of it counts as finished."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax.numpy as jnp
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

import fcconv
from comparing import assert_identical
from fcconv.cli.app import run
from fcconv.errors import ImageError
from fcconv.images.opening import open_images
from fcconv.scanning.job import Job
from scan_cases import cut_into, memory_for, picture, small_network

PIXELS = picture()
nifti: Any = nibabel.Nifti1Image  # typed in part


def dated(path: Path, like: os.stat_result) -> None:
    """Put back the date of a file."""
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def rewritten(path: Path) -> None:
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    dated(path, before)


def replaced(path: Path) -> None:
    """Another file of the same size and date."""
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(bytes(before.st_size))
    dated(other, before)
    other.replace(path)


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": rewritten,
    "replaced": replaced,
    "appended to": appended,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("away")),
}


def given(path: Path) -> dict[str, Any]:
    return {"network": small_network(), "image": path, "engine": "numpy"}


@pytest.mark.parametrize("moment", [0, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes(change: str, moment: int, tmp_path: Path) -> None:
    image, kept, out = tmp_path / "x.npy", tmp_path / "kept.npy", tmp_path / "y.zarr"
    np.save(kept, PIXELS)
    shutil.copy2(kept, image)

    def alter(done: Any) -> None:
        if done.tiles == moment:
            CHANGES[change](image)

    with cut_into(8), pytest.raises(ImageError, match=r"x\.npy has changed since it was opened"):
        fcconv.scan(**given(image), out=out, progress=alter)
    image.unlink(missing_ok=True)
    shutil.copy2(kept, image)
    found = fcconv.scan(**given(image), out=out, existing="resume")
    assert found.computed < found.tiles or not moment
    assert_identical(found.scores[...], fcconv.scan(small_network(), PIXELS).scores, change)


def save_tiff(path: Path) -> None:
    tifffile.imwrite(path, PIXELS, tile=(16, 16), compression="zlib", planarconfig="separate")


def save_zarr(path: Path) -> None:
    zarr.create_array(path, data=PIXELS, chunks=(1, 16, 16))


def save_volume(path: Path) -> None:
    nibabel.save(nifti(PIXELS[..., None], np.eye(4)), path)


def write_zarr(path: Path) -> None:
    zarr.open_array(path)[1, 20:, 20:] = 7


def remove_chunk(path: Path) -> None:
    next(file for file in path.rglob("c/1/*/*") if file.is_file()).unlink()


@pytest.mark.parametrize(
    ("name", "save", "change"),
    [
        ("x.tif", save_tiff, rewritten),
        ("x.tif", save_tiff, replaced),
        ("x.tif", save_tiff, CHANGES["cut short"]),
        ("x.zarr", save_zarr, write_zarr),
        ("x.zarr", save_zarr, remove_chunk),
        ("x.zarr", save_zarr, shutil.rmtree),
        ("x.nii", save_volume, replaced),
    ],
)
def test_other_formats_that_change(
    name: str, save: Callable[[Path], None], change: Callable[[Path], object], tmp_path: Path
) -> None:
    image = tmp_path / name
    save(image)
    (opened,), _ = open_images(image, rank=3 if name == "x.nii" else 2)
    region = tuple(slice(0, min(9, n)) for n in opened.size)
    first = opened.read(region)
    assert_identical(opened.read(region), first, name)
    change(image)
    with pytest.raises(ImageError, match="has changed since it was opened: put it back as it was"):
        opened.read(region)
    with pytest.raises(ImageError, match="has changed since it was opened"):
        opened.overview(10)


def test_the_command_ends_with_one_line_and_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network, image = small_network(), tmp_path / "x.npy"
    fcconv.convolutionize(network).save(tmp_path / "model.onnx")
    np.save(image, PIXELS)
    original, reads = Job.read, []

    def changing(self: Any, *arguments: Any) -> Any:
        reads.append(arguments)
        if len(reads) == 4:
            rewritten(image)
        return original(self, *arguments)

    monkeypatch.setattr("fcconv.scanning.job.Job.read", changing)
    words: list[object] = ["scan", tmp_path / "model.onnx", image, "--out", tmp_path / "y.npy"]
    words += ["--engine", "numpy", "--memory", memory_for(8, network, PIXELS)]
    code = run(list(map(str, words)))
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("fcconv: x.npy has changed since it was opened: put it back as it")
    assert not (tmp_path / "y.npy").exists()


def test_an_array_of_a_file_that_was_closed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", data=PIXELS)
    with pytest.raises(ImageError, match="the image, a Dataset, can't be read"):
        fcconv.scan(small_network(), data)


def test_an_array_of_jax_that_was_given_away() -> None:
    data = jnp.asarray(PIXELS)
    data.delete()
    with pytest.raises(ImageError, match=r"array can't be read .* has been deleted"):
        fcconv.scan(small_network(), data, engine="numpy")
