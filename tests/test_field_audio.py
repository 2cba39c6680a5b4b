"""Recordings as soundfile and soxr have them: resampled by region, decoded in order, all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from fcconv.images.image import Image
from fcconv.images.opening import open_images
from regions import check_regions

soxr: Any = pytest.importorskip("soxr")

SEED = 7


def chirp(frames: int, rate: int, channels: int = 2) -> np.ndarray:
    """A tone that rises to half of the rate, with noise, in each channel another."""
    time = np.arange(frames)[:, np.newaxis] / rate
    turns = (1 + np.arange(channels)) * rate / 8 * time**2 / time[-1]
    noise = np.random.default_rng(SEED).normal(0, 0.01, (frames, channels))
    return np.asarray(0.4 * np.sin(2 * np.pi * turns) + noise, np.float32)


def opened(path: Path, **reading: Any) -> Image:
    [image], _ = open_images(path, 1, **reading)
    return image


@pytest.mark.parametrize(
    ("given", "rate", "frames"),
    [(44_100, 16_000, 100_003), (8000, 48_000, 20_001), (96_000, 44_100, 480), (192_000, 8000, 30)],
)
def test_a_region_is_that_of_the_whole_resampled(
    given: int, rate: int, frames: int, tmp_path: Path
) -> None:
    sound = chirp(frames, given)
    soundfile.write(tmp_path / "a.wav", sound, given, "FLOAT")
    image = opened(tmp_path / "a.wav", rate=rate)
    check_regions(image, soxr.resample(sound, given, rate).T)
    assert image.notes == (f"resampled from {given:,} to {rate:,} samples a second",)
    mono = opened(tmp_path / "a.wav", rate=rate, mono=True)
    check_regions(mono, soxr.resample((sound[:, :1] + sound[:, 1:]) / 2, given, rate).T)
