"""What there is to know about an operator: how it is computed, and how it slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from fcconv.graph.receptive import Spread

if TYPE_CHECKING:
    from fcconv.graph.rules.values import SlidingValue

Compute: TypeAlias = Callable[..., Any]
"""``compute(backend, call, *inputs)`` gives an array, or a tuple of them; an input may be None."""

SlideRule: TypeAlias = "Callable[..., SlidingValue[Any] | tuple[SlidingValue[Any], ...]]"
"""``slide(context, call, *inputs)`` writes it for all windows; inputs are SlidingValue, Constant or
None."""


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX.

    Attributes
    ----------
    compute : callable
        Computes it on any backend.
    slide : callable
        Rewrites it so that one tensor holds the values of all windows.
    structural : frozenset of int
        Positions of the inputs that shape the result (axes, shapes, indices): read as NumPy
        integers, never as data.
    static : bool
        Whether the result depends on the shapes of the inputs only.
    entrywise : bool
        Whether each entry of the result depends on the same entry of the first input only, and on
        single numbers.
    spread : callable, optional
        Says how far a result sees (:mod:`fcconv.graph.receptive`); without it nobody knows.
    attributes : tuple of str
        The attributes that are known here: those that are read, and those that change nothing that
        is computed here. A node with another one is refused, unless that has its default value.
    slides_by_any : bool
        Whether any input may depend on the pixels when it slides; otherwise the first one alone.
    slope : float, optional
        The largest one of a function that is not monotone, convex or concave between any two
        arguments; infinite, where it jumps. What rounding does is bounded by it.
    statistics : frozenset of int
        Positions of the inputs that training gathers, and does not learn.
    workspace : "copies", "columns" or "tiles"
        What NumPy computes it in: copies of its first input and its result, the columns of a
        convolution, or tiles of its input.
    """

    compute: Compute
    slide: SlideRule
    structural: frozenset[int] = frozenset()
    static: bool = False
    entrywise: bool = False
    spread: Spread | None = None
    attributes: tuple[str, ...] = ()
    slides_by_any: bool = False
    slope: float | None = None
    statistics: frozenset[int] = frozenset()
    workspace: Literal["copies", "columns", "tiles"] = "copies"
