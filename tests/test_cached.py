"""Scores in chunks: each chunk is read once, and what is read is what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcconv.report import blocks
from fcconv.report.picture import read_heat
from fcconv.scanning import cached as caching
from fcconv.scanning import peaks
from fcconv.scanning.cached import cached
from small_scans import make_scan, randoms


class Counted:
    """An array in chunks that counts how often each of its entries is read."""

    def __init__(self, array: Any, chunks: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, chunks
        self.reads = np.zeros(array.shape, np.int64)
        self._array = array

    def __getitem__(self, index: Any) -> Any:
        self.reads[index] += 1
        return self._array[index]


@given(st.data())
def test_regions_are_those_of_the_array(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple))
    chunks = tuple(data.draw(st.integers(1, n + 2)) for n in shape)
    array = randoms(*shape)
    stored = Counted(array, chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caching, "MAX_CACHED_BYTES", data.draw(st.sampled_from([1, 100, 10**6])))
        read = cached(stored)
    for _ in range(3):
        index: list[int | slice] = []
        for n in shape:
            start = data.draw(st.integers(0, n - 1))
            part = slice(start, data.draw(st.integers(start, n + 2)))
            index.append(part if data.draw(st.booleans()) else start)
        np.testing.assert_array_equal(read[tuple(index)], array[tuple(index)])


def test_arrays_in_memory_stay_as_they_are() -> None:
    array = randoms(3, 4)
    assert cached(array) is array
    stored = cached(Counted(array, (2, 2)))
    assert cached(stored) is stored


def test_peaks_and_pictures_read_each_chunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "BLOCK_SCORES", 2000)
    monkeypatch.setattr(blocks, "SCORES_PER_READ", 2000)
    monkeypatch.setattr(caching, "MAX_CACHED_BYTES", 2 * 5 * 20 * 16 * 17 * 4)  # two rows of chunks
    array = randoms(20, 50, 70)
    stored = Counted(array, (20, 16, 17))
    scan = make_scan(stored, (8, 8), (2, 2))
    found = scan.peaks(scan.labels, 1.5)
    assert (stored.reads == 1).all()
    stored.reads[:] = 0
    heat = read_heat(scan, None, 6, (3, 3))
    assert (stored.reads <= 2).all()  # for the ranges, and for the picture
    expected = make_scan(array, (8, 8), (2, 2))
    assert found == expected.peaks(expected.labels, 1.5)
    np.testing.assert_array_equal(heat.values, read_heat(expected, None, 6, (3, 3)).values)
