"""OME-Zarr put together by hand, as others write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

TYPES = {"t": "time", "c": "channel"}


def multiscale(
    axes: str,
    scale: Sequence[float],
    translation: Sequence[float] | None = None,
    levels: int = 1,
    unit: str = "micrometer",
) -> dict[str, Any]:
    """Say where the pixels lie of levels that are each half as large along y and x."""
    named = []
    for name in axes:
        axis = {"name": name, "type": TYPES.get(name, "space")}
        named.append(axis if name in TYPES else {**axis, "unit": unit})
    datasets = []
    for level in range(levels):
        factors = [n * 2**level if name in "yx" else n for n, name in zip(scale, axes, strict=True)]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": factors}]
        if translation is not None:
            steps.append({"type": "translation", "translation": list(translation)})
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return {"axes": named, "datasets": datasets, "name": "cells"}


def write_ome_zarr(
    path: Path,
    version: str,
    pixels: np.ndarray,
    told: dict[str, Any],
    labels: Sequence[str] = (),
) -> zarr.Group:
    """Write an image; of each level, every second row and column of the one before."""
    group = zarr.open_group(path, zarr_format=2 if version == "0.4" else 3)
    for level, dataset in enumerate(told["datasets"]):
        small = pixels[..., :: 2**level, :: 2**level]
        group.create_array(dataset["path"], data=small, chunks=small.shape)
    whole: dict[str, Any] = {"multiscales": [{**told, "version": version}]}
    if labels:
        whole["omero"] = {"channels": [{"label": label, "color": "FFFFFF"} for label in labels]}
    put(group, version, whole)
    return group


def put(group: zarr.Group, version: str, told: dict[str, Any]) -> None:
    """Write metadata to where its version has it."""
    if version == "0.4":
        group.attrs.update(told)
    else:
        group.attrs.update({"ome": {"version": version, **told}})
