"""The target that computes by JAX, from the caller's own weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from fcconv.functions.known import Weights
from fcconv.graph.running.computing import Computing, Tensor


def at_precision(asked: str | None) -> AbstractContextManager[Any]:
    """Give a context in which products have the precision that is asked for, if any is."""
    return jax.default_matmul_precision(asked) if asked else nullcontext()


@dataclass
class Jax(Computing):
    """Computes what rules make, whose constants are numbers of entries of weights.

    Attributes
    ----------
    weights : Weights
        The entries of weights that rules have seen.
    precision : str, optional
        The precision that products are asked to have from here on.
    """

    weights: Weights = field(default_factory=Weights)
    precision: str | None = None

    def add(
        self, function: Callable[..., Any], inputs: Sequence[Tensor | None], dtype: np.dtype[Any]
    ) -> Tensor:
        """Take a function of arrays of JAX, to be computed at the precision that is asked for."""
        asked = self.precision

        def precise(*arguments: Any) -> Any:
            with at_precision(asked):
                return function(*arguments)

        return super().add(precise, inputs, dtype)

    def data(self, array: npt.NDArray[Any]) -> Any:
        """Gather the entries whose numbers a constant holds."""
        entries = self.weights.gather(array)
        return array if entries is None else entries
