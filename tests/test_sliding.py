"""One pass of a sliding network gives every window the scores of its crop; the proof agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from random_graphs import Case, cases
from sliding_windows import crops, is_exact, larger, listed, quiet, slid, valid
from strategies import seeds

ONNXRUNTIME = ("float32",)
"""What it convolves; a certificate measures its rounding errors."""

extras = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=3, max_size=3)
"""For each axis the windows after the first one, and pixels that no further window fits into."""


@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops(case: Case, seed: int, more: Any) -> None:
    check_crops("numpy", case, seed, more)


@settings(max_examples=settings().max_examples // 8)  # each is compiled
@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops_on_jax(case: Case, seed: int, more: Any) -> None:
    check_crops("jax", case, seed, more)


@given(case=cases(dtypes=ONNXRUNTIME), seed=seeds)
def test_verdict_and_proof_agree(case: Case, seed: int) -> None:
    sliding = slid(case)
    assert sliding.exact == is_exact(case, sliding, seed), case
    certificate = fcconv.certify(case.model, sliding)
    assert certificate.holds, (certificate, case)
    assert certificate.native_exact, (certificate, case)
    assert all(certificate.weights.values()), (certificate, case)
    assert certificate.exact == sliding.exact, (certificate, case)


@given(case=cases(whole=True, dtypes=ONNXRUNTIME), seed=seeds, more=extras)
def test_the_written_network_is_onnx(case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    model = valid(sliding)
    image, cells = larger(case, sliding, seed, more)
    patch = next(crops(case, sliding, image, cells))
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
    for pixels in (patch, image, np.concatenate([patch, patch])):
        expected = sliding(pixels)
        for found, scores in zip(
            session.run(None, {"image": pixels}), listed(expected), strict=True
        ):
            assert_identical(found, scores, case)
    for found, scores in zip(
        listed(sliding(patch)), listed(fcconv.compile(case.model)(patch)), strict=True
    ):
        assert_identical(found.reshape(scores.shape), scores, case)


def check_crops(backend: str, case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    assert sliding.exact, case
    image, cells = larger(case, sliding, seed, more)
    windows = np.concatenate([*crops(case, sliding, image, cells)])
    one_by_one = listed(fcconv.compile(case.model)(windows))
    maps = listed(fcconv.compile(sliding.model, backend)(image))
    for scores, expected in zip(maps, one_by_one, strict=True):
        channels = expected.reshape(len(expected), -1).T
        assert_identical(scores, channels.reshape(1, len(channels), *cells), case)
