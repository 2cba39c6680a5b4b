"""The size in which an image is read: that of a level, of microns a pixel, of an objective."""

from __future__ import annotations

import math
from typing import Any, Unpack

from fcconv.arguments import as_integer, as_number
from fcconv.errors import ArgumentError, ImageError, UnsupportedError
from fcconv.images.image import Image
from fcconv.images.layouts import axes_in_words
from fcconv.images.lengths import MICRONS
from fcconv.images.opening import open_images
from fcconv.images.reading import Reading
from fcconv.images.scales import Resized, factors_of, resized
from fcconv.images.stored import listed

SIZES = ("level", "mpp", "magnification")
"""What says in which size an image is read."""

NEAR = 0.02
"""Parts by which the microns of a level may differ from those wanted for it to be read as stored:
scanners of one power differ by as much."""

MICRONS_OF_POWER_1 = 10.0
"""Microns a pixel, times the power of an objective: 0.5 at 20, 0.25 at 40."""


def open_sized(
    source: Any, rank: int, **reading: Unpack[Reading]
) -> tuple[list[Image | Resized], bool]:
    """Open an image or a batch of images, in the size that is asked for.

    See :func:`fcconv.images.opening.open_images`.

    Raises
    ------
    ArgumentError
        If what says the size makes no sense, or several things do.
    ImageError
        If the image has no such level, or does not tell the size of its pixels.
    UnsupportedError
        If the image has another number of axes than two.
    """
    images, batch = open_images(source, rank, **reading)
    return [sized(image) for image in images], batch


def sized(image: Image) -> Image | Resized:
    """Return an image in the size that was asked for when it was opened.

    Raises
    ------
    ArgumentError, ImageError, UnsupportedError
        See :func:`open_sized`.
    """
    asked: dict[str, Any] = {**image.asked}
    told = [name for name in (*SIZES, "source_mpp") if name in asked]
    if not told:
        return image
    if len(image.size) != 2:
        raise UnsupportedError(
            f"{image.name} has {axes_in_words(len(image.size))}, and {_option(told[0])} is of "
            f"images with two: leave it out"
        )
    for name in told:
        if name != "level" and not 0 < as_number(asked[name]) < math.inf:
            raise ArgumentError(f"{_option(name)} needs a positive number, got {asked[name]!r}")
    sizes = [name for name in told if name in SIZES]
    if len(sizes) > 1:
        raise ArgumentError(
            f"{' and '.join(map(_option, sizes))} each say in which size the image is read: give "
            f"one of them"
        )
    if "level" in asked:
        return _at_level(image, asked["level"])
    if "mpp" in asked:
        wanted = as_number(asked["mpp"])
        return _at_microns(image, wanted, f"{wanted:g} microns a pixel")
    if "magnification" in asked:
        return _magnified(image, as_number(asked["magnification"]))
    return image


def _at_level(image: Image, level: Any) -> Image | Resized:
    """Return a level of a pyramid."""
    number, sizes = as_integer(level), image.level_sizes
    if number is None or not 0 <= number < len(sizes):
        known = listed(enumerate(" x ".join(map(str, size)) for size in sizes))
        raise ImageError(f"{image.name} has no level {level!r} (--level): choose one of {known}")
    factor = factors_of(image)[number]
    if factor is None:
        raise ImageError(
            f"level {number} of {image.name} has {sizes[number]} pixels, which is not the image of "
            f"{sizes[0]} in another size: choose another level (--level)"
        )
    return Resized(image, 1 / factor, number, factor) if number else image


def _magnified(image: Image, wanted: float) -> Resized:
    """Return an image as an objective of some power shows it."""
    power = image.stored.magnification
    if power is not None and "source_mpp" not in image.asked:
        said = f"magnification {wanted:g}, by the objective's power {power:g}"
        return _near_a_level(image, wanted / power, said)
    microns = MICRONS_OF_POWER_1 / wanted
    return _at_microns(
        image, microns, f"magnification {wanted:g}, taken for {microns:g} microns a pixel"
    )


def _at_microns(image: Image, wanted: float, said: str) -> Resized:
    """Return an image at some microns a pixel."""
    microns = _microns(image)
    source = "given" if "source_mpp" in image.asked else "told by its file"
    return _near_a_level(image, microns / wanted, f"{said}, of {microns:.4g} {source}")


def _near_a_level(image: Image, scale: float, said: str) -> Resized:
    """Return an image in another size, or a level that is near enough, as stored."""
    near = [
        (abs(scale * factor - 1), number, factor)
        for number, factor in enumerate(factors_of(image))
        if factor is not None and abs(scale * factor - 1) <= NEAR
    ]
    if not near:
        made = resized(image, scale)
        return Resized(image, scale, made.level, made.factor, (said,))
    apart, number, factor = min(near)
    if apart:
        said += f"; level {number} is within {100 * NEAR:g} % of that and read as stored"
    return Resized(image, 1 / factor, number, factor, (said,))


def _microns(image: Image) -> float:
    """Return the side of a pixel.

    Raises
    ------
    ImageError
        If that is not known, or pixels are not square.
    """
    told = image.coordinates
    # along an axis of which a file says nothing, pixels are NaN apart
    if told is None or told.unit not in MICRONS or not all(map(math.isfinite, told.spacing)):
        found = image.stored.doubted
        if told is not None:
            found = f"its pixels are {' x '.join(f'{n:g}' for n in told.spacing)} {told.unit}"
        raise ImageError(
            f"{image.name} does not tell how many microns a pixel has"
            f"{f' ({found})' if found else ''}: give source_mpp (--source-mpp), those of the image"
        )
    high, wide = (side * MICRONS[told.unit] for side in told.spacing)
    if max(high, wide) > (1 + NEAR) * min(high, wide):
        raise ImageError(
            f"{image.name} has pixels of {high:g} x {wide:g} microns, which are not square: give "
            f"source_mpp (--source-mpp) if that is wrong"
        )
    return math.sqrt(high * wide)


def _option(name: str) -> str:
    return f"{name} (--{name.replace('_', '-')})"
