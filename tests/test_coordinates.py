"""Coordinates follow an image to its axes, to the cells of a map, and into the store and back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv.images.coordinates import Coordinates, restored, spaced
from fcconv.images.opening import open_images
from scan_cases import small_network

NUMBERS = st.integers(-8, 8).map(float)


@st.composite
def affine(draw: st.DrawFn, rank: int = 3) -> Coordinates:
    matrix = tuple(tuple(draw(NUMBERS) for _ in range(rank + 1)) for _ in range(rank))
    return Coordinates(("x", "y", "z")[:rank], "mm", matrix)


@given(affine(), st.permutations(range(3)), st.lists(NUMBERS, min_size=3, max_size=3))
def test_axes_in_another_order_lie_where_they_were(
    placed: Coordinates, order: list[int], place: list[float]
) -> None:
    turned = placed.along(order)
    assert turned is not None
    assert turned.at([place[axis] for axis in order]) == placed.at(place)
    assert restored(json.loads(json.dumps(placed.told()))) == placed


@given(affine(), *(st.lists(NUMBERS, min_size=3, max_size=3) for _ in range(3)))
def test_a_grid_lies_on_the_image(
    placed: Coordinates, step: list[float], first: list[float], place: list[float]
) -> None:
    on_image = [f + s * p for f, s, p in zip(first, step, place, strict=True)]
    assert placed.of_steps(step, first).at(place) == placed.at(on_image)


def test_a_plane_keeps_its_own_coordinates_and_of_a_slanted_one_the_spacing() -> None:
    volume = spaced((3, 0.5, 0.25), "mm", ("z", "y", "x"), (10, 20, 30))
    assert volume.along((1, 2)) == spaced((0.5, 0.25), "mm", ("y", "x"), (20, 30))
    assert volume.along((3,)) is None
    slanted = Coordinates(("x", "y", "z"), "mm", ((3, 0, 0, 1), (4, 0, 1, 1), (0, 2, 0, 1)))
    assert slanted.along((0, 1)) == spaced((5, 2), "mm", ("y", "x"))


def test_lengths_whose_squares_no_float_holds() -> None:
    assert spaced((1e200, 1e-200), "µm", ("y", "x")).spacing == (1e200, 1e-200)


@pytest.mark.parametrize("keep", ["memory", "store"])
def test_scores_of_a_recording_lie_in_seconds(keep: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.linspace(-0.5, 0.5, 1800).reshape(900, 2), 100)
    out = None if keep == "memory" else tmp_path / "scores.zarr"
    found = fcconv.scan(small_network(rank=1), tmp_path / "a.wav", engine="numpy", out=out)
    if out is not None:
        found = fcconv.open_scan(out)
    assert found.coordinates == spaced((0.01,), "s", ("time",))
    (window,), (stride,) = found.window, found.stride
    assert found.map_coordinates is not None
    (centre,) = found.map_coordinates.at([7.5])
    assert centre == pytest.approx((7 * stride + window / 2) / 100, rel=1e-15, abs=0)
    found.write_map(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["start", "length", "time_s", "length_s", *found.labels]
    assert [float(line[0]) for line in lines] == [i * stride for i in range(found.cells[0])]
    seconds = [[i * stride / 100, window / 100] for i in range(found.cells[0])]
    assert [list(map(float, line[2:4])) for line in lines] == seconds
    np.testing.assert_array_equal(
        np.array([line[4:] for line in lines], np.float32).T, found.scores[...]
    )


def test_what_does_not_say_how_it_is_opened_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 100)
    with pytest.raises(fcconv.ImageError, match=r"no series 3: choose one of 0"):
        open_images(tmp_path / "a.wav", 1, series=3)
    with pytest.raises(fcconv.ArgumentError, match="no argument 'pages': images are opened by"):
        open_images(tmp_path / "a.wav", 1, pages=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(fcconv.ImageError, match=r"series says how a file is read, .* an array"):
        open_images(np.zeros((3, 100)), 1, series=0)
