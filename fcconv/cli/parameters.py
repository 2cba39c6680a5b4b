"""What words on the command line are read as."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from fcconv.images.layouts import ALL
from fcconv.remote import Place, Remote, is_remote


class PlaceType(click.ParamType[Place]):
    """A path, or an address such as s3://bucket/scores.zarr."""

    name = "path"

    def __init__(self, exists: bool = False) -> None:
        self._path = click.Path(path_type=Path, exists=exists)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Read it."""
        if is_remote(value):
            return Remote(value)
        place: Path = self._path.convert(value, param, ctx)
        return place


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them; a fraction such as 1/255 is one, too."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(_number(part) for part in value.split(","))
        except (ValueError, ZeroDivisionError):
            numbers = ()
        if not numbers or not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r} is not a number", param, ctx)
        return numbers


def _number(text: str) -> float:
    """Read a number or a fraction."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


class Region(click.ParamType[tuple[slice, ...]]):
    """Pixels along each axis, from which to which: 0:100,50:90."""

    name = "region"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[slice, ...]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        try:
            ends = [[int(end) if end else None for end in p.split(":")] for p in value.split(",")]
        except ValueError:
            ends = []
        if not ends or any(len(pair) != 2 for pair in ends):
            self.fail(f"{value!r} is not START:STOP for each axis: 0:100,50:90", param, ctx)
        return tuple(slice(*pair) for pair in ends)


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(","))
        return names if all(names) else self.fail(f"{value!r} has an empty name", param, ctx)


class PartOf(click.ParamType[tuple[int, int]]):
    """Which part it is, and of how many: 3/16."""

    name = "part"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        number, _, parts = value.partition("/")
        if number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts):
            return int(number), int(parts)
        return self.fail(f"{value!r} is not K/N, part K of N: 1/16 to 16/16", param, ctx)


class Plane(click.ParamType["int | str"]):
    """The number of a plane along an axis, or all."""

    name = "plane"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Read it."""
        if value == ALL:
            return ALL
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is not an integer or {ALL}", param, ctx)
