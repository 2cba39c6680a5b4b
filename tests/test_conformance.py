"""The executor against ONNX's own cases: of every node that it knows, in the types it claims."""

from __future__ import annotations

import warnings
from collections import Counter
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any, TypeAlias

import jax
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, numpy_helper

import fcconv
from claimed import CLAIMED, EXCEPTIONS, OTHER_TYPES, WITHOUT_CASE
from comparing import to_numpy
from fcconv.backend import ArrayBackend, library
from fcconv.errors import DtypeError, UnsupportedError
from fcconv.graph.files.load import load
from fcconv.graph.operators import OPERATORS
from fcconv.graph.running.run import Program, program_of

Case: TypeAlias = Any
"""A case of ONNX: a model, inputs and outputs; by its types these might be missing."""


def test_every_claim_is_written_down() -> None:
    of_other_types = {name for name, case in _known().items() if not _holds_numbers(case)}
    assert of_other_types == OTHER_TYPES.keys()
    assert Counter(map(_operator, _claimed())) == CLAIMED
    of_onnx = {name for name in OPERATORS if "." not in name}  # others are equations of JAX
    assert of_onnx - CLAIMED.keys() == WITHOUT_CASE.keys()


@pytest.mark.parametrize("operator", CLAIMED)
def test_gives_the_numbers_of_onnx(xp: ArrayBackend[Any], operator: str) -> None:
    named = [case for name, case in _claimed().items() if _operator(name) == operator]
    cases = [case for case in named if not _misses(xp, case)]
    networks, inputs = zip(*(_network(xp, case) for case in cases), strict=True)

    def compute(inputs: Any) -> list[Any]:
        pairs = zip(networks, inputs, strict=True)
        return [network.apply(network.params, *arrays) for network, arrays in pairs]

    # JAX compiles all cases at once: one by one they take twice as long
    run = jax.jit(compute) if xp.namespace is jax.numpy else compute
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
        results = run(inputs)
    for case, result in zip(cases, results, strict=True):
        made = result if isinstance(result, tuple) else (result,)
        for found, expected in zip(made, _arrays(case, 1), strict=True):
            rtol, atol = (0, 0) if expected.dtype.kind in "iub" else (case.rtol, case.atol)
            np.testing.assert_allclose(
                to_numpy(found), expected, rtol, atol, err_msg=case.name, strict=True
            )


def test_refuses_dtypes_that_a_library_has_not(xp: ArrayBackend[Any]) -> None:
    for case in filter(partial(_misses, xp), _claimed().values()):
        with pytest.raises(DtypeError, match=r"input .* needs dtype .*, for which .* arrays"):
            _compute(xp, case)


@pytest.mark.parametrize("pattern", EXCEPTIONS)
def test_refuses_what_it_does_not_claim(xp: ArrayBackend[Any], pattern: str) -> None:
    cases = [case for name, case in _known().items() if fnmatchcase(name, pattern)]
    assert cases
    for case in cases:
        refusals = (DtypeError, UnsupportedError) if _misses(xp, case) else UnsupportedError
        with pytest.raises(refusals):
            _compute(xp, case)


def _misses(xp: ArrayBackend[Any], case: Case) -> bool:
    """Say whether a backend has no arrays of the dtype of an input."""
    return any(xp.missing_dtype(array.dtype) for array in _arrays(case, 0))


def _compute(xp: ArrayBackend[Any], case: Case) -> Any:
    network, inputs = _network(xp, case)
    return network(*inputs)


def _network(xp: ArrayBackend[Any], case: Case) -> tuple[fcconv.Compiled, list[Any]]:
    """Compile the network of a case; inputs that shape the result are constants of it."""
    names = [value.name for value in case.model.graph.input]
    given = dict(zip(names, _arrays(case, 0), strict=True))
    structure = _structure(program_of(load(case.model)))
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.graph.initializer.extend(
        numpy_helper.from_array(given.pop(name), name) for name in structure
    )
    name = library(xp.asarray([0.0]))
    return fcconv.compile(model, str(name)), list(given.values())


def _structure(program: Program) -> list[str]:
    """Name the inputs that an operator reads as structure, or that such a one is made of."""
    wanted: set[ir.Value | None] = set()
    for step in reversed(program.steps):
        leads_there = not step.operator.static and wanted.intersection(step.node.ir.outputs)
        for position, value in enumerate(step.node.ir.inputs):
            if leads_there or position in step.operator.structural:
                wanted.add(value)
    return [str(value.name) for value in program.inputs if value in wanted]


def _arrays(case: Case, side: int) -> list[np.ndarray[Any, Any]]:
    """Return the inputs (0) or the outputs (1) of a case."""
    (data,) = case.data_sets
    return [
        numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
        for value in data[side]
    ]


@cache
def _every() -> dict[str, Case]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the cases divides by zero, say
        return {case.name: case for case in collect_testcases(None)}


@cache
def _known() -> dict[str, Case]:
    """Return the cases whose nodes are all known, by name."""
    return {
        name: case
        for name, case in _every().items()
        if all(_type(node) in OPERATORS for node in case.model.graph.node)
    }


@cache
def _claimed() -> dict[str, Case]:
    return {
        name: case
        for name, case in _known().items()
        if _holds_numbers(case) and not any(fnmatchcase(name, pattern) for pattern in EXCEPTIONS)
    }


def _operator(name: str) -> str:
    """Name the operator that a case is for, which may be written out in others."""
    (node,) = _every()[name.partition("_expanded")[0]].model.graph.node
    return _type(node)


def _type(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _holds_numbers(case: Case) -> bool:
    """Say whether all inputs and outputs are tensors of numbers or booleans."""
    types = [value.type for value in (*case.model.graph.input, *case.model.graph.output)]
    return all(
        kind.HasField("tensor_type") and kind.tensor_type.elem_type != TensorProto.STRING
        for kind in types
    )
