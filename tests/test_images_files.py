"""Sound, volumes and other files, read by region; broken ones say so, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import nibabel
import numpy as np
import pytest
import soundfile
import zarr

from fcconv.errors import BackendError, ImageError
from regions import RGB, check_regions, opened, tampered

nifti: Any = nibabel.Nifti1Image  # typed in part


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


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "RIFX"])
def test_a_wav_that_is_cut_off(form: str, tmp_path: Path) -> None:
    samples = np.random.default_rng(3).normal(0, 0.1, (501, 1))
    endian, form = ("BIG", "WAV") if form == "RIFX" else ("FILE", form)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 8000, "PCM_U8" if endian == "FILE" else "PCM_16", endian, form)
    whole = path.read_bytes()
    assert opened(path, 1).size == (501,)  # of an odd number of bytes, which are padded
    for bytes_left in (len(whole) - 3, len(whole) // 2):
        cut = tampered(path, "cut.wav", bytes_left)
        with pytest.raises(ImageError, match=rf"cut\.wav is cut off: {bytes_left} bytes of"):
            opened(cut, 1)


def test_a_wav_of_a_stream_says_no_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(500) / 2, 8000)
    content = (tmp_path / "a.wav").read_bytes()
    at = content.index(b"data") + 4
    (tmp_path / "b.wav").write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    check_regions(opened(tmp_path / "b.wav", 1), np.full((1, 500), 0.5, np.float32))


def test_sound_that_ends_early(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "a.flac", rng.normal(0, 0.1, 90_000), 8000)
    cut = tampered(tmp_path / "a.flac", "cut.flac", 40_000)
    image = opened(cut, 1)
    assert image.read((slice(0, 100),)).any()
    with pytest.raises(ImageError, match=r"cut\.flac .* region \[80000:80100\]"):
        image.read((slice(80_000, 80_100),))


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    words = [sys.executable, "-c", "from regions import opened; opened('a.tif')"]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=paths
    )
    assert "ImageError: a.tif is a pipe or a device" in done.stderr


def test_libraries_print_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + b"\xa5" * 50)
    nibabel.save(nifti(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[252] = 99  # of a form that is not known
    (tmp_path / "a.nii").write_bytes(data)
    code = """
from fcconv.errors import ImageError
from fcconv.images.opening import open_images
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
