"""The form of a convolution on a platform, by its shape: integers in, form out.

Measured in float32 on 2 cores of an AMD EPYC with AVX-512, jax 0.10.2, compiled, as a part of the
time of plain ``lax.conv_general_dilated`` in NCHW: in turn in one process, pauses between them, the
first call left out, medians. Rows are those of the suites of ``fcconv bench``, at batch 1 and 8 or
32, and some 200 random ones of kernels from 2x2 to 19x19, 1 to 512 channels, 10 to 4096 outputs and
maps of 4x4 to 64x64 cells.

============================  ============  ====================================================
rule                          takes         instead, or beyond the rule
============================  ============  ====================================================
the kernel covers the input   0.04 to 0.49  plain lax moves the axes of all weights
1x1                           0.16 to 1.06  the input first, then transposed: 0.24 to 0.80;
                                            a product for each picture: 0.16 to 1.56
outputs are 4 times           0.15 to 0.98  512 to 512 of 3x3 on 14x14, batch 8: 1.26;
the cells of a picture                      256 to 10 of 5x5 on 12x12, batch 8: 1.10
2 axes, no padding,           0.09 to 1.07  300 terms: up to 1.2; more outputs than terms: up to
1024 terms                                  2.9; in calls of 0.2 ms: up to 1.25;
                                            one axis or three: 0.90 to 1.23
depthwise                     0.01 to 0.16  one channel: 0.14 to 0.48, 25x25 taps: 1.06
============================  ============  ====================================================

Below a thousand multiplications only the overhead of the call is measured. Plain lax in NHWC, with
the axes moved before and after, takes 0.9 to 1.1, as XLA makes that of NCHW; products of blocks of
channels, which need less memory, 0.9 to 1.3 times those of all. In gradients, measured on some rows
of each rule, the forms take 0.05 to 0.97.

On an H100 (jax 0.11.2, float32 of highest precision) products take, as a part of plain lax: 0.32 to
0.44 where a kernel of AlexNet or VGG covers the input, 0.34 and 0.39 on a map of 16x16 cells, 0.74
for a 1x1 convolution of ResNet-50, 0.67 to 1.1 for small layers, whose time is that of the call.
Kernels of 3x3 with as many outputs as inputs took 0.74 to 1.05: they keep plain lax, as depthwise
ones do, which were not measured. Other platforms were not measured either.

``python -m benchmarks.forms`` measures every form on every row of the suites again (``... forms
gpu`` on a GPU), whatever the rules say, without a bias and each in a process of its own.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcconv.geometry import Window

LEAST_MULTIPLICATIONS = 1000
"""Work for a picture below which only the call takes time."""

OUTPUTS_PER_CELL = 4
"""Outputs, as a multiple of the cells, from which moving weights costs more than gathering."""

OUTPUTS_PER_CELL_ON_GPU = 16
"""The same on a GPU."""

MANY_TERMS = 1024
"""Entries of a window from which lax is faster with padding, on a plane: see `Form.PADDED`."""

MOST_SLICES = 225
"""Slices that a program may name one by one; the most that were measured with a gain."""


class Form(enum.Enum):
    """How a convolution is computed.

    Attributes
    ----------
    LAX
        ``lax.conv_general_dilated``.
    PRODUCT
        One matrix product; the windows are gathered as columns, unless they are the input itself.
    PADDED
        Plain lax with a pixel of padding, and the cells that read it dropped.
    SHIFTED
        A sum over the taps: the shifted input times the tap's weights, in one loop.
    """

    LAX = "lax"
    PRODUCT = "product"
    PADDED = "padded"
    SHIFTED = "shifted"


def on_cpu(x: tuple[int, ...], weight: tuple[int, ...], window: Window, groups: int) -> Form:
    """Choose the form of a convolution on a CPU.

    The batch does not matter, so that a picture has the same form alone and among others.

    Parameters
    ----------
    x, weight : tuple of int
        Shapes, ``(N, C, *S)`` and ``(O, C / groups, *K)``.
    window : Window
        How the kernel moves.
    groups : int
        Parts of the channels that are convolved apart.

    Returns
    -------
    Form
        Plain lax wherever nothing is clearly faster.
    """
    if _is_small(weight, window):
        return Form.LAX
    if groups == 1:
        if _gains_from_a_product(x, weight, window, OUTPUTS_PER_CELL):
            return Form.PRODUCT
        is_plane = len(window.kernel) == 2 and not any(map(any, window.padding))
        return Form.PADDED if is_plane and math.prod(weight[1:]) >= MANY_TERMS else Form.LAX
    # not for one channel: a loop may round otherwise in another program, and lax is not slow there
    is_depthwise = weight[1] == 1
    gains = is_depthwise and math.prod(window.kernel) <= MOST_SLICES
    return Form.SHIFTED if gains else Form.LAX


def on_gpu(x: tuple[int, ...], weight: tuple[int, ...], window: Window, groups: int) -> Form:
    """Choose the form of a convolution on a GPU, see `on_cpu`."""
    if _is_small(weight, window) or groups > 1:
        return Form.LAX
    gains = _gains_from_a_product(x, weight, window, OUTPUTS_PER_CELL_ON_GPU)
    return Form.PRODUCT if gains else Form.LAX


def _is_small(weight: tuple[int, ...], window: Window) -> bool:
    return math.prod((*window.output, *weight)) < LEAST_MULTIPLICATIONS


def _gains_from_a_product(
    x: tuple[int, ...], weight: tuple[int, ...], window: Window, outputs_per_cell: int
) -> bool:
    """Say whether columns are pixels of the input as they are, or few beside the weights."""
    if math.prod(window.kernel) == 1 or window.covers(x[2:]):
        return True
    is_short = sum(window.kernel) <= MOST_SLICES
    return is_short and math.prod(window.output) * outputs_per_cell <= weight[0]


PLATFORMS = {"cpu": on_cpu, "cuda": on_gpu}
"""The rules by platform, as ``lax.platform_dependent`` names them; others keep plain lax."""
