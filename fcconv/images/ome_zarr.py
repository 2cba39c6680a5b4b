"""OME-Zarr 0.4 and 0.5: which images a folder holds, and what is said of their axes.

Version 0.4 has its metadata in the attributes of a Zarr 2 group, 0.5 under "ome" in those of a
Zarr 3 group (*Next-generation file format*, Open Microscopy Environment, ngff.openmicroscopy.org).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fcconv.arguments import as_number
from fcconv.errors import FcconvError, ImageError
from fcconv.images.axis_names import letter_of
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.layouts import axes_in_words
from fcconv.images.lengths import in_one_unit
from fcconv.images.stored import Stored, check_chunk, check_series, listed
from fcconv.remote import Place

TYPES = {"channel": "C", "time": "t"}
"""Letters of axes whose type says more than their name."""

BY_HAND = "give one of its arrays, such as {}, and say with layout which axis is which"


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, in one size or several.

    Attributes
    ----------
    group : zarr.Group
        What holds its arrays.
    told : mapping
        Its entry of "multiscales".
    omero : mapping
        How its channels are to be shown.
    """

    group: Any
    told: Mapping[str, Any]
    omero: Mapping[str, Any]

    @property
    def words(self) -> str:
        """Where it lies, and what it is called."""
        return " ".join(filter(None, (self.group.path, str(self.told.get("name") or "")))) or "/"


def pictures_in(path: Place, group: Any) -> list[Picture]:
    """Find the images in a group: its own, or those of a plate, a well or a converted file.

    Parameters
    ----------
    path : Path
        The folder, for errors.
    group : zarr.Group
        What it holds.

    Returns
    -------
    list of Picture
        Empty where it is not OME-Zarr.

    Raises
    ------
    ImageError
        If its metadata is damaged.
    """
    with _understood(path):
        return [
            Picture(one, told, _ome(one).get("omero") or {})
            for one in _groups(group, _ome(group))
            for told in _ome(one).get("multiscales") or ()
        ]


def open_picture(path: Place, pictures: Sequence[Picture], series: int | None) -> Stored:
    """Open one of the images of a folder.

    Raises
    ------
    ImageError
        If there are several, and none was chosen; if the metadata is damaged, or does not fit the
        arrays.
    """
    words = [picture.words for picture in pictures]
    if series is None and len(pictures) > 1:
        raise ImageError(
            f"{path} holds {len(pictures)} images: take one with series (--series): "
            f"{listed(enumerate(words))}"
        )
    number = 0 if series is None else check_series(path, series, words)
    with _understood(path):
        stored = _stored(path, pictures[number])
    return stored if len(pictures) == 1 else _of_several(stored, number, words[number])


def _of_several(stored: Stored, number: int, words: str) -> Stored:
    return replace(stored, series=number, notes=(f"series {number} of the folder ({words})",))


def _ome(group: Any) -> Mapping[str, Any]:
    """Return what the attributes of a group say."""
    attributes: Mapping[str, Any] = group.attrs
    told = attributes.get("ome")
    return told if isinstance(told, Mapping) else attributes


def _groups(group: Any, told: Mapping[str, Any]) -> list[Any]:
    """Return the groups of images that a group leads to."""
    if "plate" in told:
        wells = [group[well["path"]] for well in told["plate"]["wells"]]
        return [image for well in wells for image in _groups(well, {"well": _ome(well)["well"]})]
    if "well" in told:
        return [group[image["path"]] for image in told["well"]["images"]]
    if "bioformats2raw.layout" in told:
        named = _ome(group["OME"]).get("series") if "OME" in group else None
        return [group[name] for name in named or _numbered(group)]
    return [group]


def _numbered(group: Any) -> Iterator[str]:
    """Count the groups that are called by their numbers."""
    number = 0
    while str(number) in group:
        yield str(number)
        number += 1


def _stored(path: Place, picture: Picture) -> Stored:
    """Return the arrays of an image, and what is said of them."""
    group, told = picture.group, picture.told
    datasets = told["datasets"]
    levels = tuple(group[dataset["path"]] for dataset in datasets)
    axes = told.get("axes")
    if not isinstance(axes, list) or not all(isinstance(axis, dict) for axis in axes):
        array = path / levels[0].path
        raise ImageError(
            f"{path} does not say its axes as OME-Zarr 0.4 and 0.5 do: {BY_HAND.format(array)}"
        )
    for level in levels:
        if len(level.shape) != len(axes):
            raise ImageError(
                f"{path} says that it has {axes_in_words(len(axes))}, but its array "
                f"{level.path} has the shape {level.shape}: {BY_HAND.format(path / level.path)}"
            )
        check_chunk(path, level)
    for level, finer in zip(levels[1:], levels, strict=False):
        if any(n > m for n, m in zip(level.shape, finer.shape, strict=True)):
            raise ValueError(f"{level.path} is larger than {finer.path}, whose smaller size it is")
    letters = "".join(TYPES.get(axis.get("type", ""), letter_of(axis["name"])) for axis in axes)
    steps = [*datasets[0].get("coordinateTransformations", ())]
    steps += told.get("coordinateTransformations", ())
    names = tuple(str(one.get("label") or "") for one in picture.omero.get("channels") or ())
    channels = dict(zip(letters, levels[0].shape, strict=True)).get("C", 1)
    return Stored(
        levels,
        letters,
        coordinates=_coordinates(axes, letters, steps) if steps else None,
        channel_names=names if len(names) == channels else (),
    )


def _coordinates(
    axes: Sequence[Mapping[str, Any]], letters: str, steps: Sequence[Mapping[str, Any]]
) -> Coordinates | None:
    """Say where pixels lie; None where their lengths are in units that can't be compared."""
    scale, translation = [1.0] * len(axes), [0.0] * len(axes)
    for step in steps:  # the first of them first
        kind = step["type"]
        if kind not in ("scale", "translation", "identity"):
            raise ValueError(f"a transformation of type {kind!r}")
        factors = step["scale"] if kind == "scale" else [1.0] * len(axes)
        offsets = step["translation"] if kind == "translation" else [0.0] * len(axes)
        scale = [a * _positive(b) for a, b in zip(scale, factors, strict=True)]
        translation = [
            t * float(f) + _finite(o) for t, f, o in zip(translation, factors, offsets, strict=True)
        ]
    stored = [axis for axis, letter in enumerate(letters) if letter in "DHW"]
    places = sorted(stored, key=lambda axis: "DHW".index(letters[axis]))
    spacing, centre = [scale[axis] for axis in places], [translation[axis] for axis in places]
    units = [str(axes[axis].get("unit") or "") for axis in places]
    if not any(units) and set(spacing) == {1.0} and not any(centre):
        return None  # nothing is said
    # a translation is that of the first pixel's centre; the image begins half a pixel before
    begins = [t - s / 2 for s, t in zip(spacing, centre, strict=True)]
    known, first = in_one_unit(spacing, units), in_one_unit(begins, units)
    if known is None or first is None:
        return None
    placed = spaced(*known, tuple(str(axes[axis]["name"]) for axis in places), first[0])
    return placed.along([places.index(axis) for axis in stored])


def _finite(value: Any) -> float:
    number = as_number(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} in a transformation")
    return number


def _positive(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(f"a scale of {value!r}")
    return number


@contextmanager
def _understood(path: Place) -> Iterator[None]:
    """Turn what metadata lacks, or what does not exist, into an error that names the folder."""
    try:
        yield
    except FcconvError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        found = f"{type(error).__name__}: {error}"
        raise ImageError(
            f"{path} is damaged in its OME-Zarr metadata, or lacks what that names ({found}): "
            f"write or copy it again"
        ) from error
