"""``fcconv show``: pictures, pages, peaks and tables of a scan that was done."""

from __future__ import annotations

from typing import Any

import click

from fcconv.cli.options import SCANNED, extra, wanted_options
from fcconv.cli.parameters import PlaceType
from fcconv.remote import Place


@click.command()
@click.argument("scores", type=PlaceType(), nargs=-1, required=True)
@click.option("--image", type=SCANNED, help="What was scanned, for pictures and the page.")
@wanted_options
def show(scores: tuple[Place, ...], image: Place | None, **options: Any) -> int:
    """Show the scan whose SCORES were written, a .zarr, .npy or .npz, without the network.

    Of a scan in several --scales give the scores of each size.
    """
    with extra("scan"):
        from fcconv.cli.showing import show_again
        from fcconv.cli.wanted import Wanted
    return show_again(scores, image, Wanted(**options))
