"""Writes a model to a file: whole or not at all, and without a second copy of the weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import onnx
import onnx_ir as ir

LARGEST_FILE = 2**31 - 2**20
"""Bytes of weights up to which a model is one file: protobuf ends at 2 GB."""

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
"""Numbers of the fields ModelProto.graph, GraphProto.initializer and TensorProto.raw_data."""


def save(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write a model; weights beyond 2 GB go to a file beside it, ``<name>.data``.

    The file appears under its name when it is complete.

    Parameters
    ----------
    model : onnx_ir.Model
        The model; it is not changed.
    path : path
        Where it goes.

    Raises
    ------
    OSError
        If it can't be written.
    """
    target = Path(path)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        written = Path(folder) / target.name
        if _weight_bytes(model) < LARGEST_FILE:
            with written.open("wb") as file:
                _stream(model, file)
        else:
            data = f"{target.name}.data"
            ir.save(model, written, external_data=data)
            (Path(folder) / data).replace(target.parent / data)
        written.replace(target)


def _weight_bytes(model: ir.Model) -> int:
    return sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )


def _stream(model: ir.Model, file: IO[bytes]) -> None:
    """Write the model without its weights, then each weight from where it lies.

    A protobuf message may be written in parts: parts of an embedded message are merged, repeated
    fields are joined (Protocol Buffers, *Encoding*, "Last One Wins").
    """
    weights = dict(model.graph.initializers)
    model.graph.initializers.clear()
    try:
        head = ir.to_proto(model)
    finally:
        model.graph.initializers.update(weights)
    file.write(head.SerializeToString())
    for value in weights.values():
        tensor = cast("Any", value.const_value)
        array = memoryview(_little_endian(tensor))
        shape = onnx.TensorProto(
            dims=tuple(tensor.shape.numpy()), data_type=tensor.dtype.value, name=value.name
        ).SerializeToString()
        inner = shape + _field(RAW_DATA, array.nbytes)
        outer = _field(INITIALIZER, len(inner) + array.nbytes)
        file.write(_field(GRAPH, len(outer) + len(inner) + array.nbytes) + outer + inner)
        file.write(array)


def _little_endian(tensor: Any) -> Any:
    """Return the bytes of a tensor as ONNX stores them, without a copy where they lie so."""
    if tensor.dtype.bitwidth < 8:
        return tensor.tobytes()
    array = tensor.numpy()
    if not array.flags.c_contiguous or array.dtype.byteorder == ">" or array.ndim == 0:
        return tensor.tobytes()
    return array.reshape(-1).view("uint8")


def _field(number: int, length: int) -> bytes:
    """Begin a length-delimited field of a protobuf message."""
    return bytes(_varint(number << 3 | 2)) + bytes(_varint(length))


def _varint(number: int) -> Iterator[int]:
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number
