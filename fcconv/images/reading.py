"""How an image is to be opened: what its file, or who wrote it, does not say."""

from __future__ import annotations

from typing import Any, TypedDict

from fcconv.errors import ArgumentError


class Reading(TypedDict, total=False):
    """How an image is opened: keywords of :func:`fcconv.scan` and :func:`fcconv.open_image`.

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
    z : int or "all"
        Which plane of a stack, where the network does not slide along depth; "all" for every one,
        as the images of a batch.
    time : int or "all"
        Which point in time, or "all", likewise. With both, the images of the batch are counted with
        the axis fastest that is stored last.
    """

    layout: str | None
    series: int | None
    page: int | None
    z: int | str | None
    time: int | str | None


ANY_IMAGE = {"layout", "page", "z", "time"}
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
    made: Any = {name: told[name] for name in known if told.get(name) is not None}
    reading: Reading = made
    return reading


def _all() -> str:
    return ", ".join(Reading.__annotations__)
