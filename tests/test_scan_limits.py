"""Scans that meet the end of a disk, or are to stay within some memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import fcconv
from comparing import assert_identical
from fcconv_bench.networks import POOL, chain
from scan_cases import Array, memory_for, picture, small_network

SLACK = 24e6
"""Bytes of threads, and what the allocator holds back."""

LIMITED = """
import resource, sys
from fcconv.cli.app import run
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # Python ignores the signal
sys.exit(run(sys.argv[2:]))
"""

SMALL_DISK = """
set -e
mount -t tmpfs -o size=$1 none $2
shift
disk=$1
shift
set +e
"$@"
echo $? > $disk/../first
mount -o remount,size=64m none $disk
"$@" --resume && cp $disk/* $disk/..
"""

GROWTH = """
import re, sys
from pathlib import Path
import numpy as np
import fcconv
model, image, out, windows, engine, memory = sys.argv[1:]
def peak():
    # not of getrusage, which counts what the process was before it began this program
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1])
pixels = np.load(image, "r")
fcconv.scan(model, pixels[:, :64, :64], engine=engine, windows=windows)  # loads libraries
before = peak()
given = {"engine": engine, "windows": windows, "memory": memory, "out": out}
found = fcconv.scan(model, pixels, **given)
print(found.tiles, peak() - before)
"""


def half_noise() -> npt.NDArray[np.float32]:
    """Make an image whose upper part is scored equally everywhere, and takes no place on a disk."""
    image = np.zeros((2, 120, 200), np.float32)
    image[:, 60:] = np.random.default_rng(0).integers(-9, 10, (2, 60, 200))
    return image


def command(folder: Path, *options: object) -> list[str]:
    """Write a network and an image, and return what scans it in some tiles."""
    network, image = small_network(), half_noise()
    fcconv.convolutionize(network).save(folder / "model.onnx")
    np.save(folder / "image.npy", image)
    words = ["scan", folder / "model.onnx", folder / "image.npy", "--engine", "numpy", "--memory"]
    return [str(word) for word in (*words, memory_for(12, network, image), *options)]


def check_complaint(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, done
    assert done.stderr.startswith("fcconv: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "The tiles that are finished are kept: resume goes on from there" in done.stderr


@pytest.mark.parametrize(("suffix", "limit"), [(".zarr", 3000), (".npy", 3000), (".npy", 20000)])
def test_a_file_that_is_too_large(suffix: str, limit: int, tmp_path: Path) -> None:
    """In a chunk, and in what the chunks are put together to."""
    out = tmp_path / f"out{suffix}"
    words = command(tmp_path, "--out", out)
    limited = [sys.executable, "-c", LIMITED, str(limit), *words]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    check_complaint(done, "File too large")
    kept = [path for path in tmp_path.rglob("c/*/*/*") if path.is_file()]
    assert kept
    if suffix == ".npy":
        assert not out.exists()
    dates = {path: path.stat().st_mtime_ns for path in kept}
    again = [sys.executable, "-m", "fcconv", *words, "--resume"]
    done = subprocess.run(again, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if suffix == ".zarr":
        assert dates == {path: path.stat().st_mtime_ns for path in kept}
        found = fcconv.scan(
            tmp_path / "model.onnx", tmp_path / "image.npy", engine="numpy", out=out,
            memory=words[words.index("--memory") + 1], existing="resume",
        )  # fmt: skip
        assert found.computed == 0
        scores = found.scores[...]
    else:
        scores = np.load(out)
    assert np.array_equal(scores, fcconv.convolutionize(small_network())(half_noise()[None])[0])


@pytest.mark.parametrize(("suffix", "size"), [(".npy", 90), (".npz", 90), (".npz", 140)])
def test_a_disk_that_is_too_small(suffix: str, size: int, tmp_path: Path) -> None:
    """The chunks, which are compressed, fit; what they are put together to does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        able = [*apart, f"mount -t tmpfs none {disk}"]
        subprocess.run(able, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    words = command(tmp_path, "--out", disk / f"out{suffix}")
    program = [*apart, SMALL_DISK, "sh", f"{size}k", str(disk), sys.executable, "-m", "fcconv"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=60)
    assert (tmp_path / "first").read_text().strip() == "2", done
    check_complaint(subprocess.CompletedProcess([], 2, "", done.stderr), "No space left on device")
    assert done.returncode == 0
    scores = np.load(tmp_path / f"out{suffix}")
    scores = scores if suffix == ".npy" else next(iter(scores.values()))
    assert np.array_equal(scores, fcconv.convolutionize(small_network())(half_noise()[None])[0])


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("stride", [10**7, (2, 10**7), (10**7, 2)], ids=str)
def test_a_stride_far_beyond_the_image_takes_no_memory(stride: Any, layout: str) -> None:
    network, image = small_network(layout=layout), picture()
    found = fcconv.scan(network, image, stride=stride, engine="numpy", memory="1MB")
    assert min(found.cells) == 1
    batch = np.moveaxis(image[None], 1, 1 if layout == "first" else 3)
    dense = fcconv.convolutionize(network, stride=2)(batch)[0]
    assert_identical(found.scores, dense[:, : found.cells[0], : found.cells[1]], stride)


@pytest.mark.parametrize(("windows", "side"), [("shared", 4000), ("exact", 2000)])
def test_memory_stays_within_what_is_allowed(tmp_path: Path, windows: str, side: int) -> None:
    """What maps a file counts to the memory of a process, though it is no one's; it is on top."""
    network = small_network(layout="none", pad=int(windows == "exact"))
    pixels = np.random.default_rng(0).integers(0, 2, (1, side, side), dtype=np.uint8)
    tiles, growth = growth_of(tmp_path, network, pixels, windows, "numpy", "40MB")
    assert tiles > 10
    assert growth < 40e6 + pixels.nbytes + SLACK


def test_values_go_when_they_are_read(tmp_path: Path) -> None:
    """In onnxruntime, too, with its memory patterns 175 MB."""
    layers = [(3, 16), (3, 16), POOL, (3, 32), (3, 32), POOL, (3, 48), (3, 48), POOL, (8, 64)]
    network = chain(64, 3, [*layers, (1, 4)], padding={3: 1})
    pixels = np.random.default_rng(0).integers(0, 2, (3, 900, 900), dtype=np.uint8)
    tiles, growth = growth_of(tmp_path, network, pixels, "exact", "onnxruntime", "100MB")
    assert tiles > 4
    assert growth < 100e6 + pixels.nbytes


def growth_of(folder: Path, network: onnx.ModelProto, pixels: Array, *words: str) -> list[int]:
    """Scan in a process of its own, and return tiles and the bytes that it takes."""
    onnx.save(network, folder / "model.onnx")
    np.save(folder / "image.npy", pixels)
    program = [sys.executable, "-c", GROWTH, "model.onnx", "image.npy", "out.zarr", *words]
    done = subprocess.run(
        program, cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    return list(map(int, done.stdout.split()))
