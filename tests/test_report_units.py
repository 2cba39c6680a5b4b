"""Pictures in the units of an image: scale bars, time, strips, and what reaches into padding."""

from __future__ import annotations

import math
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from fcconv.cli.wanted import Wanted
from fcconv.images.coordinates import spaced
from fcconv.report.heatmap import draw
from fcconv.report.places import clock, ladder, scale_bar, time_step
from small_scans import make_scan, randoms

DARK = np.zeros((1, 40, 50), np.uint8)


@given(
    st.floats(1e-7, 1e6), st.sampled_from(["nm", "µm", "mm", "m", "km", "s", "°"]),
    st.integers(1, 10**6),
)  # fmt: skip
def test_a_scale_bar_is_as_long_as_it_says(spacing: float, unit: str, wide: int) -> None:
    pixels, words = scale_bar(spacing, unit, wide)
    number, told = words.split(" ")
    assert number.strip("0.") in {"1", "2", "5"}
    assert float(number) * ladder(unit)[told] == pytest.approx(pixels * spacing, rel=1e-9)
    # the nearest of 1, 2, 5, 10 is nowhere farther than halfway from 2 to 5, on a log scale
    assert abs(math.log(pixels / (wide / 5))) <= math.log(5 / 2) / 2 + 1e-9
    sizes = list(ladder(unit))
    assert 1 <= float(number) < 1000 or told in (sizes[0], sizes[-1])


@given(st.integers(0, 10**8), st.integers(0, 3))
def test_a_clock_tells_the_time(thousandths: int, decimals: int) -> None:
    hours, minutes, seconds = clock(thousandths / 1000, decimals).split(":")
    told = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    assert abs(told - thousandths / 1000) <= 0.5 * 10.0**-decimals + 1e-9
    assert int(minutes) < 60
    assert float(seconds) < 60
    assert len(seconds) == (decimals + 3 if decimals else 2)


@given(st.floats(1e-3, 1e5), st.integers(2, 20))
def test_ticks_of_a_clock_are_few_but_not_too_few(seconds: float, ticks: int) -> None:
    step = time_step(seconds, ticks)
    assert seconds / step <= ticks
    assert seconds / step >= ticks / 3  # no step is more than three times the one before it


def test_a_panel_has_a_bar_of_its_own_length() -> None:
    scan = make_scan(
        randoms(2, 20, 30), (9, 9), (5, 4), coordinates=spaced((2, 0.5), "µm", ("y", "x"))
    )
    figure = draw(scan, DARK)
    first, second, *_ = figure.axes
    assert first.get_aspect() == 4
    (bar,) = (artist for artist in first.artists if isinstance(artist, AnchoredSizeBar))
    assert bar.txt_label.get_text() == "10 µm"
    drawn: Any = bar.size_bar.get_children()[0]
    assert drawn.get_width() == 20  # columns, which are half a micron
    assert not second.artists
    assert not draw(make_scan(randoms(1, 20, 30), (9, 9), (5, 4)), DARK).axes[0].artists


@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_is_drawn_wider_than_it_is(turned: bool) -> None:
    scores = randoms(3, 2, 4000)
    scan = make_scan(scores.transpose(0, 2, 1) if turned else scores, (27, 27), (9, 9))
    figure = draw(scan, DARK)
    figure.draw_without_rendering()
    for axes in figure.axes[:3]:
        box = axes.get_window_extent()
        across, along = sorted((box.height, box.width))
        assert (along == box.height) == turned
        assert across > 100
        assert along < 12 * across
        meshes = [np.asarray(image.get_array()).shape[:2] for image in axes.images[1:]]
        assert meshes == [(1000, 2) if turned else (2, 1000)]  # nothing across is left out
    assert f"times as {'wide' if turned else 'high'} as it is" in figure.get_suptitle()


@pytest.mark.parametrize(
    ("rate", "ticks", "name"),
    [(10, ["0:10:00", "0:20:00"], "time, h:mm:ss"), (1000, ["10", "20"], "time, s")],
)
def test_a_recording_is_drawn_by_time(rate: int, ticks: list[str], name: str) -> None:
    scan = make_scan(randoms(1, 999), (39,), (25,), coordinates=spaced((1 / rate,), "s", ("time",)))
    (peak, *_) = scan.peaks(scan.labels, 0)
    figure = draw(scan, np.zeros((1, 300)), peaks=[peak])
    figure.draw_without_rendering()
    below = figure.axes[1]
    (marks,) = below.collections
    assert np.asarray(marks.get_offsets()).tolist() == [
        [pytest.approx((peak.cell[0] * 25 + 19.5) / rate), pytest.approx(peak.score)]
    ]
    assert below.get_xlim() == pytest.approx((0, 24989 / rate))
    assert below.get_xlabel() == name
    line = np.asarray(below.lines[0].get_xdata())
    np.testing.assert_allclose(line, (np.arange(999) * 25 + 19.5) / rate)
    assert set(ticks) <= {text.get_text() for text in below.get_xticklabels()}


def dashed(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_linestyle() == "--"]


@pytest.mark.parametrize(
    ("padding", "corners"),
    [
        ((3, 0), [(118.5, 97), (2.5, 97)]),
        ((0, 2), [(114.5, 2), (114.5, 102)]),
        ((1, 1), [(114.5, 2), (114.5, 97), (2.5, 97)]),
        ((), []),
    ],
)
def test_windows_that_reach_into_padding_lie_beyond_a_dashed_line(
    padding: tuple[int, ...], corners: list[tuple[float, float]]
) -> None:
    known: dict[str, Any] = {"pad": "edge", "padding": padding} if padding else {}
    scan = make_scan(randoms(1, 20, 29), (9, 9), (5, 4), **known)
    figure = draw(scan, DARK)
    drawn = [np.asarray(line.get_xydata()).tolist() for line in dashed(figure.axes[0])]
    assert drawn == ([[list(corner) for corner in corners]] if corners else [])
    assert ("reach into padding (edge)" in figure.get_suptitle()) == bool(corners)


def test_the_end_of_a_recording_is_marked() -> None:
    scan = make_scan(randoms(1, 50), (9,), (4,), pad="reflect", padding=(2,))
    figure = draw(scan, np.zeros((1, 300)))
    (line,) = dashed(figure.axes[1])
    assert np.unique(line.get_xdata()).tolist() == [49 * 4 + 2.5]
    assert "1 window that reaches into padding (reflect)" in figure.get_suptitle()


def test_the_command_line_knows_which_pages_there_are(tmp_path: Any) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("heatmap", "peaks", "map", "threshold", "overlap"))
    wanted = Wanted(**nothing, crs="lonlat", report=tmp_path / "a.html", only=(), as_json=False)
    for rank in (1, 2):
        wanted.check_classes(("a",), rank)
    with pytest.raises(click.BadParameter, match="a page shows one or two axes, not 3"):
        wanted.check_classes(("a",), 3)
