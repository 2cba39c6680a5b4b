"""How what can't be read is refused: by a named error that says why, for little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest

import fcconv
from fcconv import FcconvError

USES: list[Callable[[Any], Any]] = [fcconv.convolutionize, fcconv.pointwise]

LITTLE = 2**22
"""Bytes that refusing a model may take, and reading the small one."""


def write(path: Path, content: onnx.ModelProto | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


def refuse(use: Callable[[Any], Any], source: object, *said: str) -> None:
    """See a source refused by an error that says all of `said`, and for little memory."""
    with little_memory(), pytest.raises(FcconvError) as caught:
        use(source)
    for words in said:
        assert words in str(caught.value)


def refuse_everywhere(path: Path, *said: str) -> None:
    for use in USES:
        refuse(use, path, *said)
    refuse(fcconv.convolutionize, str(path), *said)
