"""What callers hand over, of the type that is needed, or an error that names the argument."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fcconv.errors import ArgumentError, OutputError

T = TypeVar("T")


def check_type(value: Any, kind: type[T], name: str) -> T:
    """Return what is of a type.

    Raises
    ------
    ArgumentError
        If it is not.
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{name} needs a {kind.__name__}, got {reprlib.repr(value)}")
    return value


def check_sequence(values: Any, kind: type[T], name: str) -> tuple[T, ...]:
    """Return values of a type as a tuple; a string is refused, though Python would iterate it.

    Raises
    ------
    ArgumentError
        If they are not.
    """
    found = tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else None
    if found is None or not all(isinstance(value, kind) for value in found):
        raise ArgumentError(
            f"{name} needs a sequence of {kind.__name__}, got {reprlib.repr(values)}"
        )
    for value in found:
        if isinstance(value, str) and not _is_utf8(value):
            raise ArgumentError(f"{name} needs text in UTF-8, got {value!r}")
    return found


def either(choices: Iterable[str]) -> str:
    """List in words what can be given.

    Examples
    --------
    >>> either([".zarr", ".npy", ".npz"]), either(["'ras'", "'file'"]), either([".csv"])
    ('.zarr, .npy or .npz', "'ras' or 'file'", '.csv')
    """
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def _is_utf8(text: str) -> bool:
    """Say whether text can be written; on a command line, any bytes come in as text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_integer(value: Any) -> int | None:
    """Return an integer of any library; None for all else, truth values among it."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def as_number(value: Any) -> float:
    """Return a number of any library; NaN for all else, a truth value among it."""
    try:
        return math.nan if isinstance(value, str | bytes | bool | np.bool_) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_path(value: Any, name: str) -> Path:
    """Return the path of a file to write.

    Raises
    ------
    OutputError
        If it is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise OutputError(f"{name} needs a path, got {reprlib.repr(value)}")
    if "\0" in str(value):
        raise OutputError(f"{name} has a zero character, which no path can have: {value!r}")
    return Path(value)
