"""Images of any size, read by region: arrays and files, in whatever order their axes are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.blocks import blocks, in_words
from fcconv.images.channels import runs
from fcconv.images.coordinates import NAMES, Coordinates, spaced
from fcconv.images.layouts import unit
from fcconv.images.libraries import reason
from fcconv.images.mapped import is_whole, release
from fcconv.images.missing import Mask, cleared, without_value
from fcconv.images.overviews import envelope, sampled
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored
from fcconv.images.watched import Watched

OVERVIEW_BLOCK_ENTRIES = 2**24
"""Entries that an overview reads at a time, unless the file's own parts are larger."""

ROW_PIXELS = 2**14
"""Pixels of a row that are read together from arrays without chunks, whose rows are contiguous."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image that is read by region; threads may read at the same time.

    Attributes
    ----------
    name : str
        Name of the file, or "array"; in a batch, with the number of the image.
    stored : Stored
        The arrays that hold it.
    axes : str
        A letter for each of their axes: C, D, H, W, or "." for one of which one entry is read.
    at : tuple of int
        That entry; 0 for the other axes.
    alpha : bool
        Whether the last channel is opacity, which has to be full and is left out.
    watched : Watched
        Its files, as they were before they were opened.
    asked : Reading
        How it was to be opened.
    chosen : tuple of int, optional
        Which channels are read, from 0 on, in order; all, if left out.
    masks : tuple of array
        Where pixels of each level have no value, as :class:`Stored` has it.
    """

    name: str
    stored: Stored
    axes: str
    at: tuple[int, ...]
    alpha: bool = False
    watched: Watched = field(default_factory=Watched)
    asked: Reading = field(default_factory=Reading)
    chosen: tuple[int, ...] | None = None
    masks: tuple[Any, ...] = ()
    scale = 1.0

    @property
    def picture(self) -> Image:
        """The picture that it is a size of: itself."""
        return self

    @property
    def channels(self) -> int:
        """Channels, without opacity."""
        return self._entries - self.alpha if self.chosen is None else len(self.chosen)

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each spatial axis."""
        return self._sizes(self.stored.levels[0])

    @property
    def levels(self) -> list[Any]:
        """The levels of a pyramid that have all channels and planes, of which some drop some."""
        first = self.stored.levels[0].shape
        own = [axis for axis, letter in enumerate(self.axes) if letter in ".C"]
        levels = self.stored.levels
        return [one for one in levels if all(one.shape[k] == first[k] for k in own)]

    @property
    def level_sizes(self) -> list[tuple[int, ...]]:
        """Pixels along each spatial axis of the image, and of the smaller levels of a pyramid."""
        return [self._sizes(level) for level in self.levels]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels that are read."""
        dtype = np.dtype(self.stored.levels[0].dtype)
        return np.dtype(np.float32) if dtype.kind == "b" else dtype.newbyteorder("=")

    @property
    def bits(self) -> int | None:
        """Bits of a pixel that are in use; None where that is not known."""
        return self.stored.bits

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about the file, or found, that changes what the pixels mean."""
        if self.chosen is None:
            return self.stored.notes
        names = self.stored.channel_names or ("",) * self._entries
        told = (f"{k + 1} ({names[k]})" if names[k] else f"{k + 1}" for k in self.chosen)
        return (*self.stored.notes, f"channels {', '.join(told)} of {self._entries}")

    def other_channels(self, needed: int) -> str:
        """Say how the same image could have as many channels as are needed; "" if it can't."""
        if self.alpha:
            return f"layout={self._layout()!r} (--layout) counts opacity as a channel"
        if self.stored.alpha and self.chosen is None:
            return "without layout, opacity is left out"
        ways = [] if self.stored.axes else ["say with layout (--layout) which axis holds them"]
        if needed == 1 and (placed := self.stored.coordinates) is not None and placed.unit == "s":
            ways.append("mono=True (--mono) takes their mean")
        if needed <= self._entries and not self.alpha:
            told = ",".join(str(k + 1) for k in range(needed))
            ways.append(f"channels (--channels {told}) takes {needed} of its {self._entries}")
        return ", or ".join(ways)

    @property
    def coordinates(self) -> Coordinates | None:
        """Where in the world its pixels lie, along its spatial axes; None where it says nothing."""
        told, side = self.stored.coordinates, self.asked.get("source_mpp")
        if side is not None:
            rank = len(self._spatial)
            return spaced([float(side)] * rank, "µm", NAMES[-rank:])
        if told is None:
            return None
        known = [place for place, letter in enumerate(self.stored.axes) if letter in "DHW"]
        places = [self.axes.index(letter) for letter in self._spatial]
        if not set(places) <= set(known):
            return None
        found = told.along([known.index(place) for place in places])
        return found if found is not None and found.is_known else None

    @property
    def nodata(self) -> float | None:
        """The number that the file uses for pixels without a value; None if it says nothing."""
        return self.stored.nodata

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None, level: int = 0
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region, zeros where pixels have no value, and say where that is.

        Parameters
        ----------
        region : tuple of slice
            From which pixel to which, along each spatial axis.
        nodata : float or None
            The number that stands for no value.
        level : int
            Which level of a pyramid is read, whose pixels the region counts.

        Returns
        -------
        pixels : array, shape (C, *region)
            As :meth:`read` returns them.
        missing : array of bool, shape (*region), or None
            Where there is no value, see :func:`fcconv.images.missing.without_value`.
        """
        pixels = self.read(region, level)
        missing = without_value(pixels, nodata)
        if self.masks:
            masked = np.asarray(self._chosen(self.masks[level], region).all(axis=0))
            missing = masked if missing is None else np.logical_or(missing, masked)
        return cleared(pixels, missing if missing is not None and missing.any() else None)

    def read(self, region: tuple[slice, ...], level: int = 0) -> np.ndarray:
        """Read a region, and no more of the image than its format makes necessary.

        Parameters
        ----------
        region : tuple of slice
            From which pixel to which, along each spatial axis.
        level : int
            Which level of a pyramid is read, whose pixels the region counts.

        Returns
        -------
        array, shape (C, *region)
            Its pixels; truth values as 0 and 1.

        Raises
        ------
        ImageError
            If the region is broken or transparent, or not in the image; if its file has changed
            since it was opened.
        """
        sizes = self.level_sizes[level]
        for part, size in zip(region, sizes, strict=True):
            if not 0 <= part.start <= part.stop <= size:
                raise ImageError(
                    f"{self.name} of {sizes} {unit(len(region))} has no {in_words(region)}"
                )
        return self._read(self.levels[level], region)

    def overview(self, most: int) -> np.ndarray:
        """Return the whole image in few pixels, reading part by part.

        Parameters
        ----------
        most : int
            Pixels along the longest axis, at most.

        Returns
        -------
        array, shape (C, *small)
            Every n-th pixel, with the smallest n that will do, across a strip a smaller one; of a
            pyramid, those of a level that has more than half as many as asked for, or of the
            nearest larger one. Along a single axis the lowest and the highest sample of each part,
            in turn.
        """
        level = self.stored.levels[0]
        for coarser in self.levels[1:]:
            if 2 * max(self._sizes(coarser)) > most:
                level = coarser
        size = self._sizes(level)
        parts = blocks(size, self._chunk(level), OVERVIEW_BLOCK_ENTRIES // self._entries)
        small = envelope if len(size) == 1 else sampled
        return small(partial(self._read, level), parts, (self.channels, *size), self.dtype, most)

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes of a region of so many pixels."""
        entries = sum(map(_length, self._runs(self.stored.levels[0])))
        if self.chosen is not None:
            entries += len(self.chosen)  # which are copied out of them
        return math.prod(pixels) * entries * self.dtype.itemsize

    def identity(self) -> str:
        """Return what tells this image from another: size and date of a file, else all pixels."""
        shape = f"{self.axes} {self.channels} x {self.size} {self.dtype}"
        return f"{self.name}, {shape}, {self.stored.stamp or self._fingerprint()}"

    @property
    def _entries(self) -> int:
        """The entries of one pixel."""
        shape = self.stored.levels[0].shape
        return int(shape[self.axes.index("C")]) if "C" in self.axes else 1

    def _runs(self, level: Any) -> list[slice]:
        """Return which entries are read of an array, for the channels that were chosen."""
        if "C" not in self.axes:
            return [slice(0, 1)]
        axis, chunks = self.axes.index("C"), _chunks(level)
        if self.chosen is None or level.shape[axis] == 1:
            return [slice(0, int(level.shape[axis]))]
        # without chunks, what lies along the last axis is read in one piece
        alone = 1 if axis < len(self.axes) - 1 else self._entries
        return runs(self.chosen, alone if chunks is None else int(chunks[axis]))

    def _layout(self) -> str:
        """Return what the file says of its axes, or what they were taken for, as a layout."""
        stored = self.stored.axes.upper() or self.axes.replace(".", "N")
        known = zip(self.axes, stored, self.stored.levels[0].shape, strict=True)
        return "".join(told if letter == "." else letter for letter, told, n in known if n > 1)

    @property
    def _spatial(self) -> str:
        """The letters of the spatial axes, in order."""
        return "".join(letter for letter in "DHW" if letter in self.axes)

    def _sizes(self, level: Any) -> tuple[int, ...]:
        """Return the spatial sizes of a level."""
        return tuple(int(level.shape[self.axes.index(letter)]) for letter in self._spatial)

    def _chunk(self, level: Any) -> tuple[int, ...]:
        """Return the pixels that a level reads as a whole, along each spatial axis."""
        chunks = _chunks(level)
        if chunks is None:
            return (*(1 for _ in self._spatial[1:]), ROW_PIXELS)
        return tuple(int(chunks[self.axes.index(letter)]) for letter in self._spatial)

    def _read(self, level: Any, region: tuple[slice, ...]) -> np.ndarray:
        """Read a region of a level; its slices may have steps."""
        pixels = self._chosen(level, region).astype(self.dtype, copy=False)
        return self._without_alpha(pixels, region) if self.alpha else pixels

    def _chosen(self, array: Any, region: tuple[slice, ...]) -> np.ndarray:
        """Read the channels that were chosen, or the only one that is there for each of them."""
        parts, found = dict(zip(self._spatial, region, strict=True)), self._runs(array)
        read = [self._entry(array, {**parts, "C": run}, region) for run in found]
        pixels = read[0] if len(read) == 1 else np.concatenate(read)
        if self.chosen is None:
            return pixels
        there = [place for run in found for place in range(run.start, run.stop)]
        return pixels[[there.index(place) if len(there) > 1 else 0 for place in self.chosen]]

    def _entry(
        self, level: Any, parts: Mapping[str, slice], region: tuple[slice, ...]
    ) -> np.ndarray:
        """Read the parts of a level along each axis, of one entry of those that are left out."""
        index = tuple(
            slice(entry, entry + 1) if letter == "." else parts[letter]
            for letter, entry in zip(self.axes, self.at, strict=True)
        )
        try:
            if isinstance(level, np.memmap) and not is_whole(level):
                raise EOFError("the file has become shorter")
            pixels = np.asarray(level[index])
        except Exception as error:  # decoders raise anything on a file that is broken on purpose
            self._check_unchanged()
            raise ImageError(
                f"{self.name} can't be read in its {in_words(region)}: {reason(error)}"
            ) from error
        self._check_unchanged()  # after it is read: what changes later makes no difference to it
        if pixels.shape != tuple(_length(part) for part in index):
            raise ImageError(f"{self.name} ends before its {in_words(region)} does: copy it again")
        if isinstance(level, np.memmap):
            pixels = pixels.copy()  # read from the disk now, and not where it is first used
            if level.mode == "r":
                release(level)
        return self._ordered(pixels)

    def _check_unchanged(self) -> None:
        if self.watched.has_changed():
            raise ImageError(
                f"{self.name} has changed since it was opened: put it back as it was, or scan it "
                "anew"
            )

    @property
    def _order(self) -> list[int]:
        """Where the axes lie in what is stored: those left out, channels, then spatial ones."""
        return sorted(range(len(self.axes)), key=lambda axis: ".CDHW".index(self.axes[axis]))

    def _ordered(self, pixels: np.ndarray) -> np.ndarray:
        """Return stored entries as channels, then spatial axes."""
        pixels = pixels.transpose(self._order)
        count = math.prod(pixels.shape[: -len(self._spatial)])  # that of the channels
        return pixels.reshape(count, *pixels.shape[-len(self._spatial) :])

    def _without_alpha(self, pixels: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        """Drop the opacity, which must be full."""
        full = 1
        if self.dtype.kind in "iu":
            full = np.iinfo(self.dtype).max if self.bits is None else 2**self.bits - 1
        if not bool((pixels[-1] == full).all()):
            raise ImageError(
                f"{self.name} is transparent in part of its {in_words(region)}: put it on a "
                f"background, and save it without alpha; or, if its last band is not opacity, "
                f"layout={self._layout()!r} (--layout) counts it as a channel"
            )
        return pixels[:-1]

    def _fingerprint(self) -> str:
        """Return a hash of all pixels, read part by part."""
        digest, level = hashlib.blake2b(), self.stored.levels[0]
        for block in blocks(self.size, self._chunk(level), OVERVIEW_BLOCK_ENTRIES // self._entries):
            pixels = np.ascontiguousarray(self._read(level, block))
            digest.update(pixels.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def _chunks(level: Any) -> Any:
    """Return the entries that an array reads as a whole along each axis; None where it has none."""
    return getattr(level, "chunksize", None) or getattr(level, "chunks", None)


def _length(part: slice) -> int:
    """Return how many entries a slice takes."""
    return len(range(part.start, part.stop, part.step or 1))
