"""A function that pads, slid exactly: windows share what their own padding has no part in."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import onnx_ir as ir
from jax import lax

import fcconv_jax
from fcconv.functions.known import Known, Weights
from fcconv.functions.patch import patch_network
from fcconv.functions.patch_rules import shape_of
from fcconv.functions.primitives import precision_of
from fcconv.functions.target import at_precision
from fcconv.functions.trace import Trace
from fcconv.functions.windows import count_windows
from fcconv.graph.node import label
from fcconv.graph.rewriting.exact.cost import Cost
from fcconv.graph.rewriting.exact.network import write_exactly
from fcconv.graph.rewriting.exact.patch import spell_out
from fcconv.graph.running.run import Program, program_of

ENTRIES = 2**26
"""Most entries that the windows of a band have at a time of the largest value."""


@dataclass(frozen=True)
class ExactFunction:
    """A function of a patch, slid exactly.

    Attributes
    ----------
    trace : Trace
        The function.
    known : mapping of int to Known
        Its values that do not depend on the patch.
    window, axes, stride : tuple of int
        Shape of a patch; its spatial axes; pixels from one window to the next along each.
    program : Program
        The network that scores every window of an image.
    outputs : mapping of int to tuple of int
        Its outputs: the values of the function that they are, by number, and their shapes.
    weights : Weights
        The entries of its weights.
    precision : str, optional
        The precision that products are asked to have.
    entries : int
        Entries that each window has by itself, of the largest value.
    ends : str, optional
        The node from which on each window is computed by itself.
    cost : Cost
        Multiplications for each window.
    """

    trace: Trace
    known: Mapping[int, Known]
    window: tuple[int, ...]
    axes: tuple[int, ...]
    stride: tuple[int, ...]
    program: Program
    outputs: Mapping[int, tuple[int, ...]]
    weights: Weights
    precision: str | None
    entries: int
    ends: str | None
    cost: Cost

    @property
    def reasons(self) -> list[str]:
        """The node from which on windows share nothing, if there is one."""
        return [] if self.ends is None else [self.ends]

    def cells(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Count the windows in an image of a shape, along each spatial axis."""
        return count_windows(shape, self.window, self.axes, self.stride)

    def apply(self, image: Any) -> list[Any]:
        """Compute the function for all windows of an image, each with axes of windows in front."""
        cells = self.cells(image.shape)
        rows = max(ENTRIES // (self.entries * math.prod(cells[1:])), 1)
        parameters = self._parameters()
        of_band = functools.partial(self._of_band, parameters)
        made = of_band(image) if rows >= cells[0] else self._by_bands(of_band, image, rows)
        found = dict(zip(self.outputs, made, strict=True))
        for number in {*self.trace.outputs} - {*found}:
            value = jnp.asarray(self.known[number].value)
            found[number] = jnp.broadcast_to(value, (*cells, *value.shape))
        return [found[number] for number in self.trace.outputs]

    def _parameters(self) -> dict[str, Any]:
        """Gather the weights of the network from the caller's."""
        arrays = {
            str(value.name): self.weights.gather(array)
            for value, array in self.program.constants.items()
            if value is not None
        }
        return {name: array for name, array in arrays.items() if array is not None}

    def _of_band(self, parameters: Mapping[str, Any], image: Any) -> list[Any]:
        """Compute the outputs for the windows of an image at once, ``(*cells, *shape)``."""
        with at_precision(self.precision):
            maps = self.program.run(fcconv_jax, parameters, [image[None]])
        cells = self.cells(image.shape)
        return [
            jnp.moveaxis(scores[0], 0, -1).reshape(*cells, *shape)
            for scores, shape in zip(maps, self.outputs.values(), strict=True)
        ]

    def _by_bands(self, of_band: Any, image: Any, rows: int) -> list[Any]:
        """Compute some rows of windows at a time; the last band may overlap the one before."""
        axis, stride = self.axes[0], self.stride[0]
        count = self.cells(image.shape)[0]
        size = (rows - 1) * stride + self.window[axis]
        starts = [min(k, count - rows) for k in range(0, count, rows)]

        def band(start: Any) -> list[Any]:
            return list(of_band(lax.dynamic_slice_in_dim(image, start * stride, size, axis)))

        made = lax.map(band, jnp.asarray(starts))
        fresh = count - rows * (len(starts) - 1)  # rows of the last band that no other has
        return [
            jnp.concatenate([x[:-1].reshape(-1, *x.shape[2:]), x[-1, rows - fresh :]]) for x in made
        ]


def exact_function(
    trace: Trace,
    known: Mapping[int, Known],
    patch: jax.ShapeDtypeStruct,
    number: int,
    *,
    axes: tuple[int, ...],
    stride: tuple[int, ...],
) -> ExactFunction:
    """Slide a function exactly along some axes.

    Raises
    ------
    UnsupportedError
        If the products of its equations are asked to have several precisions.
    """
    model, weights = patch_network(trace, known, number, patch)
    spell_out(model)
    places = tuple(1 + axis for axis in axes)
    written, form = write_exactly(model, places, stride)
    return ExactFunction(
        trace,
        known,
        patch.shape,
        axes,
        stride,
        program_of(written),
        {int(str(value.name)): shape_of(value) for value in model.graph.outputs},
        weights,
        precision_of(trace.equations),
        _largest(model, form.shared),
        None if form.ends is None else label(form.ends),
        form.cost,
    )


def _largest(model: ir.Model, shared: frozenset[ir.Node]) -> int:
    """Count the entries of the largest value that each window has by itself."""
    sizes = [
        math.prod(n for n in value.shape.dims if isinstance(n, int))
        for node in model.graph
        if node not in shared
        for value in (*node.inputs, *node.outputs)
        if value is not None and value.const_value is None and value.shape is not None
    ]
    return max(sizes, default=1)
