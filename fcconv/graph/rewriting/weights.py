"""Weights come home: those of a sliding network, tuned perhaps, in the shapes of the patch network.

Rules only move weights. So the network is rewritten once more with the numbers of entries in place
of the weights: what it then holds says which entry of which weight stands where.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.backend import to_numpy
from fcconv.errors import ArgumentError, ShapeError, UnsupportedError
from fcconv.graph.node import operator_name
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rewriting.convolutionize import exact
from fcconv.graph.rewriting.rewritten import Rewritten, check_weights, times, with_weights
from fcconv.graph.rewriting.shared import Stuck, declared, slide
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.graph.rules.values import FIRST_ENTRY, opened

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class PatchNetwork(Rewritten):
    """A patch network with the weights of a sliding one.

    Attributes
    ----------
    model : onnx_ir.Model
        The network.
    weights : dict of str to array
        Its weights by name.

    Examples
    --------
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> sliding = fcconv.convolutionize(load_faces())
    >>> print(fcconv.patch_of(sliding, fcconv.compile(sliding).params))
    conv1.bias                  16
    conv1.weight                16x1x5x5
    conv2.bias                  32
    conv2.weight                32x16x3x3
    dense1.bias                 64
    dense1.weight               64x800
    score.bias                  1
    score.weight                1x64
    """

    model: ir.Model
    weights: dict[str, Array]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the shape of each weight."""
        for name, weight in self.weights.items():
            yield name, times(weight.shape)

    def __repr__(self) -> str:
        """Say how many weights it has."""
        return f"<PatchNetwork weights={len(self.weights)}>"


def patch_of(network: Sliding, params: Mapping[str, Any]) -> PatchNetwork:
    """Give the weights of a sliding network the names and shapes of its patch network.

    What was tuned on whole images scores patches again: bit for bit the same weights.

    Parameters
    ----------
    network : Sliding
        The sliding network, as :func:`convolutionize` made it.
    params : mapping of str to array
        Its weights by name, as `params` of what :func:`compile` makes of it: arrays of any library.

    Returns
    -------
    PatchNetwork
        The patch network with these weights; ``weights`` has them by name, ``save`` writes a file.

    Raises
    ------
    ArgumentError
        If the network was read from a file, without its patch network, or has other weights.
    ShapeError
        If a weight has another shape.
    UnsupportedError
        If two copies of a weight, which the rewriting has written several times, differ.

    Examples
    --------
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> sliding = fcconv.convolutionize(load_faces())
    >>> params = fcconv.compile(sliding).params
    >>> {name: params[name].shape for name in params if "dense1" in name}
    {'dense1.bias': (64,), 'dense1/kernel': (64, 32, 5, 5)}
    >>> home = patch_of(sliding, params)
    >>> {name: weight.shape for name, weight in home.weights.items() if "dense1" in name}
    {'dense1.bias': (64,), 'dense1.weight': (64, 800)}
    """
    if not isinstance(network, Sliding):
        raise ArgumentError(f"network needs what fcconv.convolutionize made, got {network!r}")
    check_weights(params)
    if network.patch is None:
        raise ArgumentError(
            "network was read from a file, which does not hold the patch network: convert that "
            "again, and tune what this gives"
        )
    weights = _weights(network.patch)
    again, parts = _rewritten_again(network, network.patch, weights)
    entries = np.concatenate([part.first(weights[name]) for name, part in parts.items()])
    places = _places(again, params)
    for _, numbers, given in places:
        entries[numbers[numbers >= 0]] = given[numbers >= 0]
    for name, numbers, given in places:
        _check_copies(name, entries, numbers, given)
    home = {name: part.home(entries).astype(weights[name].dtype) for name, part in parts.items()}
    return PatchNetwork(with_weights(network.patch, home), home)


@dataclass(frozen=True)
class Part:
    """The entries of a weight among those of all.

    Attributes
    ----------
    start : int
        The first of them.
    lengths, shape : tuple of int
        The shape of the entries that are counted, and that of the weight, which repeats them.
    """

    start: int
    lengths: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past the last entry."""
        return self.start + math.prod(self.lengths)

    def first(self, weight: Array) -> Array:
        """Return the entries of a weight that are counted."""
        return weight[tuple(map(slice, self.lengths))].ravel().astype(np.float64)

    def numbers(self) -> Array:
        """Return the number of each entry of the weight, as rules see it."""
        counted = np.arange(FIRST_ENTRY + self.start, FIRST_ENTRY + self.stop, dtype=np.float64)
        return np.broadcast_to(counted.reshape(self.lengths), self.shape)

    def home(self, entries: Array) -> Array:
        """Return the weight, of the entries of all."""
        own = entries[self.start : self.stop].reshape(self.lengths)
        return np.broadcast_to(own, self.shape)


def _rewritten_again(
    network: Sliding, patch: ir.Model, weights: Mapping[str, Array]
) -> tuple[ir.Model, dict[str, Part]]:
    """Rewrite the patch network once more, with numbers of entries in place of the weights.

    Where a rule asks a weight whether it is the same all along an axis, its numbers have to be.
    """
    wanted = _shapes(network.model)
    for shapes in (
        {name: w.shape for name, w in weights.items()},
        {name: opened(w).shape for name, w in weights.items()},
    ):
        parts, start = {}, 0
        for name, lengths in shapes.items():
            parts[name] = Part(start, lengths, weights[name].shape)
            start = parts[name].stop
        numbered = {name: part.numbers() for name, part in parts.items()}
        made = _rewritten(network, with_weights(patch, numbered))
        if made is not None and _shapes(made.model) == wanted:
            return made.model, parts
    raise UnsupportedError(
        "the weights of this network can't be brought home: what it is depends on their values"
    )


def _shapes(model: ir.Model) -> dict[str, tuple[Any, ...]]:
    return {
        name: () if value.shape is None else tuple(value.shape.dims)
        for name, value in model.graph.initializers.items()
    }


def _rewritten(network: Sliding, patch: ir.Model) -> Sliding | None:
    """Rewrite a patch network as another one was; None if it can't slide so."""
    dims = declared(network.model.graph.inputs[0])
    axes = [axis for axis, n in enumerate(dims) if axis and not isinstance(n, int)]
    found = slide(patch, network.stride, axes)
    if network.cost is not None:
        return exact(patch, found, network.stride)
    return None if isinstance(found, Stuck) else found


def _weights(model: ir.Model) -> dict[str, Array]:
    """Return the floating point weights of a network, but for those that shape a result."""
    shaping = {
        value
        for node in model.graph
        if (operator := OPERATORS.get(operator_name(node))) is not None
        for k in operator.structural
        for value in node.inputs[k : k + 1]
    }
    return {
        name: value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
        and value.const_value.dtype.is_floating_point()
        and value not in shaping
    }


def _places(
    numbered: ir.Model, params: Mapping[str, Any]
) -> list[tuple[str, npt.NDArray[np.int64], Array]]:
    """Pair, for each weight that was moved, the numbers of its entries with what is given for it.

    What is not an entry of the patch network has the number -1.
    """
    places = []
    for name, value in numbered.graph.initializers.items():
        array = None if value.const_value is None else value.const_value.numpy()
        if array is None or array.dtype != np.float64 or not (array >= FIRST_ENTRY).any():
            continue
        if name not in params:
            raise ArgumentError(f"params needs the weight {name!r}: pass those of fcconv.compile")
        given = np.asarray(to_numpy(params[name]))
        if given.shape != array.shape:
            raise ShapeError(f"{name!r} needs the shape {array.shape}, got {given.shape}")
        numbers = np.where(array >= FIRST_ENTRY, array - FIRST_ENTRY, -1).astype(np.int64)
        changed = given[(numbers < 0)] != array[numbers < 0]
        if changed.any():
            raise UnsupportedError(
                f"{name!r} has {changed.sum()} entries beside those of the patch network, zeros "
                f"where a window reads nothing, which were changed: keep them, as by a mask"
            )
        places.append((name, numbers, given))
    return places


def _check_copies(name: str, entries: Array, numbers: npt.NDArray[np.int64], given: Array) -> None:
    """Check that all copies of an entry are the same."""
    is_entry = numbers >= 0
    if not np.array_equal(entries[numbers[is_entry]], given[is_entry], equal_nan=True):
        raise UnsupportedError(
            f"{name!r} holds a weight of the patch network several times, and its copies differ: "
            f"give them one gradient, the sum of theirs"
        )
