"""Virtual rasters, which put others together: checked before GDAL follows what they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from fcconv.errors import ImageError

IMAGES = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+", b"EHFA_HEADER_TAG", b"\0\0\0\x0cjP  ")
"""How files begin that are images by themselves: TIFF, BigTIFF, those of ERDAS, JPEG 2000."""

MOST_BYTES, MOST_DEEP = 2**26, 8
"""Bytes of a virtual raster, and how many of them refer to each other, at most."""


def check_mosaic(path: Path, deep: int = 0) -> None:
    """Check that a virtual raster is a plain mosaic of local images.

    GDAL would open whatever it names: addresses, databases, descriptions of services.

    Raises
    ------
    ImageError
        If it is not.
    """
    if path.stat().st_size > MOST_BYTES or deep == MOST_DEEP:
        raise ImageError(f"{path} is too large for a virtual raster, or one of too many")
    content = path.read_bytes()
    if b"<!" in content.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise ImageError(f"{path} declares entities, which no virtual raster needs: make it anew")
    try:
        whole = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ImageError(f"{path} is not a virtual raster, or damaged: {error}") from None
    for element in whole.iter():
        kind = element.get("subClass", "")
        if element is whole and kind:
            raise ImageError(f"{path} is a {kind}: make a GeoTIFF of it by gdal_translate")
        if kind not in ("", "VRTSourcedRasterBand"):
            raise ImageError(f"{path} has a {kind}: make a GeoTIFF of it by gdal_translate")
    for source in _sources(path, whole):
        _check_source(path, source, deep)


def _sources(path: Path, whole: ElementTree.Element) -> Iterator[Path]:
    """Yield the files that it refers to."""
    for element in whole.iter():
        if element.tag.lower() in ("sourcefilename", "sourcedataset"):
            name = element.text or ""
            is_beside = element.get("relativeToVRT") == "1"
            yield path.parent / name if is_beside else Path(name)


def _check_source(path: Path, source: Path, deep: int) -> None:
    """Check that it is a file of its own, of a kind that refers to no other."""
    told = f"{path} refers to {str(source)!r}"
    try:
        with source.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError):
        raise ImageError(f"{told}, which is not a file here: nothing is fetched") from None
    if source.suffix.lower() == ".vrt":
        check_mosaic(source, deep + 1)
    elif not head.startswith(IMAGES):
        raise ImageError(f"{told}, which is not a TIFF, JPEG 2000 or .img: convert it")
