"""TIFF files as scanners write them, and tifffile would not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

TILE = 32


def write_aperio(path: Path, pixels: np.ndarray, compression: int) -> None:
    """Write pixels (H, W, 3), as they are, in tiles of JPEG 2000 that the file calls RGB."""
    height, width, _ = pixels.shape

    def tiles() -> Iterator[bytes]:
        for row in range(0, height, TILE):
            for column in range(0, width, TILE):
                tile = np.ascontiguousarray(pixels[row : row + TILE, column : column + TILE])
                yield bytes(imagecodecs.jpeg2k_encode(tile, level=0, codecformat="j2k", mct=False))

    with tifffile.TiffWriter(path) as writer:
        writer.write(
            tiles(),
            shape=pixels.shape,
            dtype="u1",
            tile=(TILE, TILE),
            photometric="rgb",
            compression="jpeg2000",
            description=f"Aperio Image Library v11\r\n{width}x{height} J2K|AppMag = 20",
            metadata=None,
        )
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages.first.tags[259].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = compression.to_bytes(2, "little")
    path.write_bytes(data)


def scn(images: dict[str, list[tuple[int, int]]]) -> str:
    """Describe the images of a Leica SCN, and the sizes of their levels, a page each."""
    pages, text = 0, ""
    for name, sizes in images.items():
        text += f'<image name="{name}"><pixels sizeX="{sizes[0][1]}" sizeY="{sizes[0][0]}">'
        for level, (height, width) in enumerate(sizes):
            text += f'<dimension sizeX="{width}" sizeY="{height}" r="{level}" ifd="{pages}"/>'
            pages += 1
        text += "</pixels></image>"
    space = "http://www.leica-microsystems.com/scn/2010/10/01"
    return f'<?xml version="1.0"?><scn xmlns="{space}"><collection>{text}</collection></scn>'
