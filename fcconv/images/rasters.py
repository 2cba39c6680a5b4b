"""Scenes of satellites and planes, by rasterio: bands, what has no value, and the ground."""

from __future__ import annotations

import hashlib
import math
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.coordinates import Coordinates
from fcconv.images.libraries import needed
from fcconv.images.mosaics import check_mosaic
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, check_chunk, stamp

DRIVERS = {".vrt": "VRT", ".img": "HFA", ".jp2": "JP2OpenJPEG"}
"""What GDAL reads a file by; GTiff, where it is not said."""

GDAL = {
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",  # nothing is fetched, whatever a file refers to
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_CACHEMAX": 128,  # megabytes; by default a part of the machine's memory
}
"""Options of GDAL, in which nothing leaves this machine."""

UNITS = {"metre": "m", "meter": "m", "degree": "°"}
"""Units of coordinate systems, as they are written; others go by their names."""

UNREAD = ("palette", "cyan", "magenta", "yellow", "black")
"""What bands hold that are neither brightness nor RGB."""


def open_raster(path: Path, _reading: Reading) -> Stored:
    """Open a file of one grid of bands that GDAL reads, without a network.

    Raises
    ------
    ImageError
        If it refers to what is not a local image, or its bands are neither brightness nor RGB.
    BackendError
        If rasterio is not installed.
    """
    rasterio = needed("rasterio", "geo")
    needed("pyproj", "geo")  # which results take, hours later
    suffix = path.suffix.lower()
    if suffix == ".vrt":
        check_mosaic(path)
    place = str(path.resolve())  # an absolute path is nothing else to GDAL, whatever it is called
    opened: list[Any] = []

    def level(**options: Any) -> Any:
        opened.append(rasterio.open(place, driver=DRIVERS.get(suffix, "GTiff"), **options))
        return opened[-1]

    try:
        with rasterio.Env(**GDAL):
            whole = level()
            smaller = [level(overview_level=k) for k in range(len(whole.overviews(1)))]
            stored = _stored(path, rasterio, whole, smaller)
    except BaseException:
        _close(opened)
        raise
    weakref.finalize(stored, _close, opened)
    return stored


def _close(opened: Sequence[Any]) -> None:
    for dataset in opened:
        dataset.close()


def _stored(path: Path, rasterio: Any, whole: Any, smaller: Sequence[Any]) -> Stored:
    """Say what a dataset holds."""
    kinds = [kind.name for kind in whole.colorinterp]
    _check_bands(path, whole, kinds)
    scales = tuple(zip(whole.scales, whole.offsets, strict=True))
    is_scaled = any(pair != (1, 0) for pair in scales)
    grids = [Grid(rasterio, dataset) for dataset in (whole, *smaller)]
    levels = tuple(Bands(grid, scales if is_scaled else None) for grid in grids)
    check_chunk(path, levels[0])
    alpha, notes = kinds[-1] == "alpha" and whole.count > 1, []
    if is_scaled:
        told = sorted({f"times {scale:g} plus {offset:g}" for scale, offset in scales})
        notes.append(f"pixels are {', or '.join(told)}, as the file says of its bands")
    if alpha:
        every = ",".join(str(band) for band in whole.indexes)
        notes.append(
            f"band {whole.count} is opacity: where it is 0 pixels have no value; --channels "
            f"{every} takes it as a channel"
        )
    coordinates, lacking = _coordinates(rasterio, whole)
    numbers = {str(number) for number in whole.nodatavals}  # NaN is not NaN
    is_plain = len(numbers) == 1 and not is_scaled
    by_dataset = rasterio.enums.MaskFlags.per_dataset in whole.mask_flag_enums[0]
    return Stored(
        levels=levels,
        axes="CHW",
        alpha=alpha,
        stamp=_stamp(path, whole.files),
        bits=None if is_scaled else _bits(whole),
        nodata=whole.nodatavals[0] if is_plain else None,
        masks=tuple(Invalid(grid, by_dataset) for grid in grids if by_dataset or not is_plain),
        notes=(*notes, *lacking),
        coordinates=coordinates,
        channel_names=tuple(map(_name, whole.descriptions, kinds)),
    )


def _check_bands(path: Path, dataset: Any, kinds: Sequence[str]) -> None:
    """Refuse a dataset without bands, or whose bands are neither brightness nor RGB."""
    if not dataset.count:
        raise ImageError(f"{path} holds several images and no bands of its own: give one of them")
    odd = sorted({*kinds} & {*UNREAD})
    if odd or dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        what = odd[0] if odd else "inverted grey"
        raise ImageError(
            f"{path} stores {what} pixels: convert it to RGB or grey, as by gdal_translate -expand"
        )


def _name(description: str | None, kind: str) -> str:
    return description or ("" if kind in ("undefined", "gray") else kind)


def _bits(dataset: Any) -> int | None:
    """Return the bits of a pixel that are in use, where the file says so."""
    told = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", "")
    is_unsigned = np.dtype(dataset.dtypes[0]).kind == "u"
    return int(told) if told.isdecimal() and is_unsigned else None


def _stamp(path: Path, files: Sequence[str]) -> str:
    """Say how large the file is and when it was written, and those that belong to it."""
    beside = [Path(file) for file in files if Path(file) != path.resolve()]
    if not beside:
        return stamp(path)
    others = "; ".join(f"{file.name} {stamp(file)}" for file in beside)
    return f"{stamp(path)}, others {hashlib.blake2b(others.encode(), digest_size=16).hexdigest()}"


def _coordinates(rasterio: Any, dataset: Any) -> tuple[Coordinates | None, list[str]]:
    """Return where on the ground pixels lie, and what is to be said where that is not known."""
    move, system = dataset.transform, dataset.crs
    if dataset.gcps[0] and move.is_identity:
        return None, ["its ground control points are not used: gdalwarp makes a grid of them"]
    if not all(map(math.isfinite, move)) or move.is_degenerate:
        return None, ["its place on the ground is not kept: its transform is not one"]
    if move.is_identity and not system:
        return None, []
    unit = "units"
    if system:
        try:
            name = str(system.units_factor[0])
            unit = UNITS.get(name, name)
        except rasterio.errors.CRSError:  # of a system without units
            pass
    matrix = ((move.e, move.d, move.f), (move.b, move.a, move.c))
    return Coordinates(("y", "x"), unit, matrix, system.to_wkt() if system else ""), []


@dataclass(frozen=True, eq=False)
class Grid:
    """A dataset of rasterio, or an overview of one, which one thread reads at a time."""

    rasterio: Any
    dataset: Any
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands, and pixels along each axis."""
        return (self.dataset.count, *self.dataset.shape)

    @property
    def dtype(self) -> Any:
        """Data type that holds the pixels of all bands."""
        return np.result_type(*self.dataset.dtypes)

    def pixels(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part of its bands."""
        return self._read(index, self.dataset.read, out_dtype=self.dtype)

    def masks(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part of what says where bands have values: 0 where not."""
        return self._read(index, self.dataset.read_masks)

    def _read(self, index: tuple[slice, ...], read: Any, **options: Any) -> np.ndarray:
        bands, rows, columns = index
        window = self.rasterio.windows.Window(
            columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
        )
        numbers = list(self.dataset.indexes[bands])
        try:
            with self.lock, self.rasterio.Env(**GDAL):
                found: np.ndarray = read(numbers, window=window, **options)
        except self.rasterio.errors.RasterioError as error:  # which says that there is a cause
            raise OSError(str(error.__cause__ or error)) from error
        return found[:, :: rows.step or 1, :: columns.step or 1]


@dataclass(frozen=True, eq=False)
class Bands:
    """Pixels ``(bands, H, W)``, read where they are sliced.

    Attributes
    ----------
    grid : Grid
        What they are read from.
    factors : sequence of (float, float), optional
        What pixels of each band are multiplied by, and what is added then, which makes floats.
    """

    grid: Grid
    factors: Sequence[tuple[float, float]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Bands, and pixels along each axis."""
        return self.grid.shape

    @property
    def dtype(self) -> Any:
        """Data type of the pixels that are read."""
        return self.grid.dtype if self.factors is None else np.dtype(np.float32)

    @property
    def chunks(self) -> tuple[int, ...]:
        """What the file stores together, bands too where they are interleaved by pixel."""
        dataset = self.grid.dataset
        together = dataset.interleaving == self.grid.rasterio.enums.Interleaving.pixel
        return (dataset.count if together else 1, *dataset.block_shapes[0])

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        pixels = self.grid.pixels(index)
        if self.factors is None:
            return pixels
        scales, offsets = np.array(self.factors[index[0]]).T[..., np.newaxis, np.newaxis]
        return np.asarray(pixels * scales + offsets, np.float32)


@dataclass(frozen=True, eq=False)
class Invalid:
    """Where pixels have no value, ``(1, H, W)`` for all bands, or ``(bands, H, W)`` for each."""

    grid: Grid
    for_all: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """1 or the number of bands, and pixels along each axis."""
        return (1 if self.for_all else self.grid.shape[0], *self.grid.shape[1:])

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a part."""
        return np.asarray(self.grid.masks(index) == 0)
