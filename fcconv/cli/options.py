"""What several commands share: arguments, options, and how a missing library is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

NETWORK = click.Path(path_type=Path, exists=True)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stride_option = click.option(
    "--stride", metavar="S", help="Pixels from one window to the next: S, or one per axis, S,S."
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
