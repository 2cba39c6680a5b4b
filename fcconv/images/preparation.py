"""What is done to pixels before the network sees them, the same for every pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.arguments import as_number
from fcconv.errors import ImageError
from fcconv.images.layouts import unit
from fcconv.images.missing import are_finite

if TYPE_CHECKING:
    from fcconv.images.padded import Opened

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey: Recommendation ITU-R BT.601, section 2.5.1."""

RGB = "--rgb (Preparation(rgb=True)) makes three equal channels of it"

BITS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}
"""Bits of pixels that are scaled to 0 to 1, unless their file says that fewer are in use."""


@dataclass(frozen=True)
class Preparation:
    """What is done to pixels: each step pixel by pixel, in the order of the attributes.

    It is computed in float32, for float64 networks in float64. No pixel affects another, so
    that a pixel becomes the same number in every tile.

    Attributes
    ----------
    gray : bool
        Make colours grey: 0.299 red + 0.587 green + 0.114 blue, the luma of Recommendation ITU-R
        BT.601, section 2.5.1.
    rgb : bool
        Make three equal channels of a grey one, for a network of colours.
    scale : float, optional
        Pixels are multiplied by it. By default 1/255 for uint8, 1/65535 for uint16, 1/4095 where
        a file says that 12 bits are in use, and so on; and 1 for floats.
    mean : tuple of float
        Is subtracted, one number for all channels or one per channel.
    std : tuple of float
        Then pixels are divided by it, one number for all channels or one per channel.
    nodata : float, optional
        Pixels that are this number in all channels, before anything is done to them, have no value,
        and windows that contain one have no score; what the file says itself, if left out, which
        NaN overrules. Pixels that are NaN or infinite in any channel never have a value.

    Raises
    ------
    ImageError
        If a number makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> preparation = Preparation(scale=0.5, mean=(1,))
    >>> preparation.prepared(np.array([[2, 4, 6]], np.uint8), np.float32)
    array([[0., 1., 2.]], dtype=float32)
    >>> print(preparation)
    times 0.5, minus 1
    """

    gray: bool = False
    rgb: bool = False
    scale: float | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    nodata: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, told in (("gray", self.gray), ("rgb", self.rgb)):
            if not isinstance(told, bool | np.bool):
                raise ImageError(f"{name} is True or False, got {told!r}")
        if self.gray and self.rgb:
            raise ImageError("gray makes colours grey, rgb makes grey three channels: choose one")
        if self.scale is not None:
            object.__setattr__(self, "scale", _numbers("scale", [self.scale])[0])
        if self.nodata is not None:
            object.__setattr__(self, "nodata", _any_number("nodata", self.nodata))
        object.__setattr__(self, "mean", _numbers("mean", self.mean))
        object.__setattr__(self, "std", _numbers("std", self.std))
        if self.scale == 0:
            raise ImageError("scale needs a number other than 0, which would make all pixels equal")
        if min(self.std) <= 0:
            raise ImageError(f"std needs numbers above 0, got {self.std}")

    def prepared(self, pixels: np.ndarray, dtype: Any, *, finite: bool = False) -> np.ndarray:
        """Prepare pixels for a network of a dtype.

        Parameters
        ----------
        pixels : array, shape (C, *S)
            A part of an image.
        dtype : dtype
            What the network computes in.
        finite : bool
            Whether pixels are known to be finite: where nothing is done they are not looked at.

        Returns
        -------
        array, shape (C', *S)
            The pixels themselves where nothing is to be done.

        Raises
        ------
        ImageError
            If pixels are NaN or infinite, or become so.

        Examples
        --------
        >>> import numpy as np
        >>> Preparation(gray=True).prepared(np.full((3, 1, 2), 255, np.uint8), np.float32)
        array([[[1., 1.]]], dtype=float32)
        """
        wide = np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # what overflows is found below
            made = self._computed(pixels, wide).astype(dtype, copy=False)
        if not (finite and made is pixels) and not are_finite(made):
            what = unit(pixels.ndim - 1)
            if are_finite(pixels):
                raise ImageError(f"holds {what} too large for {made.dtype}: give a smaller scale")
            raise ImageError(f"holds NaN or infinite {what}: replace them first")
        return made

    def resolved(
        self, image_dtype: Any, bits: int | None = None, nodata: float | None = None
    ) -> Preparation:
        """Return the same with what an image says: the scale that its pixels call for, and nodata.

        Parameters
        ----------
        image_dtype : dtype
            Of the pixels.
        bits : int, optional
            Bits of them that are in use; all, if left out.
        nodata : float, optional
            The number that the image uses for pixels without a value.

        Returns
        -------
        Preparation
            With a number for `scale`.

        Raises
        ------
        ImageError
            If it calls for none.

        Examples
        --------
        >>> print(Preparation().resolved("uint16", bits=12), "|", Preparation().resolved("float32"))
        times 1/4095 | as they are
        """
        kept = nodata if self.nodata is None else self.nodata
        if self.scale is not None:
            return replace(self, nodata=kept)
        dtype = np.dtype(image_dtype).newbyteorder("=")
        if dtype.kind == "f":
            return replace(self, scale=1.0, nodata=kept)
        if dtype not in BITS:
            raise ImageError(
                f"pixels are {dtype}, whose range is not known: give scale, which they are "
                "multiplied by, such as 1 to take them as they are"
            )
        scale = 1 / (2 ** (bits or BITS[dtype]) - 1)
        return replace(self, scale=scale, nodata=kept)

    def channels(self, given: int) -> int:
        """Return the channels that come out of those of an image.

        Parameters
        ----------
        given : int
            Channels of the image.

        Returns
        -------
        int
            Channels that the network gets.

        Raises
        ------
        ImageError
            If the image has other channels than the preparation is for.

        Examples
        --------
        >>> Preparation(gray=True).channels(3), Preparation(rgb=True).channels(1)
        (1, 3)
        """
        if self.gray and given != 3:
            raise ImageError(f"gray needs 3 channels, red, green and blue, got {given}")
        if self.rgb and given != 1:
            raise ImageError(f"rgb needs 1 channel, grey, got {given}")
        made = 1 if self.gray else 3 if self.rgb else given
        counts = "1" if made == 1 else f"1 or {made}"
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, made):
                raise ImageError(f"{name} needs {counts} numbers, got {len(numbers)}")
        return made

    def __str__(self) -> str:
        """Return in words what is done."""
        steps = []
        if self.nodata is not None:
            steps.append(f"nodata {_short(self.nodata)} left out")
        if self.gray:
            red, green, blue = LUMA
            steps.append(f"grey ({red} R + {green} G + {blue} B)")
        if self.rgb:
            steps.append("grey in three equal channels")
        if self.scale is None:
            steps.append("scaled as their dtype says")
        elif self.scale != 1:
            steps.append(f"times {_fraction(self.scale)}")
        if any(self.mean):
            steps.append(f"minus {_listed(self.mean)}")
        if any(number != 1 for number in self.std):
            steps.append(f"divided by {_listed(self.std)}")
        return ", ".join(steps) or "as they are"

    def _computed(self, pixels: np.ndarray, wide: np.dtype[Any]) -> np.ndarray:
        """Apply the steps; those that do nothing are left out."""
        scale = self.resolved(pixels.dtype).scale
        self.channels(len(pixels))
        normed = (scale != 1, any(self.mean), any(number != 1 for number in self.std))
        if not any((self.gray, self.rgb, *normed)):
            return pixels
        made = pixels.astype(wide)
        if self.gray:
            red, green, blue = (
                plane * wide.type(share) for plane, share in zip(made, LUMA, strict=True)
            )
            made = (red + green + blue)[np.newaxis]
        if self.rgb:
            made = np.repeat(made, 3, axis=0)
        if scale != 1:
            made *= wide.type(scale)
        if any(self.mean):
            made -= _column(self.mean, made)
        if any(number != 1 for number in self.std):
            made /= _column(self.std, made)
        return made


def check_channels(image: Opened, preparation: Preparation, needed: int) -> None:
    """Check that an image has the channels that a network reads, once it is prepared.

    Raises
    ------
    ImageError
        If it has not.
    """
    step = "gray" if preparation.gray else "rgb" if preparation.rgb else ""
    is_picture = len(image.size) == 2
    to_rgb = not step and (image.channels, needed) == (1, 3) and is_picture
    try:
        made = preparation.channels(image.channels)
    except ImageError as error:
        hint = f"; {RGB}" if to_rgb else ""
        raise ImageError(f"{image.name} has {_channels(image.channels)}: {error}{hint}") from None
    if made == needed:
        return
    after = f" after {step}" if step else ""
    if step and image.channels == needed:
        advice = [f"leave {step} out"]
    elif (made, needed) == (3, 1) and is_picture:
        advice = ["--gray (Preparation(gray=True)) makes it grey", image.other_channels(needed)]
    elif to_rgb:
        advice = [RGB, image.other_channels(needed)]
    else:
        advice = ["give one of as many channels", image.other_channels(needed)]
    raise ImageError(
        f"{image.name} has {_channels(made)}{after}, but the network reads {needed}: "
        f"{', or '.join(filter(None, advice))}"
    )


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count != 1 else ''}"


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    """Return numbers as floats, none of them NaN or infinite."""
    try:
        numbers = tuple(map(as_number, given if isinstance(given, Iterable) else [given]))
    except TypeError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ImageError(f"{name} needs finite numbers, got {given!r}")
    return numbers


def _any_number(name: str, given: Any) -> float:
    """Return a number as a float, which may be NaN or infinite."""
    number = as_number(given)
    if math.isnan(number) and not isinstance(given, float | np.floating):
        raise ImageError(f"{name} needs a number, got {given!r}")
    return number


def _column(numbers: tuple[float, ...], like: np.ndarray) -> np.ndarray:
    """Return numbers along the channels of an array, in its dtype."""
    return np.array(numbers, like.dtype).reshape(-1, *(1 for _ in like.shape[1:]))


def _fraction(scale: float) -> str:
    """Return a scale as the fraction that it is known by."""
    known = {1 / (2**bits - 1): f"1/{2**bits - 1}" for bits in range(2, 17)}
    return known.get(scale) or _short(scale)


def _listed(numbers: tuple[float, ...]) -> str:
    """Return one number, or several in brackets."""
    words = ", ".join(map(_short, numbers))
    return words if len(numbers) == 1 else f"({words})"


def _short(number: float) -> str:
    """Return all digits of a number, without a trailing ".0"."""
    return repr(number).removesuffix(".0")
