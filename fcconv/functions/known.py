"""What does not depend on the image: arrays of JAX, and which of their entries are equal.

Rules of sliding move weights about and look at their structure: whether a bias is the same in all
pixels, say. They see numbers in place of entries, equal ones where entries are equal whatever the
values, so that they work on weights that JAX only traces. The rewritten weights then say which
entries they are, and are gathered from the arrays at the end: gradients find their way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from fcconv.graph.rules.values import FIRST_ENTRY, opened

Numbers = npt.NDArray[np.int64]


@dataclass(eq=False)
class Known:
    """A value that does not depend on the image.

    Attributes
    ----------
    value : array
        The value.
    parents : sequence of Known
        What it was made of.
    moved : callable, optional
        What moves the parent's entries here, for arrays of NumPy; None if entries are computed.
    """

    value: Any
    parents: Sequence[Known] = ()
    moved: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(np.shape(self.value))


@dataclass
class Weights:
    """The entries that rules have seen, each with a number."""

    arrays: list[Any] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    _numbers: dict[int, tuple[Known, Numbers]] = field(default_factory=dict)
    _count: int = 0

    def numbered(self, known: Known) -> npt.NDArray[np.float64]:
        """Return the numbers of a value's entries, as rules see them."""
        return self._of(known).astype(np.float64) + FIRST_ENTRY

    def _of(self, known: Known) -> Numbers:
        if id(known) not in self._numbers:
            self._numbers[id(known)] = known, self._made(known)
        return self._numbers[id(known)][1]

    def _made(self, known: Known) -> Numbers:
        if known.moved is not None:
            return known.moved(self._of(known.parents[0]))
        lengths = known.shape
        if known.parents:  # along an axis where no parent varies, the result does not either
            varying = [opened(self._of(parent)).shape for parent in known.parents]
            lengths = np.broadcast_shapes((1,) * len(known.shape), *varying)
        first = tuple(slice(n) for n in lengths)
        self.arrays.append(jnp.asarray(known.value)[first])
        self.starts.append(self._count)
        numbers = np.arange(self._count, self._count + int(np.prod(lengths))).reshape(lengths)
        self._count += numbers.size
        return np.broadcast_to(numbers, known.shape)

    def gather(self, array: npt.NDArray[Any]) -> Any:
        """Return the entries whose numbers an array of the rewritten network holds.

        What is not a number of an entry stays: zeros, say, where a kernel reads nothing.
        """
        if array.dtype != np.float64 or not np.any(array >= FIRST_ENTRY):
            return None
        is_entry = array >= FIRST_ENTRY
        numbers = np.where(is_entry, array - FIRST_ENTRY, 0).astype(np.int64)
        read = numbers[is_entry]
        first, last = (int(np.searchsorted(self.starts, n, "right")) - 1
                       for n in (read.min(), read.max()))  # fmt: skip
        sources = self.arrays[first : last + 1]
        numbers = np.where(is_entry, numbers - self.starts[first], 0)
        if len(sources) == 1 and is_entry.all():
            view = _as_view(numbers)
            if view is not None and numbers.size == sources[0].size:
                lengths, order = view
                return sources[0].reshape(lengths).transpose(order).reshape(array.shape)
        pool = jnp.concatenate([source.ravel() for source in sources])
        entries = jnp.take(pool, numbers.ravel()).reshape(array.shape)
        if is_entry.all():
            return entries
        return jnp.where(is_entry, entries, np.where(is_entry, 0, array).astype(entries.dtype))


def _as_view(numbers: Numbers) -> tuple[list[int], list[int]] | None:
    """Say how numbers from 0 on are a transposed array: its shape, and the order of its axes."""
    axes = [axis for axis, n in enumerate(numbers.shape) if n > 1]
    origin = numbers.ravel()[0]
    steps = {axis: int(numbers.take(1, axis).ravel()[0] - origin) for axis in axes}
    by_step = sorted(axes, key=lambda axis: -steps[axis])
    lengths = [numbers.shape[axis] for axis in by_step]
    wanted = [int(np.prod(lengths[k + 1 :])) for k in range(len(lengths))]
    if origin or [steps[axis] for axis in by_step] != wanted:
        return None
    made = np.arange(numbers.size).reshape(lengths).transpose([by_step.index(a) for a in axes])
    same = np.array_equal(made.ravel(), numbers.ravel())
    return (lengths, [by_step.index(axis) for axis in axes]) if same else None
