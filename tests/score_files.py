"""Scores in files, as other programs read them, and whatever else lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

SUFFIXES = (".zarr", ".npy", ".npz")


def tree(path: Path) -> dict[str, bytes]:
    """Read all files below a folder, by name."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def stored(path: Path) -> Mapping[str, Any]:
    """Read scores as other programs do."""
    if path.suffix == ".npy":
        return {"": np.load(path)}
    if path.suffix == ".npz":
        return dict(np.load(path))
    group = zarr.open_group(path, mode="r")
    return {name: group[name][...] for name in group.array_keys()}  # type: ignore[index]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def names_of(out: Path) -> set[str]:
    """Name what a scan writes: its lock, and beside a file what tells of which run it is."""
    written = {out.name, f".{out.name}.fcconv-lock"}
    return written if out.suffix == ".zarr" else {*written, f"{out.name}.fcconv.json"}
