"""Recordings of every format, in samples, seconds and labels, by soundfile alone."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

import fcconv
from fcconv.cli import app
from fcconv.errors import ArgumentError, BackendError, ImageError, OutputError
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from fcconv.report.peak_files import write_peaks
from fcconv.report.units import in_units, in_words
from fcconv.scanning.peaks import Peak
from recordings import LOUD, RATE, WINDOW, loud_for_a_moment, loudness
from regions import check_regions, tampered

FORMATS = [
    ("a.mp3", "MP3", "MPEG_LAYER_III"), ("a.opus", "OGG", "OPUS"), ("a.ogg", "OGG", "VORBIS"),
    ("a.aiff", "AIFF", "PCM_24"), ("a.w64", "W64", "PCM_16"), ("a.caf", "CAF", "ALAC_16"),
    ("a.au", "AU", "ULAW"), ("a.wav", "WAV", "IMA_ADPCM"), ("a.wav", "FLAC", "PCM_16"),
    ("a.recording", "WAV", "FLOAT"),
]  # fmt: skip


def opened(path: Path, **reading: Any) -> Image:
    [image], _ = open_images(path, 1, **reading)
    return image


def noise(frames: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.1, (frames, channels)).astype(np.float32)


def in_order(path: Path) -> np.ndarray:
    """Read a whole file; `soundfile.read` goes to its beginning first, which changes last bits."""
    with soundfile.SoundFile(path) as file:
        return np.asarray(file.read(dtype="float32", always_2d=True))


@pytest.mark.parametrize(("name", "kind", "subtype"), FORMATS)
def test_regions_of_every_format(name: str, kind: str, subtype: str, tmp_path: Path) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(20_011), RATE, subtype, format=kind)
    expected = in_order(path)
    check_regions(opened(path), expected.T)
    image = opened(path, mono=True)
    check_regions(image, (expected[:, 0] + expected[:, 1])[np.newaxis] / 2)
    assert image.notes == (
        "8,000 samples a second, as the file has; --rate resamples",
        "mono: the mean of 2 channels",
    )
    assert image.coordinates == spaced((1 / 8000,), "s", ("time",))


def test_what_has_no_header_is_no_sound(tmp_path: Path) -> None:
    for name in ("a.vox", "a.gsm", "a.raw", "a.txt"):
        (tmp_path / name).write_bytes(b"words " * 100)
        with pytest.raises(ImageError, match="is not a sound that soundfile reads"):
            opened(tmp_path / name)


@pytest.mark.parametrize("name", ["a.aiff", "a.w64", "a.au"])
def test_what_is_cut_off_is_refused(name: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / name, noise(500), RATE)
    size = (tmp_path / name).stat().st_size
    cut = tampered(tmp_path / name, f"cut-{name}", size // 2)
    with pytest.raises(ImageError, match=f"is cut off: {size // 2} bytes of {size}"):
        opened(cut)


@pytest.mark.parametrize(("name", "kind", "subtype"), FORMATS)
def test_what_is_damaged_is_read_or_refused(
    name: str, kind: str, subtype: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(4000), RATE, subtype, format=kind)
    size, rng = path.stat().st_size, np.random.default_rng(5)
    for start in (*range(0, 60, 5), *rng.integers(60, size, 8).tolist()):
        for length in (None, 6):
            damaged = tampered(path, f"damaged-{name}", int(start), length)
            with contextlib.suppress(ImageError):
                image = opened(damaged)
                image.read((slice(max(image.size[0] - 100, 0), image.size[0]),))


def mp3(path: Path, mode: str) -> tuple[bytes, int]:
    """Write noise, then silence, and return its bytes and how long the block of its tag is."""
    samples = noise(100_000)
    samples[50_000:] *= 1e-4
    soundfile.write(path, samples, 44_100, bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    return content, content.index(content[:2], 100)


def test_an_mp3_without_a_tag_is_as_long_as_its_blocks(tmp_path: Path) -> None:
    content, tag = mp3(tmp_path / "a.mp3", "CONSTANT")
    (tmp_path / "b.mp3").write_bytes(content[tag:])
    expected = in_order(tmp_path / "b.mp3")
    assert len(expected) % 1152 == 0
    assert soundfile.info(tmp_path / "b.mp3").frames > len(expected)  # a guess
    check_regions(opened(tmp_path / "b.mp3"), expected.T)


def test_an_mp3_of_which_a_part_would_not_be_read_is_refused(tmp_path: Path) -> None:
    content, tag = mp3(tmp_path / "a.mp3", "VARIABLE")
    with_picture = b"ID3\x03\0\0\0\0\x01\x00" + b"\xff\xfb\x90\x44" * 32 + content
    for name, made, said in [
        ("untagged", content[tag:], r"holds 10\d,\d{3} samples, of which \d\d,\d{3} would"),
        ("joined", content + with_picture, r"holds 20\d,\d{3} samples, of which 100,000 would"),
        ("short", content[:-200], r"is cut off: 99,072 samples of 100,000"),
        ("cut", content[: len(content) * 3 // 4], r"is cut off: 4\d,\d{3} samples of 100,000"),
    ]:
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(made)
        with pytest.raises(ImageError, match=said):
            opened(path)
    (tmp_path / "c.mp3").write_bytes(with_picture)
    assert opened(tmp_path / "c.mp3").size == (100_000,)


@pytest.mark.parametrize(
    ("reading", "error", "said"),
    [
        ({"rate": 0}, ArgumentError, "rate needs samples a second, 16000 say, got 0"),
        ({"rate": 1.5}, ArgumentError, "rate needs .* got 1.5"),
        ({"rate": 10**9}, ImageError, "8,000 samples a second .* at most 4,096 times"),
        ({"mono": 1}, ArgumentError, "mono is True or False, got 1"),
        ({"rate": 16_000}, BackendError, r"soxr.*: pip install 'fcconv\[audio\]'"),
    ],
)
def test_what_can_not_be_done_is_refused(
    reading: Any, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(500), RATE)
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(error, match=said):
        opened(tmp_path / "a.wav", **reading)
    assert opened(tmp_path / "a.wav", rate=RATE).size == (500,)
    np.save(tmp_path / "a.npy", noise(500))
    with pytest.raises(ImageError, match=r"is not opened by mono \(--mono\)"):
        opened(tmp_path / "a.npy", mono=False)


def test_a_network_that_says_its_rate_is_not_given_another(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, loud_for_a_moment(), RATE)
    with pytest.raises(ImageError, match=r"8,000 samples .* at 16,000: .*--rate 16000.*rate=8000"):
        fcconv.scan(loudness("16000"), path, engine="numpy")
    for trained, rate in (("8000.0", None), ("16000", RATE)):
        found = fcconv.scan(loudness(trained), path, engine="numpy", stride=40, rate=rate)
        assert found.size == (24_000,)
    for odd in ("mono", "nan", "-5", "0"):
        fcconv.scan(loudness(odd), path, engine="numpy", stride=4000)


def parsed_as_audacity_does(text: str) -> list[tuple[float, float, str]]:
    """Read lines of a begin, an end and a title; one that begins with a backslash has none."""
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("\\")]
    return [(float(begin), float(end), title) for begin, end, title in rows]


def test_peaks_lie_at_the_seconds_that_soundfile_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = tmp_path / "a.wav", tmp_path / "model.onnx"
    soundfile.write(path, loud_for_a_moment(), RATE, "FLOAT")
    onnx.save(loudness(), model)
    words = ["scan", *map(str, (model, path)), "--stride", "40", "--threshold", "0.4"]
    words += ["--labels", "a\tb", "--engine", "numpy", "--peaks"]
    for name in ("a.csv", "a.txt", "a.selections.txt"):
        assert app.run([*words, str(tmp_path / name)]) == 0
    assert "24,000 samples (3 s)" in (printed := capsys.readouterr().out)
    assert "80 samples (0.01 s), 40 apart (0.005 s)" in printed
    assert "│ recording " in printed  # not an image
    assert "samples along" not in printed  # there is one axis
    assert "1.25000 to 1.26000" in printed
    assert app.run([*words[:-1], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["peaks"][0]["coordinates"] == {"time_s": 1.25, "length_s": 0.01}
    assert told["scans"][0]["coordinates"]["unit"] == "s"

    [(begin, end, title)] = parsed_as_audacity_does((tmp_path / "a.txt").read_text())
    assert (begin, end, title) == (LOUD, LOUD + 0.01, "a b")
    crop, _ = soundfile.read(path, start=round(begin * RATE), stop=round(end * RATE))
    with (tmp_path / "a.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    score = float(row.pop("score"))
    # a sum of floats, in whatever order, is off by no more than a rounding for each of its terms
    assert abs(score - np.abs(crop).mean()) <= 2 * WINDOW * 2.0**-24 * np.abs(crop).mean()
    places = {"start": "10000.0", "length": "80.0", "time_s": "1.25", "length_s": "0.01"}
    assert row == {"label": "a\tb", **places}

    with (tmp_path / "a.selections.txt").open(newline="") as file:
        [selection] = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert selection == {
        "Selection": "1", "View": "Spectrogram 1", "Channel": "1",
        "Begin Time (s)": "1.250000", "End Time (s)": "1.260000",
        "Low Freq (Hz)": "0", "High Freq (Hz)": "4000", "Annotation": "a b", "Score": str(score),
    }  # fmt: skip


def test_labels_follow_each_other_in_time(tmp_path: Path) -> None:
    peaks = [Peak("a", 0.9, ((200, 300),), (2,)), Peak("b", 0.5, ((100, 200),), (1,))]
    for name in ("a.txt", "a.selections.txt"):
        write_peaks(tmp_path / name, peaks, 1, spaced((0.01,), "s", ("time",)))
        text = (tmp_path / name).read_text()
        assert text.index("1.000000\t2.000000") < text.index("2.000000\t3.000000")


def test_labels_without_seconds_are_refused_before_the_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(loudness(), tmp_path / "model.onnx")
    np.save(tmp_path / "a.npy", noise(500, 1).T)
    words = ["scan", str(tmp_path / "model.onnx"), str(tmp_path / "a.npy"), "--peaks"]
    scores = tmp_path / "scores.npy"
    assert app.run([*words, str(tmp_path / "a.TXT"), "--out", str(scores)]) == 2
    said = "a label track of Audacity has places in s, which the image does not give: write peaks"
    assert f"--peaks: {said} to .csv\n" in capsys.readouterr().err
    assert not scores.exists()
    assert app.run([*words[:-1], "--out", str(scores), "--engine", "numpy"]) == 0
    assert app.run(["show", str(scores), "--peaks", str(tmp_path / "a.txt")]) == 2
    assert f"--peaks: {said}" in capsys.readouterr().err
    with pytest.raises(OutputError, match=r"Raven has one axis, the peaks have 2: .*geojson or"):
        write_peaks(tmp_path / "a.selections.txt", [], 2)
    microns = spaced((1,), "µm", ("x",))
    with pytest.raises(OutputError, match="Raven has places in s"):
        write_peaks(tmp_path / "a.selections.txt", [Peak("a", 1, ((0, 1),), (0,))], 1, microns)


def test_places_in_units() -> None:
    slide = spaced((0.5, 0.25), "µm", ("y", "x"))
    assert in_units(slide, [(100, 125), (30, 55)]) == {
        "x_um": 7.5, "y_um": 50, "width_um": 6.25, "height_um": 12.5,
    }  # fmt: skip
    turned = Coordinates(("x", "y"), "m", ((0, 2, 500_000), (-3, 0, 4_000_000)))
    assert in_units(turned, [(10, 20), (1, 3)]) == {
        "x_m": 500_002, "y_m": 3_999_970, "width_m": 4, "height_m": 30,
    }  # fmt: skip
    assert in_words(turned, [(10, 20), (1, 3)]) == (
        "500002.000 to 500006.000, 3999970.000 to 3999940.000"
    )
    volume = spaced((3, 0.5, 0.25), "mm", ("z", "y", "x"), (10, 20, 30))
    assert in_units(volume, [(1, 9), (0, 9), (2, 12)]) == {
        "x_mm": 30.5, "y_mm": 20, "z_mm": 13, "size_0_mm": 24, "size_1_mm": 4.5, "size_2_mm": 2.5,
    }  # fmt: skip
    assert in_units(None, [(0, 1)]) == {}
    assert in_units(spaced((2,), "", ("x",)), [(1, 2)]) == {"x_units": 2, "length_units": 2}
