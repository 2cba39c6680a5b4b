"""Tensors in files beside a model: read from its folder, and from nowhere else."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from fcconv.errors import ModelError
from fcconv.graph.files.wire import Bytes


@dataclass(frozen=True, eq=False)
class Beside:
    """The files beside a model, each mapped once.

    Attributes
    ----------
    folder : Path, optional
        Where they must lie, without links; without a folder, there are none.
    """

    folder: Path | None
    _files: dict[Path, Bytes] = field(default_factory=dict)

    def read(self, tensor: onnx.TensorProto, needed: int) -> Bytes:
        """Return the bytes of a tensor; no file is opened that lies outside of the folder."""
        if self.folder is None:
            raise ModelError("it lies in another file: load the model from its path")
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = self.folder if "\0" in location else (self.folder / location).resolve()
        if Path(location).is_absolute() or self.folder not in path.parents:
            raise ModelError(f"it lies in {location!r}, outside of the model's folder: refused")
        try:
            start = int(entries.get("offset", 0))
            length = int(entries.get("length", needed))
        except ValueError:
            raise ModelError("its offset or length is not a number") from None
        if not path.is_file():
            raise ModelError(f"it lies in {location!r}, which is missing beside the model")
        if path not in self._files:
            self._files[path] = _mapped(self.folder, path)
        data = self._files[path]
        if length != needed or not 0 <= start <= len(data) - length:
            raise ModelError(
                f"it needs {needed} bytes, but is said to have {length} from {start} on, and "
                f"{location!r} has {len(data)}"
            )
        return data[start : start + length]


def _mapped(folder: Path, path: Path) -> Bytes:
    """Map a file that lies in a folder."""
    try:
        with os.fdopen(_opened(folder, path), "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return np.empty(0, np.uint8)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise ModelError(
            f"it lies in {path.name!r}, which can't be read: {error.strerror}"
        ) from None


def _opened(folder: Path, path: Path) -> int:
    """Open a file step by step, so that none can be exchanged for a link since it was checked."""
    if os.open not in os.supports_dir_fd:  # Windows, where it takes a privilege to make links
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    found = os.open(folder, os.O_RDONLY)
    for name in path.relative_to(folder).parts:
        outer = found
        try:  # a pipe in the place of the file is opened at once, too
            found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=outer)
        finally:
            os.close(outer)
    return found
