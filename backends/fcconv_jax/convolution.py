"""Convolution of floats in the form that suits platform and shape.

All forms take ``x (N, C, *S)`` and ``weight (O, C / groups, *K)`` and give ``(N, O, *S')``.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from fcconv_jax.forms import PLATFORMS, Form

if TYPE_CHECKING:
    from fcconv.geometry import Window

Precision: TypeAlias = lax.Precision | None
"""Of products; None leaves it to the caller's context."""


def convolve(
    x: jax.Array, weight: jax.Array, window: Window, groups: int, precision: Precision
) -> jax.Array:
    """Convolve in the form that the platform's table names, by plain lax where there is none."""
    forms = tuple(choose(x.shape, weight.shape, window, groups) for choose in PLATFORMS.values())
    if set(forms) == {Form.LAX}:
        return plain(x, weight, window, groups, precision)
    y: jax.Array = _by_platform(x, weight, forms, window, groups, precision)
    return y


# compiled where it is called alone: the platform is that of the operands, and known only then
@partial(jax.jit, static_argnums=(2, 3, 4, 5), inline=True)
def _by_platform(
    x: jax.Array,
    weight: jax.Array,
    forms: tuple[Form, ...],
    window: Window,
    groups: int,
    precision: Precision,
) -> jax.Array:
    default, *chosen = (
        partial(FORMS[form], window=window, groups=groups, precision=precision)
        for form in (Form.LAX, *forms)
    )
    by_platform = dict(zip(PLATFORMS, chosen, strict=True))
    y: jax.Array = lax.platform_dependent(x, weight, **by_platform, default=default)
    return y


def plain(
    x: jax.Array, weight: jax.Array, window: Window, groups: int, precision: Precision
) -> jax.Array:
    """Leave the convolution to lax."""
    return lax.conv_general_dilated(
        x,
        weight,
        window_strides=window.stride,
        padding=window.padding,
        rhs_dilation=window.dilation,
        feature_group_count=groups,
        precision=precision,
    )


def product(
    x: jax.Array, weight: jax.Array, window: Window, groups: int, precision: Precision
) -> jax.Array:
    """Multiply the weights and the windows, gathered as columns; `groups` is 1."""
    del groups
    n, outputs, terms = len(x), len(weight), math.prod(weight.shape[1:])
    if window.covers(x.shape[2:]):  # each input is its own column
        columns, along = x.reshape(n, terms), 1
    else:
        # the batch goes behind the channels, where the cells are, so that this is one product
        cells = n * math.prod(window.output)
        columns, along = _columns(jnp.moveaxis(x, 0, 1), window).reshape(terms, cells), 0
    # weights first: with a batch the other order took up to 1.8 times as long
    y = lax.dot_general(
        weight.reshape(outputs, terms), columns, (((1,), (along,)), ((), ())), precision=precision
    )
    return jnp.moveaxis(y.reshape(outputs, n, *window.output), 0, 1)


def padded(
    x: jax.Array, weight: jax.Array, window: Window, groups: int, precision: Precision
) -> jax.Array:
    """Leave the convolution to lax with a pixel of padding, and drop the cells that read it.

    On a CPU, XLA computes convolutions without padding another way, which takes up to ten times as
    long.
    """
    *others, (before, after) = window.padding
    y = plain(x, weight, replace(window, padding=(*others, (before, after + 1))), groups, precision)
    return lax.slice_in_dim(y, 0, window.output[-1], axis=-1)


def shifted(
    x: jax.Array, weight: jax.Array, window: Window, groups: int, precision: Precision
) -> jax.Array:
    """Add up the input, moved to each tap, times the tap's weights; a group is one channel."""
    del precision  # these are not products of matrices, and always whole
    outputs = len(weight)
    factors = weight.reshape(outputs, -1, *[1] * len(window.kernel)).swapaxes(0, 1)
    pixels = _taps(jnp.repeat(x, outputs // groups, axis=1), window)
    y: jax.Array = functools.reduce(operator.add, map(operator.mul, pixels, factors[:, None]))
    return y


FORMS: dict[Form, Callable[..., jax.Array]] = {
    Form.LAX: plain,
    Form.PRODUCT: product,
    Form.PADDED: padded,
    Form.SHIFTED: shifted,
}


def _columns(x: jax.Array, window: Window) -> jax.Array:
    """Gather the windows of ``(C, N, *S)`` as ``(C, *K, N, *S')``, in the order of the weights.

    An axis at a time, so that sum(K) slices are taken and not prod(K), and the later ones are of
    long runs.
    """
    x = jnp.pad(x, [(0, 0), (0, 0), *window.padding])
    rank = len(window.kernel)
    for axis in reversed(range(rank)):
        spans = [_span(window, axis, tap) for tap in range(window.kernel[axis])]
        x = jnp.stack([lax.slice_in_dim(x, *span, axis=axis - rank) for span in spans], axis=1)
    return x


def _taps(x: jax.Array, window: Window) -> Iterator[jax.Array]:
    """Yield the pixels that each tap reads, ``(N, C, *S')``, in the order of the weights."""
    padded = jnp.pad(x, [(0, 0), (0, 0), *window.padding])
    for tap in itertools.product(*map(range, window.kernel)):
        first, last, steps = zip(*(_span(window, *at) for at in enumerate(tap)), strict=True)
        yield lax.slice(padded, (0, 0, *first), (*x.shape[:2], *last), (1, 1, *steps))


def _span(window: Window, axis: int, tap: int) -> tuple[int, int, int]:
    """Return what a tap reads of an axis of the padded input: first, one past the last, step."""
    first, stride = tap * window.dilation[axis], window.stride[axis]
    return first, first + (window.output[axis] - 1) * stride + 1, stride
