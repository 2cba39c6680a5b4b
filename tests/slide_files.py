"""Slides as scanners write them, of which openslide knows the vendor."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tifffile

TILE = 64

Element: TypeAlias = tuple[int, str, Any]
"""A tag of DICOM, its kind, and what stands there."""


def write_svs(
    path: Path, levels: Sequence[np.ndarray], mpp: float = 0.5, power: int = 20, **options: Any
) -> None:
    """Write levels (H, W, 3) as Aperio does, with a thumbnail, a label and a macro."""
    made: dict[str, Any] = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "zlib"}
    beside: dict[str, Any] = {"photometric": "rgb", "metadata": None, "rowsperstrip": 16}
    height, width, _ = levels[0].shape
    title = "Aperio Image Library v11.2.1\r\n"
    whole = f"{width}x{height} [0,0 {width}x{height}] ({TILE}x{TILE}) JPEG/RGB Q=70"
    with tifffile.TiffWriter(path) as writer:
        for number, pixels in enumerate(levels):
            said = f"{title}{whole}|AppMag = {power}|MPP = {mpp}"
            if number:
                said = f"{title}{whole} -> {pixels.shape[1]}x{pixels.shape[0]}"
            writer.write(pixels, description=said, metadata=None, **made, **options)
            if not number:
                writer.write(levels[-1], description=title, **beside)
        for name, kind in (("label", 1), ("macro", 9)):
            small = np.zeros((50, 60, 3), np.uint8)
            writer.write(small, description=f"{title}{name} 60x50", subfiletype=kind, **beside)


def write_dicom(
    path: Path, pixels: np.ndarray, mpp: float, power: int = 20, image: str = "1"
) -> None:
    """Write pixels (H, W, 3) as one file of a slide of DICOM, in tiles that are not compressed.

    The elements are those that Part 3 of the standard, section A.32.8, asks for and readers need.
    """
    height, width, _ = pixels.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    tiled = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    tiled[:height, :width] = pixels
    tiles = tiled.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    slide, kind, syntax = "1.2.840.10008.5.1.4.1.1.77.1.6", f"2.25.{image}", "1.2.840.10008.1.2.1"
    spacing = f"{mpp / 1000:.8g}"
    derived = "ORIGINAL\\PRIMARY\\VOLUME\\NONE"
    if image != "1":
        derived = "DERIVED\\PRIMARY\\VOLUME\\RESAMPLED"
    measures = [(0x00280030, "DS", f"{spacing}\\{spacing}")]
    elements: list[Element] = [
        (0x00080008, "CS", derived),
        (0x00080016, "UI", slide),
        (0x00080018, "UI", kind),
        (0x00080060, "CS", "SM"),
        (0x0020000D, "UI", "2.25.77"),
        (0x0020000E, "UI", "2.25.78"),
        (0x00209311, "CS", "TILED_FULL"),
        (0x00280002, "US", 3),
        (0x00280004, "CS", "RGB"),
        (0x00280006, "US", 0),
        (0x00280008, "IS", str(rows * columns)),
        (0x00280010, "US", TILE),
        (0x00280011, "US", TILE),
        (0x00280100, "US", 8),
        (0x00280101, "US", 8),
        (0x00280102, "US", 7),
        (0x00280103, "US", 0),
        (0x00480006, "UL", width),
        (0x00480007, "UL", height),
        (0x00480105, "SQ", [(0x00480112, "DS", str(power))]),
        (0x00480303, "UL", 1),
        (0x52009229, "SQ", [(0x00289110, "SQ", measures)]),
        (0x7FE00010, "OB", tiles.tobytes()),
    ]
    head = b"".join(
        _element(*one)
        for one in [
            (0x00020001, "OB", b"\0\1"), (0x00020002, "UI", slide), (0x00020003, "UI", kind),
            (0x00020010, "UI", syntax), (0x00020012, "UI", "2.25.79"),
        ]
    )  # fmt: skip
    length = _element(0x00020000, "UL", len(head))
    body = b"".join(_element(*one) for one in elements)
    path.write_bytes(bytes(128) + b"DICM" + length + head + body)


def _element(tag: int, kind: str, value: Any) -> bytes:
    """Encode an element, explicit and little endian (Part 5 of the standard, section 7.1.2)."""
    if kind == "SQ":
        item = b"".join(_element(*one) for one in value)
        content = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    elif kind in ("US", "UL"):
        content = struct.pack({"US": "<H", "UL": "<I"}[kind], value)
    else:
        content = value if isinstance(value, bytes) else value.encode()
        content += (b"\0" if kind in ("UI", "OB") else b" ") * (len(content) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind.encode()
    if kind in ("OB", "SQ"):
        return head + struct.pack("<HI", 0, len(content)) + content
    return head + struct.pack("<H", len(content)) + content
