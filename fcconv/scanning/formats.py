"""Files of images, opened so that they are read by region: what each format stores, and how."""

from __future__ import annotations

import logging
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import BackendError, FcconvError, ImageError
from fcconv.scanning.readers import Sound, Volume, needed

MOST_CHUNK = 2**26
"""Bytes of a compressed part that is read as a whole; a larger one would not be bounded memory."""

PICTURES = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "PPM", "JPEG2000")
"""Formats that Pillow may read; others run programs (EPS), or are guessed at (TGA)."""

LETTERS = {"Y": "H", "X": "W", "S": "C", "C": "C", "Z": "D"}
"""Axes of an image by their letters in a TIFF."""

# What tifffile says about odd tags; without a handler, Python would print it
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, eq=False)
class Stored:
    """What is stored, as arrays that are read where they are sliced.

    Attributes
    ----------
    levels : tuple of array
        The array, and the same in ever fewer pixels where the file is a pyramid.
    axes : str
        A letter for each axis: N, C, D, H, W, or in lower case what no image has. Empty where their
        number says which they are.
    alpha : bool
        Whether the last channel is opacity.
    stamp : str
        Size and date of the file; empty where there is no single file.
    nodata : float, optional
        The number that the file uses for pixels without a value.
    """

    levels: tuple[Any, ...]
    axes: str = ""
    alpha: bool = False
    stamp: str = ""
    nodata: float | None = None


def open_file(path: Path) -> Stored:
    """Open the image in a file or a Zarr folder; its suffix says the format.

    Raises
    ------
    ImageError
        If there is none, or it can't be read.
    BackendError
        If a library is missing that reads the format.
    """
    opener = _opener(path)
    try:
        with warnings.catch_warnings():  # what libraries say of odd files is no news to the user
            warnings.simplefilter("ignore")
            return opener(path)
    except FcconvError:
        raise
    except Exception as error:  # decoders raise anything on a file that is broken on purpose
        raise ImageError(f"{path} can't be read: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return what an error says, or its name where it says nothing."""
    return str(error) or type(error).__name__


def _opener(path: Path) -> Callable[[Path], Stored]:
    """Return the function that opens the file."""
    if not path.exists():
        raise ImageError(f"{path} does not exist")
    if path.is_dir():
        if path.suffix == ".zarr" or any((path / f).exists() for f in ("zarr.json", ".zarray")):
            return _open_zarr
        raise ImageError(f"{path} is a folder: give a file in it, or a Zarr array")
    for suffix, opener in OPENERS.items():
        if path.name.lower().endswith(suffix):
            return opener
    raise ImageError(
        f"{path} has a suffix of no known format ({', '.join(OPENERS)}): rename or convert it"
    )


def _stamp(path: Path) -> str:
    """Say how large a file is, and when it was last written."""
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns} ns"


def _check_chunk(path: Path, array: Any) -> None:
    """Refuse an array of which a part that is compressed as a whole is too large."""
    size = int(np.prod(array.chunks, dtype=object)) * int(array.dtype.itemsize)
    if size > MOST_CHUNK:
        raise ImageError(
            f"{path} is compressed in parts of {array.chunks} entries, {size} bytes, more than the "
            f"{MOST_CHUNK} that are read as a whole: convert it to tiles, such as of 512 x 512"
        )


# Pictures


def _open_picture(path: Path) -> Stored:
    """Decode a picture by Pillow: none of its formats is read by region."""
    pillow, transposing = needed("PIL.Image"), needed("PIL.ImageOps")
    try:
        with pillow.open(path, formats=PICTURES) as picture:
            _check_picture(path, picture)
            picture.load()
            transposing.exif_transpose(picture, in_place=True)
            pixels = np.asarray(_plain(path, picture))
    except pillow.DecompressionBombError as error:
        raise ImageError(
            f"{path} is too large to be decoded as a whole: convert it to a tiled TIFF"
        ) from error
    axes = "HW" if pixels.ndim == 2 else "HWC"
    return Stored((pixels,), axes, stamp=_stamp(path))


def _check_picture(path: Path, picture: Any) -> None:
    """Refuse what Pillow would give in part only: several images, or 16 bits a colour."""
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:  # MPO: previews follow
        raise ImageError(f"{path} holds {picture.n_frames} images: save the one to scan")
    if any(";16" in str(tile[3]) for tile in picture.tile) and picture.mode.startswith("RGB"):
        raise ImageError(
            f"{path} has 16 bits a colour, of which Pillow reads 8: convert it to a TIFF"
        )


def _plain(path: Path, picture: Any) -> Any:
    """Return a picture without palette and opacity."""
    gray = picture.mode in ("1", "L", "LA")
    if picture.has_transparency_data:
        picture = picture.convert("LA" if gray else "RGBA")
        least, _ = picture.getchannel("A").getextrema()
        if least < 255:
            raise ImageError(
                f"{path} is transparent in part: put it on a background, and save it without alpha"
            )
    if gray:
        return picture.convert("L")
    if picture.mode in ("P", "RGBA"):
        return picture.convert("RGB")
    if picture.mode != "RGB" and not picture.mode.startswith(("I", "F")):
        raise ImageError(f"{path} has {picture.mode} pixels: convert it to RGB or grey")
    return picture


# TIFF


def _open_tiff(path: Path) -> Stored:
    """Open the first series of a TIFF; others are labels, thumbnails and the like."""
    tifffile, zarr = needed("tifffile"), needed("zarr")
    tiff = tifffile.TiffFile(path)
    try:
        series = tiff.series[0]
        _check_tiff(path, tifffile, series)
        axes = series.get_axes(False)
        levels = [level for level in series.levels if level.get_axes(False) == axes]
        extra = series.keyframe.extrasamples
        stored = Stored(
            levels=tuple(_tiff_array(path, zarr, level) for level in levels),
            axes="".join(LETTERS.get(axis, axis.lower()) for axis in map(str, axes)),
            alpha=bool(extra) and extra[-1] in (1, 2),  # associated or unassociated alpha
            stamp=_stamp(path),
        )
    except BaseException:
        tiff.close()
        raise
    weakref.finalize(stored, tiff.close)
    return stored


def _check_tiff(path: Path, tifffile: Any, series: Any) -> None:
    """Refuse a TIFF that is cut off or can't be decoded, or is neither brightness nor RGB."""
    page = series.keyframe
    colours = tifffile.PHOTOMETRIC
    from_jpeg = page.photometric == colours.YCBCR and "JPEG" in repr(page.compression)
    if page.photometric not in (colours.MINISBLACK, colours.RGB) and not from_jpeg:
        kind = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"{path} stores {kind} pixels: convert it to RGB or grey")
    try:
        if page.compression != 1:
            tifffile.TIFF.DECOMPRESSORS[page.compression]
        if page.predictor != 1:
            tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError as error:
        if "imagecodecs" not in str(error):
            raise
        raise BackendError(f"{path} can't be read: {error.args[0]}: install it with pip") from error
    for page in series:
        if page is not None:
            parts = zip(page.dataoffsets, page.databytecounts, strict=False)
            end, size = max(map(sum, parts), default=0), page.parent.filehandle.size
            if end > size:
                raise ImageError(f"{path} is cut off: {size} bytes of {end}: copy it again")


def _tiff_array(path: Path, zarr: Any, level: Any) -> Any:
    """Return the array of one level: mapped where it is stored as it is, else read by tile."""
    if level.dataoffset is not None and level.transform is None:
        order = level.keyframe.parent.byteorder
        dtype = np.dtype(level.dtype).newbyteorder(order)
        return np.memmap(path, dtype, "r", level.dataoffset, level.get_shape(False))
    array = zarr.open_array(level.aszarr(level=0, squeeze=False), mode="r")
    _check_chunk(path, array)
    return array


# Arrays


def _open_npy(path: Path) -> Stored:
    """Map a NumPy file."""
    return Stored((np.lib.format.open_memmap(path, mode="r"),), stamp=_stamp(path))


def _open_zarr(path: Path) -> Stored:
    """Open a Zarr array."""
    zarr = needed("zarr")
    try:
        array = zarr.open_array(path, mode="r")
    except zarr.errors.NodeTypeValidationError as error:
        raise ImageError(
            f"{path} is a group of Zarr arrays: give the path of the one to scan"
        ) from error
    _check_chunk(path, array)
    return Stored((array,))


# Sound and volumes


def _open_sound(path: Path) -> Stored:
    """Open a sound file."""
    return Stored((Sound(path),), "WC", stamp=_stamp(path))


def _open_volume(path: Path) -> Stored:
    """Open a NIfTI file: three axes in space, then channels; with five, time before these."""
    volume = Volume(path)
    axes = {4: "DHWC", 5: "DHWtC"}.get(len(volume.shape), "DHW")
    return Stored((volume,), axes, stamp=_stamp(path))


OPENERS: dict[str, Callable[[Path], Stored]] = {
    **dict.fromkeys((".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn"), _open_tiff),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"), _open_picture),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".jp2"), _open_picture),
    ".npy": _open_npy,
    **dict.fromkeys((".wav", ".flac", ".ogg"), _open_sound),
    **dict.fromkeys((".nii", ".nii.gz"), _open_volume),
}
"""Suffix to the function that opens such a file."""
