"""Which equations of a function windows share, and which each window computes for itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fcconv_jax
from fcconv.errors import FcconvError
from fcconv.functions.known import Known
from fcconv.functions.primitives import OPSET, Reader, known_result
from fcconv.functions.target import Jax
from fcconv.functions.trace import Equation, Trace
from fcconv.functions.windows import count_windows, for_each, of_all
from fcconv.graph.rules.features import whole_map
from fcconv.graph.rules.samples import Samples
from fcconv.graph.rules.values import SlidingValue
from fcconv.graph.running.computing import Tensor

PADS = "reads padding, which windows do not share"
"""Why an equation that pads is not shared, where each window is to have its own padding."""

FOLLOWS = "reads what each window has for itself"
"""Why an equation behind the first that windows do not share is not shared either."""


@dataclass
class Sharing:
    """A function of a patch, slid along some axes as far as windows share it.

    Attributes
    ----------
    trace : Trace
        The function.
    window, axes, stride : tuple of int
        Shape of a patch; its spatial axes; pixels from one window to the next along each.
    exact : bool
        Whether each window computes for itself every value that depends on padding.
    reader : Reader
        Computes the shared part.
    image : Tensor
        Its input.
    values : dict of int to Known or SlidingValue
        The values known before windows part, by number; all others are each window's own.
    own : dict of int to (Equation, str)
        The equations that each window computes for itself, by their place, and why.
    """

    trace: Trace
    window: tuple[int, ...]
    axes: tuple[int, ...]
    stride: tuple[int, ...]
    exact: bool
    reader: Reader
    image: Tensor
    values: dict[int, Known | SlidingValue[Tensor]] = field(default_factory=dict)
    own: dict[int, tuple[Equation, str]] = field(default_factory=dict)

    def follow(self) -> None:
        """Slide the equations in order, each as far as its rule and its inputs go."""
        for place, equation in enumerate(self.trace.equations):
            if equation.outputs[0] in self.values:  # known
                continue
            given = [self.values[n] for n in equation.inputs if n in self.values]
            if len(given) < len(equation.inputs):
                self.own[place] = equation, FOLLOWS
                continue
            try:
                made = self._slid(equation, given)
            except FcconvError as error:
                self.own[place] = equation, str(error)
                continue
            self.values.update(zip(equation.outputs, made, strict=True))

    def _slid(
        self, equation: Equation, given: Sequence[Known | SlidingValue[Tensor]]
    ) -> list[SlidingValue[Tensor]]:
        made = self.reader.slide(equation, given)
        for x in made:
            if x.unshared is not None:
                raise equation.unsupported("reads a whole window where windows have no map")
            if self.exact and any(any(axis.pad_margin) for axis in x.axes):
                raise equation.unsupported(PADS)
        return made

    @property
    def pads(self) -> bool:
        """Say whether padding is among what windows do not share."""
        return any(reason.endswith(PADS) for reason in self.reasons)

    @property
    def reasons(self) -> list[str]:
        """Why each equation that is not shared is not."""
        return [reason for _, reason in self.own.values()]

    def cells(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Count the windows in an image of a shape, along each spatial axis."""
        return count_windows(shape, self.window, self.axes, self.stride)

    def apply(self, image: Any) -> list[Any]:
        """Compute the function for all windows of an image, each with axes of windows in front."""
        cells, outputs = self.cells(image.shape), dict.fromkeys(self.trace.outputs)
        own, read = self._of_each_window(outputs)
        values = {
            n: x for n in (*read, *outputs) if isinstance(x := self.values.get(n), SlidingValue)
        }
        tensors = self._tensors(image, values.values())
        found = {}
        for n in filter(self._is_finished, outputs):
            x = self.values[n]
            found[n] = (
                jnp.broadcast_to(x.value, (*cells, *x.shape))
                if isinstance(x, Known)
                else of_all(x, tensors[x.tensor], self.stride, cells)
            )
        found |= {
            n: jnp.zeros((*cells, *made.shape), made.dtype)
            for n, made in _without_entries(own).items()
            if n in outputs
        }
        left = [n for n in outputs if n not in found]
        if left:
            blocks = {n: (x, tensors[x.tensor]) for n, x in values.items() if n in read}
            made = for_each(lambda block: self._go_on(own, block, left), blocks, self.stride, cells)
            found.update(zip(left, made, strict=True))
        return [found[n] for n in self.trace.outputs]

    def _tensors(self, image: Any, values: Iterable[SlidingValue[Tensor]]) -> dict[Tensor, Any]:
        """Compute the tensors of some values, from the image with its channels first."""
        others = [axis for axis in range(image.ndim) if axis not in self.axes]
        first = image.transpose([*others, *self.axes])
        pixels = first.reshape(1, -1, *first.shape[len(others) :])
        wanted = [x.tensor for x in values]
        arrays = self.reader.target.computed(wanted, {self.image: pixels})
        return dict(zip(wanted, arrays, strict=True))

    def _of_each_window(self, outputs: Iterable[int]) -> tuple[list[Equation], set[int]]:
        """List the equations that each window computes, and the values that these start from."""
        wanted = {n for n in outputs if not self._is_finished(n)}
        equations = []
        for place in sorted(self.own, reverse=True):
            equation = self.own[place][0]
            if wanted & {*equation.outputs}:
                wanted |= {*equation.inputs}
                equations.append(equation)
        return equations[::-1], {n for n in wanted if n in self.values}

    def _is_finished(self, number: int) -> bool:
        """Say whether a value is known, or has one sample in each window."""
        x = self.values.get(number)
        return x is not None and (isinstance(x, Known) or all(n == 1 for n in x.block))

    def _go_on(
        self, equations: Sequence[Equation], blocks: dict[int, Any], left: Sequence[int]
    ) -> list[Any]:
        """Compute what a window has for itself, from its blocks."""
        env = dict(blocks)

        def read(number: int) -> Any:
            if number not in env:
                known = self.values[number]
                assert isinstance(known, Known)
                env[number] = known.value
            return env[number]

        for equation in equations:
            made = equation.compute(*map(read, equation.inputs))
            env.update(zip(equation.outputs, made, strict=True))
        return list(map(read, left))


def _without_entries(equations: Iterable[Equation]) -> dict[int, Any]:
    """Return what equations make that has no entries: ``lax.map`` can't put that together."""
    return {
        number: variable.aval
        for equation in equations
        for number, variable in zip(equation.outputs, equation.eqn.outvars, strict=True)
        if 0 in variable.aval.shape
    }


def known_values(trace: Trace, inputs: Mapping[int, Any]) -> dict[int, Known]:
    """Compute what does not depend on the image, from the inputs that are known."""
    values = {number: Known(value) for number, value in {**inputs, **trace.constants}.items()}
    for equation in trace.equations:
        if all(number in values for number in equation.inputs):
            made = known_result(equation, [values[number] for number in equation.inputs])
            values.update(zip(equation.outputs, made, strict=True))
    return values


def sharing_of(
    trace: Trace,
    known: Mapping[int, Known],
    patch: jax.ShapeDtypeStruct,
    number: int,
    *,
    axes: tuple[int, ...],
    stride: tuple[int, ...],
    exact: bool,
) -> Sharing:
    """Slide a function along some axes.

    Parameters
    ----------
    trace : Trace
        The function.
    known : mapping of int to Known
        What does not depend on the image, see `known_values`.
    patch : jax.ShapeDtypeStruct
        Shape and type of a patch.
    number : int
        The value that is the patch.
    axes, stride, exact
        See :class:`Sharing`.
    """
    lengths = [patch.shape[axis] for axis in axes]
    channels = math.prod(n for axis, n in enumerate(patch.shape) if axis not in axes)
    reader = Reader(Jax(fcconv_jax, OPSET), stride)
    image = Tensor(np.dtype(patch.dtype))
    samples = tuple(map(Samples, lengths))
    values: dict[int, Known | SlidingValue[Tensor]] = {**known}
    values[number] = whole_map(reader.context, image, channels, samples, axes, patch.shape)
    sharing = Sharing(trace, patch.shape, axes, stride, exact, reader, image, values)
    sharing.follow()
    return sharing
