"""What a stream's network is: its inputs, its outputs, and what it takes to use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir


@dataclass(frozen=True, eq=False)
class Written:
    """A network that scores a recording chunk by chunk.

    Attributes
    ----------
    model : onnx_ir.Model
        The network: a chunk and the states in, the scores and the next states out.
    samples : onnx_ir.Value
        The input that is a chunk.
    scores : tuple of onnx_ir.Value
        The outputs that are scores.
    states, next_states : tuple of onnx_ir.Value
        The inputs that are states, of zeros at first, and the outputs that take their places.
    smallest : int
        Samples of the smallest chunk; all others are as long as several of it.
    warmup : int
        Cells at the beginning that are not scores.
    seen : int
        Samples that a cell depends on, from its window's first to the last.
    """

    model: ir.Model
    samples: ir.Value
    scores: tuple[ir.Value, ...]
    states: tuple[ir.Value, ...]
    next_states: tuple[ir.Value, ...]
    smallest: int
    warmup: int
    seen: int

    def names(self) -> dict[str, Any]:
        """Say how its inputs and outputs are named, for whoever has the file alone."""
        states = zip(self.states, self.next_states, strict=True)
        return {
            "samples": self.samples.name,
            "scores": [value.name for value in self.scores],
            "states": [
                {"name": old.name, "next": new.name, "shape": sizes_of(old), "initial": 0}
                for old, new in states
            ],
        }


def sizes_of(value: ir.Value) -> list[int]:
    """Return the shape of a value; 0 stands for what is free."""
    dims = () if value.shape is None else value.shape.dims
    return [n if isinstance(n, int) else 0 for n in dims]
