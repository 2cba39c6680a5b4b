"""The demo on the real photo, and the parts of its proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import pytest
import skimage as ski
from click.testing import CliRunner
from PIL import Image as Picture

import fcconv
from fcconv.demo import demo, network, peaks, proof, train
from fcconv.demo.photos import Image, grey, pyramid
from fcconv.graph.call import Call
from fcconv.graph.operators import linear
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.values import SlidingValue


def silently(items: Sequence[Any], _heading: str) -> Sequence[Any]:
    return items


@pytest.fixture(scope="module")
def photo() -> list[Image]:
    """The smaller scales of the astronaut: some thousand windows."""
    astronaut = grey(ski.data.astronaut())
    return [image for scale, image in pyramid(astronaut, network.WINDOW) if scale < 0.4]


def prove(backend: str, photo: list[Image]) -> proof.Proof:
    faces = network.load_faces()
    sliding = fcconv.convolutionize(faces)
    one, many = (fcconv.compile(model, backend) for model in (sliding.model, faces))
    one_pass = proof.one_pass_scores(one, photo, silently)
    by_crop = proof.crop_scores(many, photo, 3, silently)
    return proof.prove(faces, photo, backend, one_pass, by_crop, track=silently)


@pytest.mark.slow
def test_demo_finds_the_face_and_writes_the_picture(tmp_path: Path) -> None:
    tracked: dict[str, int] = {}

    def track(items: Sequence[Any], heading: str) -> Sequence[Any]:
        tracked[heading] = len(items)
        return items

    found = demo.run_demo("numpy", tmp_path / "face.png", track, 4711)
    assert found.proof.holds
    assert found.proof.certificate.seed == 4711
    assert found.proof.windows > 60_000
    assert tracked["floats: one pass a scale"] == found.scales
    assert tracked["floats: window by window"] > 60
    # the astronaut's eyes, nose and mouth lie inside, by eye
    best = found.peaks[0]
    assert best.top < 105 < 150 < best.top + best.side
    assert best.left < 195 < 250 < best.left + best.side
    with Picture.open(tmp_path / "face.png") as picture:
        assert picture.format == "PNG"
        colours = picture.convert("RGB").getcolors(maxcolors=10_000_000)
    assert colours
    assert len(colours) > 10_000


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_one_pass_scores_what_crops_score(backend: str, photo: list[Image]) -> None:
    with jax.enable_x64(False):  # as a user's JAX is
        found = prove(backend, photo)
    assert found.holds
    assert found.windows > 2000
    assert found.certificate.exact


def test_the_proof_notices_a_wrong_rewriting(
    monkeypatch: pytest.MonkeyPatch, photo: list[Image]
) -> None:
    right = linear.write_dense

    def transposed(
        context: Context[Any], node: Call, x: SlidingValue[Any], *arguments: Any
    ) -> SlidingValue[Any]:
        if x.entries > 64:  # features from C-W-H instead of C-H-W
            x = replace(x, where=(*x.where[:2], *x.places[::-1]))
        return right(context, node, x, *arguments)

    monkeypatch.setattr(linear, "write_dense", transposed)
    found = prove("numpy", photo)
    assert not found.holds
    assert not found.certificate.holds
    assert found.equal_on_integers < found.windows / 10


def test_layers_are_described_before_and_after() -> None:
    faces = network.load_faces()
    rows = {row.name: row for row in demo.layer_rows(faces, fcconv.convolutionize(faces))}
    assert rows["dense1"].before == "dense 64x800"
    assert rows["dense1"].after == "convolution 64x32x5x5"
    assert rows["score"].after == "convolution 1x64x1x1"


def test_integers_that_could_overflow_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "LARGEST_WEIGHT", 2**20)
    with pytest.raises(OverflowError, match=r"the sums of \w+ \(\w+\) could reach 2\*\*53"):
        proof.integer_network(network.load_faces())


def test_shipped_classifier_is_small() -> None:
    assert (Path(network.__file__).parent / "faces.onnx").stat().st_size <= 1_000_000


def test_peaks_do_not_overlap() -> None:
    scores = np.zeros((20, 20), np.float32)
    scores[2, 2], scores[2, 3], scores[15, 15] = 2, 3, 4
    level = peaks.Level(0.5, scores, stride=3)
    first, second = peaks.strongest_peaks([level], 2)
    assert first == peaks.FoundFace(5, 2, top=12, left=12, side=50)  # the two support each other
    assert second == peaks.FoundFace(4, 4, top=90, left=90, side=50)


@pytest.mark.slow
def test_training_in_small_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "PHOTOS", ("brick", "coffee"))
    monkeypatch.setattr(train, "ROUNDS", 2)
    out = tmp_path / "faces.onnx"
    with jax.numpy_dtype_promotion("standard"):  # optax counts on it
        result = CliRunner().invoke(train.main, ["--out", str(out), "--steps", "20"])
    assert result.exit_code == 0, result.output
    arrays = network.arrays_of(onnx.load(out))
    trained = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
    before = sum(train.held_out_accuracy(train.initial_parameters(seed=0)))
    assert sum(train.held_out_accuracy(trained)) > before
