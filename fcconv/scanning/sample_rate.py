"""Whether a recording has as many samples a second as its network was trained at."""

from __future__ import annotations

import math

import onnx_ir as ir

from fcconv.errors import ImageError
from fcconv.images.padded import Opened
from fcconv.scanning.network import Network

SAMPLE_RATE = "sample_rate"
"""Where a network's metadata says so."""


def check_sample_rate(network: Network, image: Opened) -> None:
    """Check that a recording fits a network that says what it was trained at.

    Raises
    ------
    ImageError
        If it has another rate, and nobody has said which one to take.
    """
    trained = trained_at(network.patch)
    placed = image.picture.coordinates
    if not trained or placed is None or placed.unit != "s" or "rate" in image.asked:
        return
    own = round(1 / placed.spacing[0])
    if own != trained:
        raise ImageError(
            f"{image.name} has {own:,} samples a second, but the network says that it was trained "
            f"at {trained:,}: rate={trained} (--rate {trained}) resamples, rate={own} takes the "
            f"samples as they are"
        )


def trained_at(model: ir.Model) -> int:
    """Read the samples a second that a network was trained at; 0 where it tells no such number."""
    try:
        number = float(model.metadata_props.get(SAMPLE_RATE, ""))
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) and number > 0 else 0
