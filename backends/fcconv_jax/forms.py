"""The form of a convolution on a platform, by its shape: integers in, form out.

Measured in float32 on 2 cores of an AMD EPYC, jax 0.10.2, compiled, bias included, as
a part of the time of plain ``lax.conv_general_dilated`` in NCHW: in turn in one process, a pause of
0.1 s between them, the first call left out, medians. Rows are those of the suites of
``fcconv bench``, and a few more where a rule needs them.

============================  ============  ====================================================
rule                          takes         instead, or beyond the rule
============================  ============  ====================================================
the kernel covers the input   0.02 to 0.60  plain lax moves the axes of all weights
1x1                           0.14 to 0.91  the input first, then transposed: 0.24 to 0.80;
                                            a product for each picture: 0.16 to 1.56
outputs are 16 times          0.07 to 0.68  512 of 7x7 by 3x3: 0.74, batch 8: 0.70, 32: 1.21;
the cells of a picture                      64 of 224x224 by 3x3: 4.7;
                                            a product for each tap: 0.60 to 1.46
depthwise                     0.01 to 0.16  one channel: 0.14 to 0.48, 25x25 taps: 1.06
============================  ============  ====================================================

Below a thousand multiplications only the overhead of the call is measured. Plain lax in NHWC, with
the axes moved before and after, takes 0.9 to 1.1, as XLA makes that of NCHW. In float64 and in
gradients, measured on a row of each rule, the forms take 0.05 to 0.6.

On an H100 (jax 0.11.2, float32 of highest precision) products take, as a part of plain lax: 0.32 to
0.44 where a kernel of AlexNet or VGG covers the input, 0.34 and 0.39 on a map of 16x16 cells, 0.74
for a 1x1 convolution of ResNet-50, 0.67 to 1.1 for small layers, whose time is that of the call.
Kernels of 3x3 with as many outputs as inputs took 0.74 to 1.05: they keep plain lax, as depthwise
ones do, which were not measured. Other platforms were not measured either.

``python -m benchmarks.forms`` measures every form on every row of the suites again (``... forms
gpu`` on a GPU), whatever the rules say, without a bias and each in a process of its own. On another
EPYC, with AVX-512, kernels that cover their input took 0.02 to 0.71 so, 1x1 ones 0.20 to 0.83 (one
of 48 took 1.27), depthwise ones 0.02 to 0.16.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcconv.geometry import Window

LEAST_MULTIPLICATIONS = 1000
"""Work for a picture below which only the call takes time."""

OUTPUTS_PER_CELL = 16
"""Outputs, as a multiple of the cells, from which moving weights costs more than gathering."""

MANY_TERMS = 2048
"""Entries of a window from which lax takes long to move the weights, whatever the cells are."""

MOST_COLUMNS = 3 * 2**20
"""Most entries of columns that are gathered at once."""

BLOCK_COLUMNS = 2**20
"""Entries of columns of a block of channels, where all would be more than `MOST_COLUMNS`."""

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
    BLOCKS
        A sum of such products, each of some of the channels, in one loop.
    SHIFTED
        A sum over the taps: the shifted input times the tap's weights, in one loop.
    """

    LAX = "lax"
    PRODUCT = "product"
    BLOCKS = "blocks"
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
        if _moves_nothing(x, window):
            return Form.PRODUCT
        terms, cells = math.prod(weight[1:]), math.prod(window.output)
        if sum(window.kernel) <= MOST_SLICES and (terms >= MANY_TERMS or _is_wide(weight, window)):
            return Form.PRODUCT if terms * cells <= MOST_COLUMNS else Form.BLOCKS
    # not for one channel: a loop may round otherwise in another program, and lax is not slow there
    is_depthwise = groups > 1 and weight[1] == 1
    can_be_shifted = is_depthwise and math.prod(window.kernel) <= MOST_SLICES
    return Form.SHIFTED if can_be_shifted else Form.LAX


def on_gpu(x: tuple[int, ...], weight: tuple[int, ...], window: Window, groups: int) -> Form:
    """Choose the form of a convolution on a GPU, see `on_cpu`."""
    if groups > 1 or _is_small(weight, window):
        return Form.LAX
    gains = sum(window.kernel) <= MOST_SLICES and _is_wide(weight, window)
    return Form.PRODUCT if _moves_nothing(x, window) or gains else Form.LAX


def channels_of_a_block(window: Window) -> int:
    """Count the channels that are gathered at a time; the batch does not matter here, either."""
    return max(BLOCK_COLUMNS // math.prod((*window.kernel, *window.output)), 1)


def _is_small(weight: tuple[int, ...], window: Window) -> bool:
    return math.prod((*window.output, *weight)) < LEAST_MULTIPLICATIONS


def _moves_nothing(x: tuple[int, ...], window: Window) -> bool:
    """Say whether the columns are pixels of the input: all of them, or those of each cell."""
    return math.prod(window.kernel) == 1 or window.covers(x[2:])


def _is_wide(weight: tuple[int, ...], window: Window) -> bool:
    """Say whether there are many more outputs than cells."""
    return math.prod(window.output) * OUTPUTS_PER_CELL <= weight[0]


PLATFORMS = {"cpu": on_cpu, "cuda": on_gpu}
"""The rules by platform, as ``lax.platform_dependent`` names them; others keep plain lax."""
