"""A rewritten network beside the one that the rules of :mod:`fcconv.graph` make.

This is how a network that pads is certified: its cells are not those of crops, but those of the
fully convolutional network, whose border sees zeros where the image ends.
"""

from __future__ import annotations

import math

import numpy as np

from fcconv.certificate.runner import Array, Ints, Runner
from fcconv.errors import FcconvError
from fcconv.graph.node import Node
from fcconv.graph.rewriting.locality import Locality
from fcconv_modular.residues import Residues

LARGEST_IMAGES = 2**27
"""Most numbers in all images that are compared."""


def sizes_to_compare(
    found: Locality, expected: Locality, window: Ints, numbers: int
) -> list[Ints] | None:
    """List the sizes of images that tell about all others; None if these are too large.

    A cell near an end of the image is what padding made it, the cells between are all alike, and
    the last ones depend on the remainder that the strides leave. So images of all sizes up to those
    that hold both ends, a cell between them, and every remainder, are enough: one axis at a time,
    the others once as short and once as long as that.

    Parameters
    ----------
    found, expected : Locality
        What is known of both networks.
    window : tuple of int
        The smallest image.
    numbers : int
        Numbers that a pixel holds: its channels.
    """
    period = math.lcm(found.period, expected.period)
    longest = []
    for k, n in enumerate(window):
        along = [axes[k] for both in (found, expected) for axes in both.outputs]
        ends = max(a.before for a in along) + max(a.after for a in along)
        longest.append(n + ends + max(a.last - a.first + 1 for a in along) + 2 * period)
    sizes = [
        (*others[:k], size, *others[k + 1 :])
        for others in (window, tuple(longest))
        for k, (n, m) in enumerate(zip(window, longest, strict=True))
        for size in range(n, m)
    ]
    return sizes if sum(map(math.prod, sizes)) * numbers <= LARGEST_IMAGES else None


def first_difference(expected: Runner, found: Runner, images: Array) -> str | None:
    """Name the first node that does not compute what the node of its name should.

    Outputs decide whether there is a difference; names only help to say where.
    """
    wanted: dict[str, Residues] = {}
    made: list[tuple[Node, Residues]] = []
    results = expected.run(images, lambda node, outputs: wanted.update({node.name: outputs[0]}))
    failure = "the outputs"
    outputs: list[Array] = []
    try:
        outputs = found.run(images, lambda node, arrays: made.append((node, arrays[0])))
    except FcconvError as error:
        failure = str(error)
    alike = expected.types == found.types and len(results) == len(outputs)
    if alike and all(map(np.array_equal, results, outputs)):
        return None
    for node, output in made:
        if node.name in wanted and not wanted[node.name].equals(output):
            return str(node)
    return failure
