"""The third statement of a certificate: what floats add, measured, and held against a bound."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import ONNXRUNTIME
from fcconv.certificate.bounded import Bounded
from fcconv.certificate.bounds import Bounds
from fcconv.certificate.report import Rounding
from fcconv.certificate.runner import Array, Grid, Ints, flatten_outputs, pad_batch
from fcconv.errors import UnsupportedError
from fcconv.graph.engines import compiling
from fcconv.graph.engines.session import open_session
from fcconv.graph.running.run import Program, by_image, fixed_batch, program_of
from fcconv.rounding import unit_and_range
from fcconv_modular.moves import is_float

ENGINES = ("numpy", ONNXRUNTIME)

ORDINARY = "ordinary"
"""The numbers whose errors a certificate shows."""

ROUNDING_SHARE = 0.5
"""The part of each rounding of a rewritten network that has to fit into the original's bound.

A right rewriting makes the same products and sums, of the same numbers. What it may do otherwise is
to end one with another rounding, as a bias does that is added by itself. So where the original
rounds n times, it rounds n + 1 times, at most twice as often.
"""

LARGE_PIXEL = 2.0**13
"""Beyond what pixels usually are, and within float16."""

PIXEL_RADII = (LARGE_PIXEL, 1.0)
"""Sizes of pixels that are bounded all at once: the smaller where the larger has no bound."""


@dataclass(frozen=True)
class Pair:
    """Two networks of the same inputs, of which the second is to compute what the first does.

    Attributes
    ----------
    original : onnx_ir.Model
        The first network.
    rewritten : onnx_ir.Model
        The second one.
    cut : callable
        Cuts the windows to compare out of images, for the first network.
    by_window : callable
        Brings the results of the second network to the shapes of the first one's.
    place : callable
        Names the window that a row of the results is of.
    """

    original: ir.Model
    rewritten: ir.Model
    cut: Callable[[Array], Array]
    by_window: Callable[[list[Array]], list[Array]]
    place: Callable[[int], str]


def by_windows(original: ir.Model, rewritten: ir.Model, grid: Grid, images: int) -> Pair:
    """Compare the cells of one pass with crops of so many images."""
    return Pair(
        original,
        rewritten,
        grid.crops,
        lambda maps: grid.by_window(maps) or flatten_outputs(maps),
        lambda row: f"window {grid.compared[row // images]}",
    )


def as_they_are(original: ir.Model, rewritten: ir.Model) -> Pair:
    """Compare networks that take and return the same."""
    return Pair(original, rewritten, np.asarray, flatten_outputs, lambda row: f"row {row}")


def rounding_errors(
    pair: Pair, shapes: Sequence[Ints], dtypes: Sequence[np.dtype[Any]], rng: np.random.Generator
) -> list[Rounding]:
    """Measure each engine on both networks, on numbers of several sizes.

    Parameters
    ----------
    pair : Pair
        The two networks.
    shapes : sequence of tuple of int
        Those of the inputs, the batch included.
    dtypes : sequence of data type
        Those of the inputs.
    rng : numpy.random.Generator
        Draws the numbers.

    Returns
    -------
    list of Rounding
        A row for each engine that can run the original; none if an input's type has no numbers
        that are computed with here.

    Raises
    ------
    UnsupportedError
        If an engine runs the original, but not the rewritten network.
    """
    if not all(is_float(dtype) or dtype.kind in "iub" for dtype in dtypes):
        return []
    kinds = [numbers(dtype, shape, rng) for shape, dtype in zip(shapes, dtypes, strict=True)]
    drawn = [list(zip(*each, strict=True)) for each in zip(*kinds, strict=True)]
    names, images = [each[0][0] for each in drawn], [each[1] for each in drawn]
    crops = [[pair.cut(array) for array in arrays] for arrays in images]
    program = program_of(pair.original)
    bounded = [list(map(_flat, _bounded(program, arrays, Bounds()))) for arrays in crops]
    looser = _looser(pair, names, bounded, images) or _wider(pair, shapes, dtypes)
    rows = []
    for engine in filter(importlib.util.find_spec, ENGINES):
        try:
            expected = list(map(flatten_outputs, _results(pair.original, engine, crops)))
        except UnsupportedError:  # onnxruntime has no float64 convolution, for one
            continue
        found = list(map(pair.by_window, _results(pair.rewritten, engine, images)))
        row = _errors(engine, bounded[0], expected[0], found[0])
        for name, bound, before, after in zip(names, bounded, expected, found, strict=True):
            beyond = _beyond(pair, bound, before, after, keeps_nan=engine == "numpy")
            if beyond is not None and row.beyond is None:
                row = replace(row, beyond=f"{name} pixels, {beyond}")
        rows.append(row if row.beyond is not None else replace(row, beyond=looser))
    return rows


def numbers(
    dtype: np.dtype[Any], shape: Ints, rng: np.random.Generator
) -> Iterator[tuple[str, Array]]:
    """Yield arrays of numbers of several sizes, each with its name.

    The largest floats are those whose squares overflow, the tiny ones those whose squares are 0.
    No two have the same size: such may cancel, but for a rest that depends on the order of sums.
    """
    spot = np.zeros(shape)
    if spot.size:
        spot.flat[rng.integers(spot.size)] = 1
    if is_float(dtype):
        limits, normal = unit_and_range(dtype), rng.standard_normal(shape)
        yield ORDINARY, normal.astype(dtype)
        yield "zeros", np.zeros(shape, dtype)
        yield "minus zeros", np.full(shape, -0.0).astype(dtype)
        yield "large", (LARGE_PIXEL * rng.uniform(-1, 1, shape)).astype(dtype)
        yield "huge", (2 * np.sqrt(limits.largest) * (normal + np.sign(normal))).astype(dtype)
        yield "tiny", (np.sqrt(limits.smallest) / 2**12 * normal).astype(dtype)
    else:
        low, high = (0, 1) if dtype.kind == "b" else _ends(dtype)
        yield ORDINARY, rng.integers(low, high, shape, np.int64, endpoint=True).astype(dtype)
        for name, number in (("zeros", 0), ("lowest", low), ("highest", high), ("ones", 1)):
            yield name, np.full(shape, number).astype(dtype)
        yield "small", rng.integers(0, 2, shape).astype(dtype)
    yield "one pixel", spot.astype(dtype)


def _ends(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return max(limits.min, -(2**31)), min(limits.max, 2**31)


def _results(model: ir.Model, engine: str, inputs: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Run a network on several inputs, of any batch each."""
    is_session = engine == ONNXRUNTIME  # of which a large network's weights are not copied
    network = open_session(model, layouts=False) if is_session else compiling.compile(model, engine)
    size = fixed_batch(program_of(model).inputs)

    def call(arrays: Sequence[Array]) -> list[Array]:
        if len(arrays) != 1:
            return _listed(network(*arrays))
        return pad_batch(lambda x: _listed(network(x)), arrays[0], size)

    return list(map(call, inputs))


def _listed(results: Any) -> list[Array]:
    return list(results) if isinstance(results, tuple) else [results]


def _looser(
    pair: Pair,
    names: Sequence[str],
    bounded: Sequence[Sequence[Bounded]],
    images: Sequence[Sequence[Array]],
) -> str | None:
    """Say where the rewritten network may round worse than the original, if anywhere.

    This finds what the drawn pixels hide, such as a sum with a large number before a Clip. Bounds
    beyond the scores themselves, as deep networks have, tell nothing.
    """
    program = program_of(pair.rewritten)
    for name, bounds, arrays in zip(names, bounded, images, strict=True):
        if not any((bound.error <= np.abs(bound.value).max(initial=0)).any() for bound in bounds):
            continue
        made = _bounded(program, arrays, Bounds(ROUNDING_SHARE))
        worse = _worse(pair, bounds, made)
        if worse is not None:
            where, may_add, allowed = worse
            return (
                f"{name} pixels, {where}: rounding may add {may_add / ROUNDING_SHARE:.1e}, in the "
                f"original {allowed:.1e}"
            )
    return None


def _wider(pair: Pair, shapes: Sequence[Ints], dtypes: Sequence[np.dtype[Any]]) -> str | None:
    """Say where the rewritten network may leave the range of the original's scores, if anywhere.

    Pixels are taken for whatever lies within a radius around 0. This finds what only a few images
    show, none of which is drawn: a zero times the reciprocal of a score less some number, say.
    Right ones have the same range, as they are made of the same products and sums.
    """
    if not all(map(is_float, dtypes)):
        return None
    zeros = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    crops = [pair.cut(x) for x in zeros]
    for radius in PIXEL_RADII:
        bounds = list(map(_flat, _bounded(program_of(pair.original), crops, Bounds(), radius)))
        if not any(np.isfinite(bound.error).any() for bound in bounds):
            continue
        made = _bounded(program_of(pair.rewritten), zeros, Bounds(ROUNDING_SHARE), radius)
        worse = _worse(pair, [y.of(y.value, y.error / ROUNDING_SHARE) for y in bounds], made)
        if worse is not None:
            where, may_add, allowed = worse
            return (
                f"pixels up to {radius:g}, {where}: scores may be off by {may_add:.1e}, in the "
                f"original by {allowed * ROUNDING_SHARE:.1e}"
            )
        if all(np.isfinite(bound.error).all() for bound in bounds):
            break
    return None


def _worse(
    pair: Pair, bounds: Sequence[Bounded], made: Sequence[Bounded]
) -> tuple[str, float, float] | None:
    """Find an error that is larger than its bound: where, how large, and the bound."""
    errors = pair.by_window([np.asarray(y.error) for y in made])
    for output, (bound, error) in enumerate(zip(bounds, errors, strict=True)):
        if bound.shape != error.shape:
            return None  # the engines tell
        wrong = np.isfinite(bound.error) & ~(error <= bound.error)
        if wrong.any():
            row, entry = (int(n) for n in np.argwhere(wrong)[0])
            where = f"{pair.place(row)}, output {output}, entry {entry}"
            return where, float(error[row, entry]), float(bound.error[row, entry])
    return None


def _bounded(
    program: Program, arrays: Sequence[Array], bounds: Bounds, radius: float = 0.0
) -> list[Bounded]:
    """Run a network with bounds on the errors of what it computes, for numbers within a radius."""
    size = fixed_batch(program.inputs)
    count = len(arrays[0]) if arrays else 0
    missing = -count % (size or 1) if len(arrays) == 1 else 0
    filled = arrays
    if missing:
        filled = [np.concatenate([x, np.repeat(x[:1], missing, axis=0)]) for x in arrays]
    inputs = [Bounded(x, np.broadcast_to(radius, x.shape), x.dtype) for x in filled]
    outputs = program.run_batches(bounds, {}, inputs)
    outputs = by_image(outputs) if count == size == 1 else outputs
    return [y[:count] for y in outputs] if missing else outputs


def _flat(bounded: Bounded) -> Bounded:
    """Give an output of a patch network one axis of features."""
    return bounded.of(*flatten_outputs(bounded.parts))


def _errors(
    engine: str, bounded: Sequence[Bounded], expected: Sequence[Array], found: Sequence[Array]
) -> Rounding:
    """Give the largest errors of both networks, and what they may be."""
    truth = [y.value for y in bounded]
    allowed = max((float(2 * y.error.max(initial=0)) for y in bounded), default=0.0)
    return Rounding(engine, _largest(truth, expected), _largest(truth, found), allowed)


def _beyond(
    pair: Pair,
    bounded: Sequence[Bounded],
    expected: Sequence[Array],
    found: Sequence[Array],
    *,
    keeps_nan: bool,
) -> str | None:
    """Say where two right implementations could not differ so, if anywhere.

    An engine that does not keep NaN, whatever lies beside it, may lose one in either network.
    """
    if [x.shape for x in expected] != [y.shape for y in found]:
        return "the shapes of the outputs"
    for output, (bound, x, y) in enumerate(zip(bounded, expected, found, strict=True)):
        a, b = (np.asarray(z, np.float64) for z in (x, y))
        with np.errstate(all="ignore"):
            apart = np.isfinite(bound.error) & (np.abs(a - b) > 2 * bound.error)
        is_number, was, stays = (np.isfinite(z) for z in (bound.value, a, b))
        wrong = apart | (is_number & was & ~stays)
        if keeps_nan:
            wrong |= ~is_number & ~was & stays
        if wrong.any():
            row, entry = (int(n) for n in np.argwhere(wrong)[0])
            return (
                f"{pair.place(row)}, output {output}, entry {entry}: {a[row, entry]:.6g} became "
                f"{b[row, entry]:.6g}, right ones differ by {2 * bound.error[row, entry]:.1e} at "
                f"most"
            )
    return None


def _largest(truth: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the largest difference of floating point outputs; other shapes have no difference."""
    pairs = list(zip(truth, found, strict=False))
    if len(truth) != len(found) or any(a.shape != b.shape for a, b in pairs):
        return float("nan")
    with np.errstate(all="ignore"):  # infinities have no difference
        return max((_difference(a, b) for a, b in pairs if b.dtype.kind == "f"), default=0.0)


def _difference(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max(initial=0))
