"""What the two forms of a rewritten network share: their file, their pickle, and how they print."""

from __future__ import annotations

import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx
import onnx_ir as ir

from fcconv.backend import to_numpy
from fcconv.errors import ArgumentError, ShapeError, UnsupportedError
from fcconv.graph.files.load import read
from fcconv.graph.files.save import save


class Rewritten(ABC):
    """A network that was rewritten; its forms are dataclasses.

    Attributes
    ----------
    model : onnx_ir.Model
        The network.
    """

    model: ir.Model

    def save(
        self, path: str | os.PathLike[str], *, params: Mapping[str, Any] | None = None
    ) -> None:
        """Write the network to an ONNX file, whole or not at all.

        Parameters
        ----------
        path : path
            The file.
        params : mapping of str to array, optional
            Weights to write in place of its own, by name: those of :func:`compile`, tuned, say.

        Raises
        ------
        ArgumentError
            If the network has no weight of a name.
        ShapeError
            If a weight has another shape.
        """
        model = self.model
        if params is not None:
            check_weights(params)
            known = model.graph.initializers
            weights = {name: _fitting(name, known.get(name), w) for name, w in params.items()}
            model = with_weights(model, weights)
        save(model, path)

    @abstractmethod
    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each statement about the network as a name and what is found."""

    def __str__(self) -> str:
        """Print what the network is, a line a statement."""
        return "\n".join(f"{name:<28}{value}" for name, value in self.lines())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle the fields, networks as the bytes of ONNX files; nothing that is compiled."""
        fields = [getattr(self, entry.name) for entry in dataclasses.fields(self)]  # type: ignore[arg-type]
        return _restored, (type(self), list(map(_packed, fields)))


def with_weights(model: ir.Model, weights: Mapping[str, npt.NDArray[Any]]) -> ir.Model:
    """Copy a network, with other weights."""
    copy = model.clone()
    for name, array in weights.items():
        copy.graph.initializers[name].const_value = ir.Tensor(array, name=name)
    return copy


def check_weights(params: Any) -> None:
    """Check that weights come by name."""
    if not isinstance(params, Mapping):
        kind = type(params).__name__
        raise ArgumentError(f"params needs weights by name, as a dict of arrays, got {kind}")


def _fitting(name: str, known: ir.Value | None, weight: Any) -> npt.NDArray[Any]:
    """Check a weight that takes the place of another, and give it the type of that."""
    old = None if known is None else known.const_value
    if old is None:
        raise ArgumentError(f"the network has no weight {name!r}: its weights are those of params")
    array = to_numpy(weight)
    if array.shape != tuple(old.shape):
        raise ShapeError(f"{name!r} needs the shape {tuple(old.shape)}, got {array.shape}")
    return array.astype(old.numpy().dtype)


def times(sizes: Sequence[int]) -> str:
    """Write sizes along axes."""
    return "x".join(map(str, sizes))


def _packed(value: Any) -> Any:
    if not isinstance(value, ir.Model):
        return value
    try:
        proto: onnx.ModelProto = ir.to_proto(value)
        return proto.SerializeToString()
    except ValueError:  # protobuf ends at 2 GB
        raise UnsupportedError(
            "a network of 2 GB or more can't be pickled: save it, and load its file"
        ) from None


def _restored(form: Callable[..., Any], values: Sequence[Any]) -> Any:
    return form(
        *(read(onnx.ModelProto.FromString(v)) if isinstance(v, bytes) else v for v in values)
    )
