"""An audit tells how far the scores of a pass are from those of windows that are cut out."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fcconv
from fcconv.cli import app
from fcconv.errors import ArgumentError
from fcconv.scanning.differences import Audit, Compared, clopper_pearson
from graphs import Graph
from scan_cases import TYPES, Array, cut_into, picture, small_network

SHARED: dict[str, Any] = {"windows": "shared", "engine": "numpy"}
ALL = 10_000
"""More windows than the images of these tests have."""


def noisy(seed: int = 0) -> Array:
    """Make an image no two windows of which score equally."""
    made: Array = picture() + np.random.default_rng(seed).random((2, 27, 33), np.float32)
    return made


def both(image: Array) -> tuple[Array, Array]:
    """Score all windows in a pass and cut out, ``(n, K)``."""
    found = (
        fcconv.scan(small_network(pad=1), image, windows=windows, engine="numpy").scores
        for windows in ("shared", "crops")
    )
    shared, crops = (scores.reshape(2, -1).T.astype(float) for scores in found)
    return shared, crops


def audit_of(image: Array, count: int, network: Any = None, **given: Any) -> Audit:
    model = small_network(pad=1) if network is None else network
    found = fcconv.scan(model, image, audit=count, **{**SHARED, **given}).audit
    assert found is not None
    return found


def single() -> onnx.ModelProto:
    """Put together a network that pads, of one class."""
    graph = Graph(2, 7, 8)
    x = graph.add("Conv", "image", graph.array(np.ones((1, 2, 3, 3))), pads=[1] * 4)
    return graph.model(graph.reduce("ReduceMean", x, [2, 3], keepdims=0))


@pytest.mark.parametrize("engine", TYPES)
def test_peaks_may_have_the_scores_of_their_crops(engine: str) -> None:
    """They are found by those of the pass, and sorted by those of the crops."""
    image = noisy()
    network = small_network(pad=1)
    found = fcconv.scan(network, image, windows="shared", engine=engine)
    crops = fcconv.scan(network, image, windows="crops", engine=engine).scores
    peaks, exact = (found.peaks((0, 1), -1e9, most=9, exact=e) for e in (False, True))
    assert sorted(peak.cell for peak in peaks) == sorted(peak.cell for peak in exact)
    assert [peak.score for peak in exact] == sorted((p.score for p in exact), reverse=True)
    for peak in exact:
        assert peak.score == crops[(found.labels.index(peak.label), *peak.cell)]
    assert [p.score for p in peaks] != [p.score for p in exact]


@pytest.mark.parametrize("engine", TYPES)
@pytest.mark.parametrize("tiles", [1, 5])
def test_all_windows_are_compared_with_their_crops(engine: str, tiles: int) -> None:
    image = picture()
    shared, crops = both(image)
    apart = np.sort(np.abs(shared - crops).max(axis=1))
    with cut_into(tiles):
        found = audit_of(image, ALL, engine=engine)
    n = len(apart)
    changed = int((shared.argmax(axis=1) != crops.argmax(axis=1)).sum())
    assert 0 < changed < n
    middle, most = apart[math.ceil((n - 1) / 2)], apart[math.ceil((n - 1) * 0.95)]
    assert found.drawn == Compared(n, middle, most, apart[-1], changed)
    assert found.changed == clopper_pearson(changed, n)
    assert sum(part.windows for _, _, part in found.distances) == n


def test_windows_are_told_apart_by_their_distance_from_the_border() -> None:
    image = noisy()
    shared, crops = both(image)
    found = audit_of(image, ALL)
    cells = fcconv.scan(small_network(pad=1), image, **SHARED)
    distance = np.array([
        min(*(p.start for p in box), *(n - p.stop for p, n in zip(box, cells.size, strict=True)))
        for box in (cells.box(*cell) for cell in np.ndindex(*cells.cells))
    ])  # fmt: skip
    for start, stop, part in found.distances:
        here = (start <= distance) & (distance < stop)
        assert part == Compared.of(shared[here], crops[here])
    assert [start for start, _, _ in found.distances] == [0, 1, 2, 4, 8]


def test_peaks_and_close_decisions_are_among_them() -> None:
    image = noisy()
    shared, crops = both(image)
    found = audit_of(image, 40)
    assert found.drawn.windows == 20
    close = np.argsort(np.abs(shared[:, 0] - shared[:, 1]))[:10]
    assert found.edge == Compared.of(shared[close], crops[close])
    scan = fcconv.scan(small_network(pad=1), image, **SHARED)
    peaks = scan.peaks(scan.labels, -math.inf, most=10)
    places = [np.ravel_multi_index(peak.cell, scan.cells) for peak in peaks]
    assert found.peaks == Compared.of(shared[places], crops[places])


def test_windows_drawn_are_any() -> None:
    """Of 143 windows 35 are at the border; of 30 drawn, 7.3 on average, give or take 2.1."""
    found = audit_of(noisy(), 60)
    (start, stop, border), *_ = found.distances
    assert (start, stop, found.drawn.windows) == (0, 1, 30)
    assert dict(found.lines())["at the border"] == border.told()
    assert abs(border.windows - 7.3) < 3 * 2.1


def test_exact_passes_differ_in_nothing() -> None:
    found = audit_of(picture(), ALL, windows="exact")
    assert found.drawn.largest == 0
    assert found.changed is not None
    assert found.changed[0] == 0 < found.changed[1] < 0.03


def test_one_class_has_no_winner() -> None:
    found = audit_of(picture(), 40, single())
    assert (found.edge, found.changed, found.drawn.changed) == (None, None, None)
    assert found.drawn.largest > 0
    assert not any("class" in text for line in found.lines() for text in line)


def test_windows_without_a_score_are_left_out() -> None:
    image = noisy()
    image[:, 9:12] = np.nan
    image[0, 0, 20] = np.nan
    found = fcconv.scan(small_network(pad=1), image, audit=ALL, **SHARED)
    assert found.audit is not None
    assert found.audit.drawn.windows == math.prod(found.cells) - found.unscored > 0
    assert math.isfinite(found.audit.drawn.largest)
    image[:] = np.nan
    assert fcconv.scan(small_network(pad=1), image, audit=ALL, **SHARED).audit is None


def test_images_of_a_batch_are_one_lot() -> None:
    images = np.stack([noisy(), noisy(1)])
    found = audit_of(images, ALL)
    pairs = [both(image) for image in images]
    shared, crops = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    assert found.drawn == Compared.of(shared, crops)


def test_scores_in_a_file_and_gaps_between_windows(tmp_path: Path) -> None:
    for stride in (2, 16):
        kept = audit_of(noisy(), 30, stride=stride)
        out = tmp_path / f"{stride}.zarr"
        assert audit_of(noisy(), 30, stride=stride, out=out) == kept
        again = fcconv.scan(
            small_network(pad=1), noisy(), stride=stride, out=out, existing="resume", audit=30,
            windows="shared",
        )  # fmt: skip
        assert (again.audit, again.computed) == (kept, 0)
        exact = audit_of(noisy(), 30, stride=stride, windows="exact")
        assert exact.drawn.largest < kept.drawn.largest / 1e4


@pytest.mark.parametrize(("audit", "windows"), [(0, "shared"), (True, "shared"), (9, "crops")])
def test_what_can_not_be_audited(audit: int, windows: str) -> None:
    with pytest.raises(ArgumentError, match="audit"):
        audit_of(picture(), audit, windows=windows)


@pytest.mark.parametrize(("count", "total"), [(0, 1), (0, 500), (3, 40), (40, 40), (17, 1000)])
def test_bounds_are_those_of_clopper_and_pearson(count: int, total: int) -> None:
    """By its definition, in rational numbers: a tail of 2.5 % beyond each end."""
    low, high = clopper_pearson(count, total)

    def tail(p: float, counts: range) -> float:
        q = Fraction(p)
        return float(sum(math.comb(total, k) * q**k * (1 - q) ** (total - k) for k in counts))

    assert low == 0 if count == 0 else tail(low, range(count, total + 1)) == pytest.approx(0.025)
    assert high == 1 if count == total else tail(high, range(count + 1)) == pytest.approx(0.025)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(small_network(pad=1), tmp_path / "model.onnx")
    np.save(tmp_path / "image.npy", np.abs(picture()))
    words = ["scan", str(tmp_path / "model.onnx"), str(tmp_path / "image.npy")]
    words += ["--engine", "numpy", "--windows", "shared", "--report", str(tmp_path / "page.html")]
    assert app.run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scans"][0]["audit"] is None
    page = " ".join((tmp_path / "page.html").read_text().split())
    for said in ("fully convolutional convention", "not measured (--audit 1000)"):
        assert said in page
    words += ["--audit", "40"]
    assert app.run([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["scans"][0]["audit"]
    expected = audit_of(np.abs(picture()), 40)
    assert facts["drawn"]["windows"] == 20
    assert facts["changed"] == list(expected.changed or ())
    assert len(facts["distances"]) == len(expected.distances)
    assert app.run(words) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", "").split())
    page = " ".join((tmp_path / "page.html").read_text().split())
    assert "not measured" not in page
    for name, value in expected.lines():
        assert value in page
        assert f"against crops, {name}" in printed or len(name) > 20
    assert app.run([*words, "--windows", "crops"]) == 2
    assert "audit" in capsys.readouterr().err
