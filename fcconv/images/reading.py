"""How an image is to be opened: what its file, or who wrote it, does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np

from fcconv.errors import ArgumentError


class Reading(TypedDict, total=False):
    """How an image is opened: keywords of :func:`fcconv.scan`.

    What does not apply to a file is refused.

    Attributes
    ----------
    layout : str
        A letter for each axis: N for the images of a batch, C for channels, and W, HW or DHW for
        the spatial ones. By default what the format says; of an array without or with channels
        first, or a batch of these. Where it names C, every entry along that axis is a channel, be
        it tagged as opacity or not.
    series : int
        Which picture of a file that holds several; by default the largest that is not a label, a
        macro image or a thumbnail. Of an OME-Zarr folder with several images, a plate say, one must
        be chosen.
    page : int
        Which one to take where there are other axes, such as time, depth or those of a batch,
        counted with the last of these axes fastest.
    level : int
        Which level of a pyramid is read; like the next two, of images with two axes, and results
        stay in pixels of the image. One of the three says in which size an image is read.
    mpp : float
        Microns a pixel at which it is read, by those that the file tells.
    magnification : float
        Power of an objective whose size it is read in, in parts of that which the file tells; where
        it tells none, 10 / magnification microns a pixel.
    source_mpp : float
        Microns a pixel of the image, whatever its file tells.
    channels : sequence of int or str
        Which channels are read, in this order: by number, from 1 on, or by the names that a file
        gives them; only these are read.
    z : int or "all"
        Which plane of a stack, where the network does not slide along depth; "all" for every one,
        as the images of a batch.
    time : int or "all"
        Which point in time, or "all", likewise. With both, the images of the batch are counted with
        the axis fastest that is stored last.
    orientation : {"ras", "file"}
        Which way the axes D, H and W of a volume run: to a body's right, to anterior and to
        superior, by default, or as they are stored.
    rate : int
        Samples a second of sound that the network takes: a file of another rate is resampled, and
        results are in samples of this rate; by default the file's own.
    mono : bool
        Whether the mean of the channels of sound is taken.

    Examples
    --------
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> reading: fcconv.Reading = {"layout": "HWC", "channels": [2]}
    >>> fcconv.scan(load_faces(), np.zeros((28, 31, 3), np.float32), engine="numpy", **reading).size
    (28, 31)
    """

    layout: str | None
    series: int | None
    page: int | None
    level: int | None
    mpp: float | None
    magnification: float | None
    source_mpp: float | None
    channels: Sequence[int | str] | None
    z: int | str | None
    time: int | str | None
    orientation: str | None
    rate: int | None
    mono: bool | None


ANY_IMAGE = {
    "layout",
    "page",
    "level",
    "mpp",
    "magnification",
    "source_mpp",
    "channels",
    "z",
    "time",
}
"""What can be said of an image of any format, and of an array."""


def as_reading(told: dict[str, Any]) -> Reading:
    """Return what is said of how an image is opened, without what is None.

    Raises
    ------
    ArgumentError
        If there is no such keyword.
    """
    known = Reading.__annotations__
    for name in told:
        if name not in known:
            raise ArgumentError(f"there is no argument {name!r}: images are opened by {_all()}")
    made: Any = {name: _plain(told[name]) for name in known if told.get(name) is not None}
    reading: Reading = made
    return reading


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, which JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value


def _all() -> str:
    return ", ".join(Reading.__annotations__)
