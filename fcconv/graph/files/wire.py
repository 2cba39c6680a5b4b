"""ONNX files as bytes: weights go from a file straight into arrays, and from arrays into a file.

A protobuf message is a row of fields, each with a number and a kind (Protocol Buffers, *Encoding*).
``onnx`` parses and writes what is left without the weights, so that there is one copy of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

Bytes: TypeAlias = npt.NDArray[np.uint8]

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
"""Numbers of the fields ModelProto.graph, GraphProto.initializer and TensorProto.raw_data."""

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
"""Kinds of fields."""

LARGE = 1024
"""Bytes from which on a weight has an array of its own."""

END_OF_PROTOBUF = 2**31
"""Bytes that no message reaches."""


def read(path: Path) -> tuple[onnx.ModelProto, list[Bytes | None]]:
    """Parse a file.

    Returns
    -------
    onnx.ModelProto
        The model.
    list of bytes
        For each initialiser its raw data, if it is large; the model does not hold it then.

    Raises
    ------
    google.protobuf.message.DecodeError
        If it is not a protobuf, or only a part of one.
    """
    weights: list[Bytes | None] = []
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size >= END_OF_PROTOBUF:
            raise DecodeError
        head = _without_weights(file, size, (GRAPH, INITIALIZER, RAW_DATA), weights)
    return onnx.ModelProto.FromString(bytes(head)), weights


def begin_field(number: int, length: int) -> bytes:
    """Write what stands before the content of a field that has a length."""
    return _varint(number << 3 | DELIMITED) + _varint(length)


def _without_weights(
    file: BufferedReader, end: int, path: tuple[int, ...], weights: list[Bytes | None]
) -> bytearray:
    """Copy a message up to `end`, but for the large fields that `path` leads to."""
    head = bytearray()
    for tag, begun, length in _fields(file, end):
        if tag != path[0] << 3 | DELIMITED:
            head += begun + file.read(length)
        elif path[0] == RAW_DATA:
            weights[-1] = None  # of two, the last one counts
            if length < LARGE:
                head += begun + file.read(length)
            else:
                weights[-1] = _read_array(file, length)
        else:
            if path[0] == INITIALIZER:
                weights.append(None)
            inner = _without_weights(file, file.tell() + length, path[1:], weights)
            head += begin_field(path[0], len(inner)) + inner
    return head


def _fields(file: BufferedReader, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield for each field its tag, the bytes before its content, and the length of that."""
    while file.tell() < end:
        tag = _read_varint(file)
        kind, begun, length = tag & 7, _varint(tag), 0
        if tag < 8:  # no field has the number 0
            raise DecodeError
        if kind in (VARINT, DELIMITED):
            number = _read_varint(file)
            begun += _varint(number)
            length = number if kind == DELIMITED else 0
        elif kind in (FIXED_64, FIXED_32):
            length = 8 if kind == FIXED_64 else 4
        else:
            raise DecodeError
        if file.tell() + length > end:
            raise DecodeError
        yield tag, begun, length


def _read_varint(file: BufferedReader) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        number |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return number
    raise DecodeError


def _read_array(file: BufferedReader, length: int) -> Bytes:
    array = np.empty(length, np.uint8)
    if file.readinto(array.data) != length:
        raise DecodeError
    return array


def _varint(number: int) -> bytes:
    """Write a number, seven bits a byte."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)
