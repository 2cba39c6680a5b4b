"""Networks of Flax, Equinox and Keras, slid."""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

import fcconv
from fcconv.rounding import unit_roundoff

IMAGE = np.random.default_rng(0).random((60, 71, 3))
KEY = jax.random.key(0)

Case = tuple[Callable[..., Any], Any, tuple[int, ...], bool]
"""A function of parameters and a patch, the parameters, a window, and whether all is shared."""


class Linen(nn.Module):
    """Most of what a network of Flax has."""

    padding: str

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(8, (3, 3), padding=self.padding)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=True)(x))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.LayerNorm()(nn.gelu(nn.Conv(16, (3, 3), padding=self.padding)(x)))
        x = nn.avg_pool(x, (2, 2), (2, 2))
        return nn.softmax(nn.Dense(5)(nn.silu(nn.Dense(32)(x.reshape(x.shape[0], -1)))))


def linen(padding: str) -> Case:
    network = Linen(padding)
    variables = network.init(KEY, jnp.zeros((1, 24, 24, 3), jnp.float32))
    return lambda v, x: network.apply(v, x[None])[0], variables, (24, 24, 3), padding == "VALID"


class Nnx(nnx.Module):
    """A convolution, a normalisation, a pool, a dense layer."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.convolution = nnx.Conv(3, 8, (3, 3), padding="VALID", rngs=rngs)
        self.normalisation = nnx.BatchNorm(8, rngs=rngs, use_running_average=True)
        self.dense = nnx.Linear(8 * 11 * 11, 7, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.normalisation(self.convolution(x)))
        return self.dense(nnx.max_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1))


def split() -> Case:
    definition, state = nnx.split(Nnx(nnx.Rngs(0)))
    return lambda s, x: nnx.merge(definition, s)(x[None])[0], state, (24, 24, 3), True


def closed_over() -> Case:
    network = Nnx(nnx.Rngs(0))
    return lambda _, x: network(x[None])[0], (), (24, 24, 3), True


def equinox() -> Case:
    keys = jax.random.split(KEY, 3)
    network = eqx.nn.Sequential(
        [
            eqx.nn.Lambda(lambda x: jnp.moveaxis(x, 2, 0)),
            eqx.nn.Conv2d(3, 8, 3, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Conv2d(8, 8, 3, stride=2, key=keys[1]),
            eqx.nn.Lambda(jax.nn.gelu),
            eqx.nn.AvgPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(8 * 2 * 2, 5, key=keys[2]),
        ]
    )
    arrays, static = eqx.partition(network, eqx.is_array)
    return lambda p, x: eqx.combine(p, static)(x), arrays, (24, 24, 3), True


def of_keras() -> Case:
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    values = [[v.value for v in group] for group in (network.trainable_variables,
                                                     network.non_trainable_variables)]  # fmt: skip

    def scores(variables: Any, x: Any) -> Any:
        return network.stateless_call(*variables, x[None])[0][0]

    return scores, values, (24, 24, 3), True


CASES = {
    "linen": lambda: linen("VALID"),
    "linen, padded": lambda: linen("SAME"),
    "nnx, split": split,
    "nnx, closed over": closed_over,
    "equinox": equinox,
    "keras": of_keras,
}


@pytest.fixture(autouse=True)
def as_users_have_it() -> Iterator[None]:
    """Let libraries mix types and ranks, which the other tests forbid."""
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    keras.config.set_floatx(before)  # other tests have Keras as users have it, too
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("case", CASES)
def test_windows_have_the_scores_of_crops(case: str) -> None:
    f, parameters, window, all_shared = CASES[case]()
    parameters = jax.tree.map(lambda array: array.astype(jnp.float64), parameters)
    slid = fcconv.slide(f, window, stride=9)
    found = np.asarray(jax.jit(slid)(parameters, IMAGE))
    crops = np.stack([IMAGE[9 * i :, 9 * j :][:24, :24] for i, j in np.ndindex(*found.shape[:2])])
    expected = np.asarray(jax.jit(jax.vmap(lambda x: f(parameters, x)))(crops))
    assert found.shape[:2] == (5, 6)
    assert bool(slid.describe(parameters, IMAGE).own) != all_shared
    # float64 rounds half as many digits further on than what is asked for: a wrong weight shows,
    # another order of terms does not
    apart = np.abs(found - expected.reshape(found.shape))
    assert apart.max() <= unit_roundoff("float32") * np.abs(expected).max()
