"""Tiles: each cell is kept once, and equals that of the whole image, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.errors import ImageError
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.convolutionize import Windows
from fcconv.graph.rewriting.sliding import from_metadata
from fcconv.graph.running.run import program_of
from fcconv.scanning.cutting import planned, ways
from fcconv.scanning.job import Job, make_job
from fcconv.scanning.memory import extents_of, seen
from fcconv.scanning.network import as_network
from fcconv.scanning.plan import AxisTiles, Plan, check_size, plans
from fcconv_modular import field_of
from random_graphs import Case, cases
from scan_cases import picture, small_network
from sliding_windows import larger, pixels, slid, smallest
from strategies import seeds

few = st.integers(1, 6)
axes = st.builds(
    lambda window, stride, cells, rest, before, after, kept: AxisTiles(
        window + (cells - 1) * stride + rest % stride, window, stride, before, after, kept
    ),
    few, few, st.integers(1, 20), few, st.integers(0, 3), st.integers(0, 3), few,
)  # fmt: skip


@given(axes)
def test_parts_keep_each_cell_once_and_lie_inside_the_image(axis: AxisTiles) -> None:
    kept: list[int] = []
    for tile in range(axis.tiles):
        part = axis.part(tile)
        assert 0 <= part.pixels.start <= part.pixels.stop <= axis.size
        assert part.pixels.stop - part.pixels.start == axis.pixels
        assert part.pixels.start % axis.stride == 0
        first = part.pixels.start // axis.stride
        assert first + part.inner.start == part.cells.start
        assert first + part.inner.stop == part.cells.stop
        assert part.inner.start >= axis.before or part.pixels.start == 0
        after = axis.scored - part.inner.stop
        assert after >= axis.after or part.pixels.stop == axis.size
        kept += range(part.cells.start, part.cells.stop)
    assert kept == list(range(axis.cells))


@settings(max_examples=150)  # few networks pad at the end, at a stride that shows it
@given(
    case=cases(), windows=st.sampled_from(["shared", "exact"]), seed=seeds,
    more=st.tuples(*[st.tuples(st.integers(0, 9), few)] * 3), kept=few,
)  # fmt: skip
def test_tiles_equal_the_whole_image(
    case: Case, windows: Windows, seed: int, more: Any, kept: int
) -> None:
    sliding = slid(case, windows)
    field = field_of(seed)
    image = pixels(field, seed, case.dtype, larger(case, sliding, seed, more)[0].shape)
    program = program_of(load(sliding))
    weights = program.parameters(field)
    whole = program.run(field, weights, [image])
    for tile in tiles(case, sliding, image.shape, kept):
        place: list[Any] = [slice(None)] * image.ndim
        for axis, part in zip(case.axes, tile.pixels, strict=True):
            place[axis] = part
        found = program.run(field, weights, [image[tuple(place)]])
        for scores, expected in zip(found, whole, strict=True):
            inner, cells = scores.numbers[:, :, *tile.inner], expected.numbers[:, :, *tile.cells]
            assert_identical(inner, cells, case)


def tiles(case: Case, sliding: fcconv.Sliding, shape: tuple[int, ...], kept: int) -> Plan:
    size = [shape[axis] for axis in case.axes]
    cuts = plans(size, sliding.window, sliding.stride, sliding.margins)
    return next(cut for cut in cuts if max(cut.kept) <= kept)


@given(
    case=cases(), windows=st.sampled_from(["shared", "exact"]), seed=seeds,
    more=st.tuples(*[st.tuples(st.integers(0, 9), few)] * 3),
)  # fmt: skip
def test_runs_on_the_smallest_images_tell_the_shapes_of_any_other(
    case: Case, windows: Windows, seed: int, more: Any
) -> None:
    sliding = slid(case, windows)
    image, _ = larger(case, sliding, seed, more)
    model, shapes = load(sliding), smallest(case, sliding)
    extents = extents_of(model, shapes, "numpy")
    beyond = [image.shape[a] - n for a, n in zip(case.axes, sliding.window, strict=True)]
    strides = [-(-n // stride) for n, stride in zip(beyond, sliding.stride, strict=True)]
    whole = not any(n % stride for n, stride in zip(beyond, sliding.stride, strict=True))
    for value, (shape, dtype) in seen(model, image.shape, "numpy").items():
        found, actual = extents[value].bytes(strides), dtype.itemsize * math.prod(shape)
        assert found == actual if whole else found >= actual, (value, case)


@given(case=cases())
def test_a_file_tells_what_the_network_is(case: Case) -> None:
    sliding = slid(case)
    again = from_metadata(sliding.model)
    assert again is not None
    assert replace(again, patch=sliding.patch) == sliding, case


def test_a_plan_that_fits_is_taken_without_a_look_at_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job(as_network(small_network()), picture())
    whole = next(ways(job))

    def first_only(_: Job) -> Iterator[Plan]:
        yield whole
        raise AssertionError

    monkeypatch.setattr("fcconv.scanning.cutting.ways", first_only)
    assert planned(job, 10**9, "numpy")[0] == whole


@pytest.mark.parametrize(
    ("size", "hint"), [((40, 3), True), ((1, 2), False), ((20, 40), False)], ids=str
)
def test_channels_last_are_suspected_where_only_the_last_axis_is_short(
    size: tuple[int, ...], hint: bool
) -> None:
    with pytest.raises(ImageError) as error:
        check_size(size, (25, 25))
    assert ("channels last" in str(error.value)) == hint
