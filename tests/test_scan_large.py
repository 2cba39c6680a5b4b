"""Images that are larger than the memory that a scan may take: a photo, an hour, a volume.

FCCONV_LARGE=1 makes the photo 20,000 pixels wide, as scanners of slides make them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import onnx
import pytest
import skimage as ski
import soundfile
import tifffile
import zarr

import fcconv
from graphs import Graph
from scan_cases import Array

SIDE = 20_000 if os.environ.get("FCCONV_LARGE") else 4_000
TILE = 512

SCAN = """
import re, sys
from pathlib import Path
import fcconv
model, image, out, memory = sys.argv[1:]
found = fcconv.scan(model, image, engine="onnxruntime", memory=memory, out=out,
                    preparation=fcconv.Preparation(scale=1))
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(found.tiles, found.computed, 1024 * int(peak[1]))
"""

nifti: Any = nibabel.Nifti1Image  # not typed
write_tiff: Any = tifffile.imwrite


def scanned(folder: Path, network: onnx.ModelProto, image: Path, memory: str) -> tuple[int, int]:
    """Scan a file into ``out.zarr`` in a process of its own; return tiles, and bytes at most."""
    fcconv.convolutionize(network).save(folder / "model.onnx")
    words = [sys.executable, "-c", SCAN, "model.onnx", str(image), "out.zarr", memory]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    tiles, computed, peak = map(int, done.stdout.split())
    assert tiles == computed
    return tiles, peak


def scores_in(folder: Path) -> Any:
    group = zarr.open_group(folder / "out.zarr", mode="r")
    (name,) = group.array_keys()
    return group[name]


def colours() -> onnx.ModelProto:
    """Make a network of small integers that tells colours of 12 by 12 pixels, 4 pixels apart."""
    rng, graph = np.random.default_rng(0), Graph(3, 12, 12, dtype="float32")
    x = graph.add("Conv", "image", graph.array(rng.integers(-2, 3, (4, 3, 4, 4))), strides=[4, 4])
    x = graph.add("Flatten", graph.add("Relu", x))
    return graph.model(graph.add("MatMul", x, graph.array(rng.integers(-2, 3, (36, 3)))))


def mosaic(row: int, column: int) -> Array:
    """Return a tile of the large photo: parts of photos, each brighter or darker."""
    photo = PHOTOS[(row + column) % len(PHOTOS)]
    top, left = 31 * row % (len(photo) - 256), 17 * column % (photo.shape[1] - 256)
    part = photo[top : top + 256, left : left + 256].repeat(2, 0).repeat(2, 1)
    darker: Array = (part // (1 + row * column % 3)).astype(np.uint8)
    return darker


PHOTOS = [getattr(ski.data, name)() for name in ("astronaut", "coffee", "chelsea")]


def tiles() -> Iterator[Array]:
    count = -(-SIDE // TILE)
    yield from (mosaic(row, column) for row in range(count) for column in range(count))


@pytest.mark.slow
def test_a_photo_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    write_tiff(
        path, tiles(), shape=(SIDE, SIDE, 3), dtype=np.uint8, tile=(TILE, TILE), bigtiff=True,
        compression="zlib", photometric="rgb",
    )  # fmt: skip
    count, peak = scanned(tmp_path, colours(), path, "100MB")
    assert count > 4
    assert peak < 1e9
    scores = scores_in(tmp_path)
    assert scores.shape == (3, (SIDE - 12) // 4 + 1, (SIDE - 12) // 4 + 1)
    patch, rng = fcconv.compile(colours()), np.random.default_rng(0)
    near = TILE // 4  # there a window lies in two tiles of the file
    for attempt in range(60):
        i, j = (int(rng.integers(0, n)) for n in scores.shape[1:])
        if attempt % 2:
            i, j = i // near * near + near - 1, j // near * near + near - 2
            i, j = min(i, scores.shape[1] - 1), min(j, scores.shape[2] - 1)
        crop = pixels_of(4 * i, 4 * j, 12).transpose(2, 0, 1)[None].astype(np.float32)
        assert np.array_equal(scores[:, i, j], patch(crop)[0]), (i, j)


def pixels_of(top: int, left: int, size: int) -> Array:
    """Cut a window out of the photo, put together anew."""
    row, column = top // TILE, left // TILE
    four = np.concatenate(
        [np.concatenate([mosaic(row + a, column + b) for b in (0, 1)], axis=1) for a in (0, 1)]
    )
    a, b = top - row * TILE, left - column * TILE
    return four[a : a + size, b : b + size]


RATE, MINUTES = 8000, 60
BELL = np.round(9000 * np.sin(np.arange(400) * 2 * np.pi * 1000 / RATE)).astype(np.int16)
"""A twentieth of a second of 1000 Hz."""


def listener() -> onnx.ModelProto:
    """Make a network that compares 400 samples with the bell, at every 4th sample."""
    graph = Graph(1, 400, dtype="float32")
    kernel = graph.array(BELL[None, None, :80] / np.abs(BELL).max())
    x = graph.add("Conv", "image", kernel, strides=[4])
    x = graph.add("Flatten", graph.add("Relu", x))
    weights = np.zeros((81, 1))
    weights[::20] = 1  # a kernel's length from one to the next
    return graph.model(graph.add("MatMul", x, graph.array(weights)))


def test_a_sound_in_an_hour(tmp_path: Path) -> None:
    at, rng, path = 2_345_678 * 4, np.random.default_rng(0), tmp_path / "hour.wav"
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for minute in range(MINUTES):
            noise = rng.integers(-500, 500, 60 * RATE).astype(np.int16)
            start = at - minute * 60 * RATE
            if 0 <= start < len(noise):
                noise[start : start + len(BELL)] += BELL
            file.write(noise)
    count, peak = scanned(tmp_path, listener(), path, "50MB")
    assert count > 10
    assert peak < 1e9
    scores = scores_in(tmp_path)
    assert scores.shape == (1, (MINUTES * 60 * RATE - 400) // 4 + 1)
    heard = scores[0]
    assert heard.argmax() * 4 == at
    assert heard.max() > 2 * np.delete(heard, range(at // 4 - 100, at // 4 + 101)).max()


def test_a_lump_in_a_volume(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 3, (64, 64, 64)).astype(np.int16)
    volume[20:28, 41:49, 33:41] += 50
    nibabel.save(nifti(volume, np.eye(4)), tmp_path / "volume.nii")
    graph = Graph(1, 8, 8, 8, dtype="float32")
    x = graph.add("Conv", "image", graph.array(rng.integers(1, 3, (2, 1, 4, 4, 4))))
    x = graph.add("Flatten", graph.add("Relu", x))
    network = graph.model(graph.add("MatMul", x, graph.array(rng.integers(1, 3, (250, 1)))))
    count, peak = scanned(tmp_path, network, tmp_path / "volume.nii", "3MB")
    assert count > 4
    assert peak < 1e9
    scores = scores_in(tmp_path)[...]
    assert scores.shape == (1, 57, 57, 57)
    assert np.unravel_index(scores[0].argmax(), scores.shape[1:]) == (20, 41, 33)
    patch = fcconv.compile(network)
    for _ in range(20):
        i, j, k = (int(rng.integers(0, 57)) for _ in range(3))
        crop = volume[None, None, i : i + 8, j : j + 8, k : k + 8].astype(np.float32)
        assert np.array_equal(scores[:, i, j, k], patch(crop)[0])
