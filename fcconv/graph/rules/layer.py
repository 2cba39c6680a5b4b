"""What became of a dense layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A dense layer that became a convolution.

    Attributes
    ----------
    name : str
        Name of the node.
    method : str
        "kernel" if the convolution covers a block of several samples, "1x1" if one.
    before, after : tuple of int
        Shape of the weight in the patch network and in the rewritten one.
    order : str
        In which order the block was flattened: "CHW", "HWC", ..., or "mixed".
    """

    name: str
    method: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    order: str
