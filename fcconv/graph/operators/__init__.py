"""The operators, one family a file: how each is computed, and beside it how it slides."""

from __future__ import annotations

from fcconv.graph.operator import Operator
from fcconv.graph.operators import (
    elementwise,
    linear,
    moves,
    normalization,
    padding,
    reductions,
    windows,
)

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS,
    **linear.OPERATORS,
    **moves.OPERATORS,
    **normalization.OPERATORS,
    **padding.OPERATORS,
    **reductions.OPERATORS,
    **windows.OPERATORS,
}
"""Every operator by its type."""
