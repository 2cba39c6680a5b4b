"""The operators, one family per file: how each is computed, and beside it how it slides."""

from __future__ import annotations

from fcconv.graph.operator import Operator
from fcconv.graph.operators import (
    along,
    composed,
    elementwise,
    linear,
    moves,
    normalization,
    padding,
    quantization,
    reductions,
    resizing,
    windows,
)

OPERATORS: dict[str, Operator] = {
    **along.OPERATORS,
    **composed.OPERATORS,
    **elementwise.OPERATORS,
    **linear.OPERATORS,
    **moves.OPERATORS,
    **normalization.OPERATORS,
    **padding.OPERATORS,
    **quantization.OPERATORS,
    **reductions.OPERATORS,
    **resizing.OPERATORS,
    **windows.OPERATORS,
}
"""Every operator by its type."""
