"""Recordings resampled by soxr: every region is that of the whole, and lies at its seconds."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from fcconv.images.sound_frames import Recording, resampled
from recordings import LOUD, RATE, WINDOW, loud_for_a_moment, loudness
from regions import check_regions

soxr: Any = pytest.importorskip("soxr")


def chirp(frames: int, rate: int) -> np.ndarray:
    """Make two channels of tones that rise, one to a quarter and one to half of the rate."""
    time = np.arange(frames)[:, np.newaxis] / rate
    turns = np.array([1, 2]) * rate / 8 * time**2 / time[-1]
    noise = np.random.default_rng(7).normal(0, 0.01, (frames, 2))
    return np.asarray(0.4 * np.sin(2 * np.pi * turns) + noise, np.float32)


def opened(path: Path, **reading: Any) -> Image:
    [image], _ = open_images(path, 1, **reading)
    return image


@pytest.mark.parametrize(
    ("own", "rate", "frames"),
    [(44_100, 16_000, 200_003), (8000, 48_000, 30_001), (96_000, 44_100, 480), (192_000, 8000, 30)],
)
def test_a_region_is_that_of_the_whole_resampled(
    own: int, rate: int, frames: int, tmp_path: Path
) -> None:
    sound = chirp(frames, own)
    soundfile.write(tmp_path / "a.wav", sound, own, "FLOAT")
    image = opened(tmp_path / "a.wav", rate=rate)
    check_regions(image, soxr.resample(sound, own, rate).T)
    assert image.notes == (f"resampled from {own:,} to {rate:,} samples a second",)
    mono = opened(tmp_path / "a.wav", rate=rate, mono=True)
    expected = soxr.resample((sound[:, :1] + sound[:, 1:]) / 2, own, rate).T
    check_regions(mono, expected)
    found: list[bool] = []

    def read(starts: range) -> None:
        for at in starts:
            part = mono.read((slice(at, at + 20),))
            found.append(np.array_equal(part, expected[:, at : at + 20]))

    places = range(0, len(expected[0]) - 20, 1 + len(expected[0]) // 20)
    threads = [Thread(target=read, args=(starts,)) for starts in (places, places[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 2 * len(places)


@given(st.integers(1, 2000), st.sampled_from([(3, 2), (2, 3), (320, 147), (147, 320), (441, 80)]))
def test_it_is_known_how_many_frames_there_will_be(frames: int, rates: tuple[int, int]) -> None:
    own, rate = rates
    file = SimpleNamespace(channels=1)
    made = resampled(Recording(frames, own, True, False, lambda: file, file), rate)
    assert made.shape == soxr.resample(np.zeros((frames, 1), np.float32), own, rate).shape


def test_a_compressed_recording_in_stereo_is_heard_at_its_second(tmp_path: Path) -> None:
    for name, own in (("a.mp3", 44_100), ("a.opus", 48_000), ("a.flac", 22_050)):
        kind, subtype = ("OGG", "OPUS") if name == "a.opus" else (None, None)
        soundfile.write(tmp_path / name, loud_for_a_moment(own, 2), own, subtype, format=kind)
        found = fcconv.scan(
            loudness(str(RATE)), tmp_path / name, engine="numpy", stride=4, rate=RATE, mono=True
        )
        [peak, *_] = found.peaks(0, 0.3)
        assert found.coordinates is not None
        (begin,) = found.coordinates.at([peak.box[0][0]])
        # of what is loud for 10 ms a filter of 8 kHz moves less than a window
        assert abs(begin - LOUD) < WINDOW / RATE / 4
        assert found.size == (3 * RATE,)
