"""``fcconv stream``: its options."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from fcconv.backend import engines
from fcconv.cli.options import (
    NETWORK,
    extra,
    integers_of,
    stride_of,
    stride_option,
    window_option,
    windows_option,
)
from fcconv.streaming.pcm import FORMATS


@click.command()
@click.argument("model", type=NETWORK)
@click.argument("samples", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), required=True, help="Samples in a second."
)
@click.option("--channels", type=click.IntRange(1), help="Those of the network, if left out.")
@click.option(
    "--format",
    "format_",
    type=click.Choice([*FORMATS]),
    default="s16le",
    show_default=True,
    help="Integers of 16 bits, which become -1 to 1, or floats.",
)
@click.option(
    "--threshold",
    type=float,
    help="Prints events: scores of the first output that are at least so high.",
)
@click.option(
    "--refractory",
    type=click.FloatRange(0),
    help="Seconds from an event to the next of its class, at least.",
)
@stride_option
@window_option
@windows_option
@click.option(
    "--engine",
    type=click.Choice(engines()),
    default="numpy",
    show_default=True,
    help="What computes.",
)
@click.option(
    "--chunk",
    type=click.IntRange(1),
    help="Samples of every step; as many as have come in, if left out.",
)
def stream(
    rate: float,
    threshold: float | None,
    refractory: float | None,
    stride: str | None,
    window: str | None,
    **options: Any,
) -> int:
    """Score raw audio from SAMPLES, or standard input, while it comes in.

    MODEL takes samples, such as (N, C, time). Each cell, or event, is a line of JSON with its times
    in seconds, printed as soon as its last sample is there. It ends when the samples do, at SIGINT
    and SIGTERM, and when nobody reads what it prints.
    """
    if refractory is not None and threshold is None:
        raise click.UsageError("--refractory is that of events, which need a --threshold")
    given = {"--rate": rate, "--threshold": threshold, "--refractory": refractory}
    for option, number in given.items():
        if number is not None and not math.isfinite(number):
            raise click.BadParameter(f"{number} is not a finite number", param_hint=option)
    if not math.isfinite(sys.maxsize / rate):
        raise click.BadParameter(
            f"{rate:g} samples a second are so few that times in seconds would be infinite",
            param_hint="--rate",
        )
    with extra("onnx"):
        from fcconv.cli.streaming import Options, stream_and_print
    return stream_and_print(
        Options(
            rate=rate,
            threshold=threshold,
            refractory=refractory or 0.0,
            stride=stride_of(stride),
            window=integers_of("--window", window),
            **options,
        )
    )
