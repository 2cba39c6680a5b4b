"""Convolution of floats in the form that suits platform and shape.

All forms take ``x (N, C, *S)`` and ``weight (O, C / groups, *K)`` and give ``(N, O, *S')``.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator
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
    n, outputs = len(x), len(weight)
    terms, cells = math.prod(weight.shape[1:]), math.prod(window.output)
    # an input of one window is its own column
    columns = x if window.covers(x.shape[2:]) else jnp.stack(list(_taps(x, window)), axis=2)
    # weights first: with a batch the other order took up to 1.8 times as long
    y = lax.dot_general(
        weight.reshape(outputs, terms),
        columns.reshape(n, terms, cells),
        (((1,), (1,)), ((), ())),
        precision=precision,
    )
    return jnp.moveaxis(y, 0, 1).reshape(n, outputs, *window.output)


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
    Form.SHIFTED: shifted,
}


def _taps(x: jax.Array, window: Window) -> Iterator[jax.Array]:
    """Yield the pixels that each tap reads, ``(N, C, *S')``, in the order of the weights."""
    padded = jnp.pad(x, [(0, 0), (0, 0), *window.padding])
    for tap in itertools.product(*map(range, window.kernel)):
        first = [index * dilation for index, dilation in zip(tap, window.dilation, strict=True)]
        last = [
            start + (cells - 1) * stride + 1
            for start, cells, stride in zip(first, window.output, window.stride, strict=True)
        ]
        yield lax.slice(padded, (0, 0, *first), (*x.shape[:2], *last), (1, 1, *window.stride))
