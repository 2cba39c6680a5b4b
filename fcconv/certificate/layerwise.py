"""The certificate of the pointwise form: layer by layer, so that other operators need not be known.

A node that both networks have in common, with the same inputs, needs no proof. For every other
node of the original, the part of the rewritten network between values of the same names is cut out,
and both are compared on random input. Along axes of free length nothing
may see beyond its own place there, so that one length tells about all; or else both are the same
expression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from fcconv.certificate.expression import same_expression
from fcconv.certificate.keys import Keys
from fcconv.certificate.layers import changed_layers, cut_out, dtype_of, ends, shape_of, small_shape
from fcconv.certificate.measure import Pair, as_they_are, rounding_errors
from fcconv.certificate.names import name_alike
from fcconv.certificate.report import Certificate, Rounding
from fcconv.certificate.weights import moved_weights
from fcconv.errors import FcconvError, UnsupportedError
from fcconv.graph.files.shapes import LARGEST_INPUT, infer_shapes
from fcconv.graph.node import label
from fcconv.graph.rewriting.locality import keep_places
from fcconv.graph.running.run import data_inputs, program_of
from fcconv_modular import Field, field_of
from fcconv_modular.residues import Residues


def certify_layers(
    original: ir.Model, rewritten: ir.Model, rng: np.random.Generator
) -> Certificate:
    """Prove a network equal to one of the same inputs and outputs, layer by layer."""
    for model in (original, rewritten):  # so that one does not tell less than the other
        infer_shapes(model)
    changed = changed_layers(original, rewritten)
    difference, keys = _interface(original, rewritten), Keys(rng)
    errors: dict[str, Rounding] = {}
    if difference is None:
        difference = _by_layers(original, rewritten, changed, rng, keys)
        inputs = _random_inputs(original, rng) if difference is not None else None
        if inputs is not None and name_alike(original, rewritten, *inputs):
            changed, keys = changed_layers(original, rewritten), Keys(rng)
            with suppress(FcconvError):  # a layer that can't be compared proves nothing
                if _by_layers(original, rewritten, changed, rng, keys) is None:
                    difference = None
        parts = [_part(original, rewritten, node) for node in changed] if not difference else []
        whole = Keys(rng)
        if difference is not None and _as_a_whole(original, rewritten, rng, whole):
            difference, keys = None, whole
            shapes = _whole_shapes(original) or []
            dtypes = [dtype_of(value) for value in data_inputs(original.graph)]
            parts = [("the outputs", as_they_are(original, rewritten), shapes, dtypes)]
        if difference is None:
            difference = _measure(parts, rng, errors)
    holds = difference is None
    return Certificate(
        form="pointwise",
        window=(),
        stride=(),
        exact=holds,
        native_exact=holds,
        holds=holds,
        windows=len(changed),
        equal=len(changed) if holds else 0,
        false_pass_probability=keys.false_pass,
        difference=difference,
        unproved=None,
        reasons=(),
        weights=moved_weights(original, rewritten),
        errors=tuple(errors.values()),
    )


def _random_inputs(
    model: ir.Model, rng: np.random.Generator
) -> tuple[Field, list[Residues]] | None:
    """Draw a key, and inputs for a batch of two; None if other sizes are free."""
    shapes = _whole_shapes(model)
    if shapes is None:
        return None
    field = field_of(int(rng.integers(2**63)))
    pairs = zip(data_inputs(model.graph), shapes, strict=True)
    return field, [Residues(rng.integers(0, field.prime, n), dtype_of(v)) for v, n in pairs]


Part: TypeAlias = "tuple[str, Pair, list[tuple[int, ...]], list[np.dtype[Any]]]"
"""What is measured: its name, both networks, and the shapes and types of what they read."""


def _part(original: ir.Model, rewritten: ir.Model, ir_node: ir.Node) -> Part:
    """Cut out a layer, and what stands for it."""
    data, outputs = ends(ir_node)
    names, dtypes = [str(value.name) for value in data], [dtype_of(value) for value in data]
    shapes = [small_shape(value, ir_node) for value in data]
    models = [cut_out(model, names, outputs) for model in (original, rewritten)]
    return label(ir_node), as_they_are(*models), shapes, dtypes


def _measure(
    parts: Sequence[Part], rng: np.random.Generator, errors: dict[str, Rounding]
) -> str | None:
    """Measure what rounding adds in each part; name one that it is too much in."""
    for name, pair, shapes, dtypes in parts:
        try:
            rows = rounding_errors(pair, shapes, dtypes, rng)
        except UnsupportedError as error:
            return f"{name}: {error}"
        for row in rows:
            before = errors.get(row.engine)
            errors[row.engine] = row if before is None else before.joined(row)
            if row.beyond is not None:
                return f"{name}, in {row.engine}: {row.beyond}"
    return None


def _by_layers(
    original: ir.Model,
    rewritten: ir.Model,
    changed: list[ir.Node],
    rng: np.random.Generator,
    keys: Keys,
) -> str | None:
    """Compare what stands for each layer that is not left as it is; name one that differs."""
    for key in keys:
        field = field_of(key)
        for ir_node in changed:
            if not _same(original, rewritten, ir_node, rng, field):
                return label(ir_node)
        keys.agreed(field.false_agreement())
    return None


def _as_a_whole(
    original: ir.Model, rewritten: ir.Model, rng: np.random.Generator, keys: Keys
) -> bool:
    """Compare networks whose layers don't meet at values of the same names, if all sizes are known.

    The batch is free, so that no operator may mix images, or know how many there are.
    """
    models, shapes = (original, rewritten), _whole_shapes(original)
    if shapes is None:
        return False
    declared = [[None, *shape[1:]] for shape in shapes]
    if not all(keep_places(model.graph, declared) for model in models):
        return False
    try:
        programs = [program_of(model) for model in models]
        for key in keys:
            field = field_of(key)
            inputs = [
                Residues(rng.integers(0, field.prime, shape), dtype_of(value))
                for value, shape in zip(programs[0].inputs, shapes, strict=True)
            ]
            first, second = (
                program.run_batches(field, program.parameters(field), inputs)
                for program in programs
            )
            if not all(a.equals(b) for a, b in zip(first, second, strict=True)):
                return False
            keys.agreed(field.false_agreement())
    except FcconvError:
        return False
    return True


def _whole_shapes(model: ir.Model) -> list[tuple[int, ...]] | None:
    """Return the shapes of the inputs for a batch of two; None if one of other sizes is free."""
    shapes = []
    for value in data_inputs(model.graph):
        batch, *sizes = value.shape.dims if value.shape is not None and value.shape.dims else [0]
        if batch == 0 or not all(isinstance(n, int) for n in sizes):
            return None
        rows = batch if isinstance(batch, int) else 2
        shapes.append((rows, *(n for n in sizes if isinstance(n, int))))
    is_small = all(math.prod(shape) <= LARGEST_INPUT for shape in shapes)
    return shapes if len(shapes) == 1 and is_small else None


def _interface(original: ir.Model, rewritten: ir.Model) -> str | None:
    """Compare the names and types of inputs and outputs."""
    for part, described in (("inputs", _in_full), ("outputs", _by_type)):
        first, second = (
            [described(value) for value in getattr(model.graph, part) if value.const_value is None]
            for model in (original, rewritten)
        )
        if first != second:
            return f"the {part}: {', '.join(first)} became {', '.join(second)}"
    return None


def _in_full(value: ir.Value) -> str:
    """Describe an input; free sizes may have any name."""
    dims = () if value.shape is None else value.shape.dims
    return f"{_by_type(value)} {[n if isinstance(n, int) else None for n in dims]}"


def _by_type(value: ir.Value) -> str:
    """Describe an output but for its sizes: numbers are proved, and so how many there are."""
    return f"{value.name} {value.dtype}"


def _same(
    original: ir.Model,
    rewritten: ir.Model,
    ir_node: ir.Node,
    rng: np.random.Generator,
    field: Field,
) -> bool:
    """Compare a node with what stands for it, on random input."""
    data, outputs = ends(ir_node)
    names, shapes = [str(value.name) for value in data], [small_shape(v, ir_node) for v in data]
    declared = [shape_of(value, ir_node) for value in data]
    if any(math.prod(shape) > LARGEST_INPUT for shape in shapes):
        raise UnsupportedError(f"{label(ir_node)} can't be compared: its input is too large")
    try:
        models = [cut_out(model, names, outputs) for model in (original, rewritten)]
        programs = [program_of(model) for model in models]
    except (ValueError, UnsupportedError):  # no such values in the rewritten network, or no rule
        return False
    inputs = [
        Residues(rng.integers(0, field.prime, shape), dtype_of(value))
        for value, shape in zip(data, shapes, strict=True)
    ]
    try:
        expected = programs[0].run(field, programs[0].parameters(field), inputs)
    except FcconvError as error:
        told = ", ".join(map(str, shapes))
        raise UnsupportedError(
            f"{label(ir_node)} can't be compared, for the sizes of its input are not known, "
            f"and {told} do not suit it ({error}): fix the sizes of the input in both networks"
        ) from error
    try:
        found = programs[1].run(field, programs[1].parameters(field), inputs)
    except FcconvError:
        return False
    if not all(a.equals(b) for a, b in zip(expected, found, strict=True)):
        return False
    return (
        not any(None in shape for shape in declared)
        or all(keep_places(model.graph, declared) for model in models)
        or same_expression(*models)
    )
