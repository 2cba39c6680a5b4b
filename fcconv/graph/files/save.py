"""Writes a model to a file: whole or not at all, and without a second copy of the weights."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import onnx
import onnx_ir as ir

from fcconv.errors import ModelError, OutputError
from fcconv.graph.files.protos import reason
from fcconv.graph.files.wire import GRAPH, INITIALIZER, LARGE, RAW_DATA, begin_field

LARGEST_FILE = 2**31 - 2**20
"""Bytes up to which a model is one file: protobuf ends at 2 GB."""

PAGE = 4096
"""Bytes at whose multiples weights begin in a file of their own, so that they can be mapped."""

Weight: TypeAlias = "tuple[onnx.TensorProto, ir.TensorProtocol | None]"
"""An initialiser, and its tensor if it is too large to be held by it."""


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
    OutputError
        If it can't be written.
    ModelError
        If it holds what ONNX has no form for.
    """
    with draft(model, path) as made:
        made.publish()


@dataclass(frozen=True)
class Draft:
    """A model in a file, complete, that is not under its name yet.

    Attributes
    ----------
    path : Path
        Where it is: in a folder beside, its weights with it, so that it can be loaded.
    target : Path
        Where it goes.
    """

    path: Path
    target: Path

    def publish(self) -> None:
        """Put the model in its place."""
        data = _data_of(self.path)
        with _as_output_error(self.target):
            if not data.exists():
                self.path.replace(self.target)
                return
            with _replaced(data, _data_of(self.target), self.path.with_name(".old")):
                self.path.replace(self.target)


@contextmanager
def draft(model: ir.Model, path: str | os.PathLike[str]) -> Iterator[Draft]:
    """Write a model, and leave nothing of it unless it is published; see :func:`save`."""
    target = Path(path)
    with ExitStack() as stack:
        with _as_output_error(target):
            beside = Path(stack.enter_context(_folder_beside(target)))
            head, weights = _apart(model)
            made = Draft(beside / target.name, target)
            with made.path.open("wb") as file:
                if _size(head, weights) >= LARGEST_FILE:
                    weights = list(_written_beside(_data_of(made.path), weights))
                _write(file, head, weights)
        yield made


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that a model could be written, by what writing it begins with; nothing is left.

    Raises
    ------
    OutputError
        If it could not.
    """
    target = Path(path)
    with _as_output_error(target), _folder_beside(target):
        pass


def _folder_beside(target: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for a while where a file is to go, if it can go there."""
    if "\0" in str(target):
        raise OSError(errno.EINVAL, "a name can't hold a NUL")
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is there, and not a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}")
    return tempfile.TemporaryDirectory(prefix=".fcconv.", dir=target.parent)


def _data_of(path: Path) -> Path:
    """Return where the weights of a large model lie."""
    return path.with_name(f"{path.name}.data")


@contextmanager
def _as_output_error(target: Path) -> Iterator[None]:
    """Say what can't be written, whatever temporary file it was noticed at."""
    try:
        yield
    except OSError as error:
        said = f"{target} can't be written: {error.strerror or error}: save it elsewhere"
        raise OutputError(said) from error


def _size(head: onnx.ModelProto, weights: Sequence[Weight]) -> int:
    """Count the bytes of a model in one file."""
    return head.ByteSize() + sum(
        proto.ByteSize() if tensor is None else tensor.nbytes for proto, tensor in weights
    )


def _apart(model: ir.Model) -> tuple[onnx.ModelProto, list[Weight]]:
    """Take a model without initialisers, and these, the large ones without what they hold."""
    try:
        copy = model.clone()
    except Exception as error:  # whatever a graph that is not whole hits
        raise ModelError(f"the model can't be written as ONNX: {reason(error)}") from error
    tensors = {}
    for name, value in copy.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes < LARGE:
            continue
        tensors[name] = tensor
        value.const_value = ir.ExternalTensor(
            "",
            None,
            None,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=name,
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props),
        )
    try:
        head: Any = ir.to_proto(copy)
    except ir.serde.SerdeError as error:
        raise ModelError(f"the model can't be written as ONNX: {reason(error)}") from error
    weights = []
    for written in head.graph.initializer:
        proto = onnx.TensorProto()
        proto.CopyFrom(written)
        proto.ClearField("data_location")
        proto.ClearField("external_data")
        weights.append((proto, tensors.get(proto.name)))
    head.graph.ClearField("initializer")
    return head, weights


def _write(file: IO[bytes], head: onnx.ModelProto, weights: Sequence[Weight]) -> None:
    """Write the model without its weights, then each weight from where it lies.

    A protobuf message may be written in parts: parts of an embedded message are merged, repeated
    fields are joined (Protocol Buffers, *Encoding*, "Last One Wins").
    """
    file.write(head.SerializeToString())
    for proto, tensor in weights:
        inner = proto.SerializeToString()
        data = memoryview(b"" if tensor is None else _little_endian(tensor))
        if tensor is not None:
            inner += begin_field(RAW_DATA, data.nbytes)
        length = len(inner) + data.nbytes
        outer = begin_field(INITIALIZER, length)
        file.write(begin_field(GRAPH, len(outer) + length) + outer + inner)
        file.write(data)


def _written_beside(path: Path, weights: Sequence[Weight]) -> Iterator[Weight]:
    """Write large weights to a file of their own, and say where they lie in it."""
    with path.open("wb") as file:
        for proto, tensor in weights:
            if tensor is not None:
                file.write(bytes(-file.tell() % PAGE))
                entries = {"location": path.name, "offset": str(file.tell())}
                entries["length"] = str(file.write(_little_endian(tensor)))
                proto.data_location = onnx.TensorProto.EXTERNAL
                for key, value in entries.items():
                    proto.external_data.add(key=key, value=value)
            yield proto, None


@contextmanager
def _replaced(new: Path, target: Path, old: Path) -> Iterator[None]:
    """Put a file in its place, and what was there back if what comes next fails."""
    existed = target.exists()
    if existed:
        target.replace(old)
    try:
        new.replace(target)
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        if existed:
            old.replace(target)
        raise


def _little_endian(tensor: Any) -> Any:
    """Return the bytes of a tensor as ONNX stores them, without a copy where they lie so."""
    if tensor.dtype.bitwidth < 8:
        return tensor.tobytes()
    array = tensor.numpy()
    if array.dtype.byteorder == ">" or sys.byteorder == "big":
        return tensor.tobytes()
    return array.reshape(-1).view("uint8").data
