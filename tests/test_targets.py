"""What rules write to: the target that computes gives what the written network gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fcconv_numpy
from fcconv.graph.files.load import load
from fcconv.graph.rewriting.shared import input_shape
from fcconv.graph.rewriting.walk import Patch, walk
from fcconv.graph.running.computing import Computing, Tensor
from fcconv.graph.running.run import program_of
from fcconv_modular import field_of
from random_graphs import Case, cases
from sliding_windows import larger, slid
from strategies import seeds

extras = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=3, max_size=3)


def computed(case: Case, stride: tuple[int, ...], backend: Any, image: Any) -> list[Any]:
    """Slide a network into the target that computes."""
    model = load(case.model)
    target = Computing(backend, model.graph.opset_imports[""])
    pixels = Tensor(np.dtype(case.dtype))
    walked = walk(Patch(model, input_shape(model), case.axes), stride, target, pixels)
    return target.computed([x.tensor for x in walked.outputs], {pixels: image})


@given(case=cases(), seed=seeds, more=extras)
def test_both_targets_are_the_same_expression(case: Case, seed: int, more: Any) -> None:
    sliding, field = slid(case), field_of(seed)
    image = field.asarray(larger(case, sliding, seed, more)[0])
    program = program_of(sliding.model)
    written = program.run(field, program.parameters(field), [image])
    found = computed(case, sliding.stride, field, image)
    for one, other in zip(found, written, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one.numbers, other.numbers)


@given(case=cases(whole=True), seed=seeds, more=extras)
def test_both_targets_are_the_same_numbers(case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    image = larger(case, sliding, seed, more)[0]
    program = program_of(sliding.model)
    written = program.run(fcconv_numpy, program.parameters(fcconv_numpy), [image])
    for one, other in zip(
        computed(case, sliding.stride, fcconv_numpy, image), written, strict=True
    ):
        assert np.array_equal(one, other)
