"""What the rule of every operator is handed: where it writes, and how windows move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from fcconv.graph.rules.layer import Layer
from fcconv.graph.rules.target import Target
from fcconv.graph.rules.values import T


@dataclass
class Context(Generic[T]):
    """The state of a sliding network while its operators are written.

    Attributes
    ----------
    target : Target
        What is written to.
    stride : tuple of int
        Pixels from one window to the next, for each spatial axis; 0 where there is but one window.
    batch : int
        Images that the patch network computes at a time while its shapes are followed.
    layers : list of Layer
        The dense layers so far.
    padded : dict of str to str
        The nodes that read padding, and how much.
    """

    target: Target[T]
    stride: tuple[int, ...]
    batch: int = 1
    layers: list[Layer] = field(default_factory=list)
    padded: dict[str, str] = field(default_factory=dict)
