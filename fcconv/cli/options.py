"""What several commands share: arguments, options, and how errors are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from fcconv.cli.parameters import PlaceType
from fcconv.errors import FcconvError

Command = TypeVar("Command", bound=Callable[..., Any])

NETWORK = click.Path(path_type=Path, exists=True)


SCANNED = PlaceType(exists=True)
FILE = click.Path(path_type=Path, dir_okay=False)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stride_option = click.option(
    "--stride",
    metavar="S",
    help="Pixels or samples from one window to the next: S, or one per axis, S,S.",
)
window_option = click.option(
    "--window", metavar="C,H,W", help="Shape of one input, where the network leaves it free."
)
windows_option = click.option(
    "--windows",
    type=click.Choice(["shared", "exact"]),
    default="shared",
    show_default=True,
    help="For a network that pads or mixes: one pass that windows share, or one in which each has "
    "the scores of its crop.",
)
seed_option = click.option(
    "--seed",
    type=int,
    help="Repeat the proof by the seed that it printed. A seed that is known in advance does not "
    "protect against somebody who forges a network for it; left out, a new one is drawn.",
)
WANTED = (
    click.option("--heatmap", type=FILE, help="Writes the scores over the image, a PNG."),
    click.option(
        "--report", type=FILE, help="Writes a page to look into the scores, an HTML file."
    ),
    click.option(
        "--peaks",
        type=FILE,
        help="Writes the strongest windows, 100,000 at most: a .geojson or .csv, of a recording a "
        ".txt for Audacity or a .selections.txt for Raven. Peaks are looked for with this option, "
        "--threshold, --overlap, --label, --heatmap and --report.",
    ),
    click.option(
        "--crs",
        type=click.Choice(["lonlat", "file"]),
        default="lonlat",
        show_default=True,
        help="What a .geojson is in, of an image that lies on the ground: longitude and latitude, "
        "or the coordinate system of its file.",
    ),
    click.option(
        "--map",
        type=click.Path(path_type=Path),  # which an .ome.zarr is a folder of
        help="Writes the scores of all windows for other programs, where in the world they lie: a "
        ".csv, an .ome.zarr, a .tif (GeoTIFF), or of a volume a .nii or .nii.gz.",
    ),
    click.option("--threshold", type=float, show_default="0.5", help="Lowest score of a peak."),
    click.option(
        "--overlap",
        type=click.FloatRange(0, 1),
        show_default="0.3",
        help="Area that two peaks may share, in parts of what they cover.",
    ),
    click.option(
        "--label",
        "only",
        multiple=True,
        help="Looks for peaks of this class only, and draws no other.",
    ),
    as_json,
)
"""What can be asked for of a scan, new or opened."""


def wanted_options(command: Command) -> Command:
    """Give a command the options of :data:`WANTED`."""
    for option in reversed(WANTED):
        command = option(command)
    return command


EXPECTED = (click.ClickException, FcconvError, OSError, MemoryError, RuntimeError)
"""Errors that are shown in a line; the last two are of engines and codecs."""


def said(error: BaseException, message: str | None = None) -> str:
    """Return what an error says, with its notes, in one line."""
    if message is None:
        if isinstance(error, click.ClickException):
            message = error.format_message()
        elif isinstance(error, FcconvError | OSError):
            message = str(error)
        else:
            message = f"{type(error).__name__}: {error}"
    return " ".join(". ".join([message, *getattr(error, "__notes__", ())]).split())


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a missing library into one line that names the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if not library or library.startswith("fcconv"):
            raise
        line = f"{library} is not installed: pip install 'fcconv[{name}]'"
        raise click.ClickException(line) from None


def stride_of(text: str | None) -> int | tuple[int, ...] | None:
    """Read one integer, or one per axis."""
    numbers = integers_of("--stride", text)
    return numbers[0] if numbers is not None and len(numbers) == 1 else numbers


def integers_of(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read integers with commas between them."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an integer", param_hint=option) from None
