"""What `test_shard.py` runs where the CPU plays eight devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import fcconv
from comparing import assert_identical
from fcconv import ShapeError

WINDOW, WIDTH = 10, 13


def integers(seed: int, *shape: int, dtype: str = "float64") -> Any:
    return jnp.asarray(np.random.default_rng(seed).integers(-3, 4, shape), dtype)


def plain(params: Any, x: Any) -> Any:
    kernel, dense = params
    x = jax.nn.relu(lax.conv(x[None], kernel, (1, 1), "VALID"))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return jnp.tensordot(dense, x[0], 3)


def grouped(params: Any, x: Any) -> Any:
    kernel, dense = params
    x = lax.conv_general_dilated(
        x[None], kernel, (1, 1), "VALID", rhs_dilation=(2, 2), feature_group_count=2
    )
    return dense @ jax.nn.relu(x).ravel()


def padded(x: Any, kernels: Any) -> Any:
    for kernel in kernels:
        x = lax.conv_general_dilated(
            x[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )[0]
    return {"sums": x.sum((0, 1)), "corner": jax.nn.relu(x[0, 0])}


def unshared(params: Any, x: Any) -> Any:
    rows = params @ x.reshape(2, -1)
    return rows @ rows.T


@dataclass(frozen=True)
class Network:
    """A function of a patch, its weights, and how it slides."""

    function: Callable[..., Any]
    weights: Any
    along: int = 1
    argnum: int = -1
    spatial_axes: tuple[int, ...] = (1, 2)

    def slid(self, stride: int) -> Any:
        return fcconv.slide(
            self.function,
            self.shape(WINDOW, WINDOW),
            stride=stride,
            argnum=self.argnum,
            spatial_axes=self.spatial_axes,
        )

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        return (2, height, width) if self.along else (height, width, 2)

    def arguments(self, size: int, mesh: Mesh | None = None) -> list[Any]:
        """Return weights and an image, or the other way round; it may be cut already."""
        image = integers(7, *self.shape(size, WIDTH))
        if mesh:
            image = jax.device_put(image, NamedSharding(mesh, rows_of(self.along)))
        return [image, self.weights] if self.argnum == 0 else [self.weights, image]


NETWORKS = {
    "plain": Network(plain, (integers(1, 3, 2, 3, 3), integers(2, 3, 3, 4, 4))),
    "grouped": Network(grouped, (integers(3, 4, 1, 3, 3), integers(4, 3, 4 * 6 * 6))),
    "padded": Network(padded, (integers(5, 3, 3, 2, 2),) * 2, 0, 0, (0, 1)),
    "unshared": Network(unshared, integers(6, 3, 2)),
}


def rows_of(along: int) -> PartitionSpec:
    return PartitionSpec(*[None] * along, "rows")


def mesh_of(devices: int) -> Mesh:
    return Mesh(np.array(jax.devices()[:devices]), ("rows",))


def with_gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return scores, and the gradients of a sum of them with integers for weights."""

    def function(*arguments: Any) -> Any:
        scores, pulled = jax.vjp(f, *arguments)
        weights = jax.tree.map(lambda y: integers(8, *y.shape), scores)
        return scores, pulled(weights)

    return jax.jit(function)


def assert_equal(found: Any, expected: Any) -> None:
    assert str(jax.tree.structure(found)) == str(jax.tree.structure(expected))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_identical(ours, np.asarray(theirs), "on several devices")


@pytest.mark.parametrize(
    ("name", "size", "devices"),
    [
        ("plain", 64, 8),  # the last device has no window of its own
        ("plain", 67, 4),  # parts are filled up
        ("grouped", 67, 8),
        ("grouped", 128, 4),
        ("padded", 67, 8),
        ("unshared", 67, 8),
    ],
)
def test_scores_and_gradients_are_those_of_one_device(name: str, size: int, devices: int) -> None:
    network = NETWORKS[name]
    slid, arguments = network.slid(2), network.arguments(size)
    sharded = fcconv.shard(slid, mesh_of(devices), "rows")
    assert_equal(with_gradients(sharded)(*arguments), with_gradients(slid)(*arguments))


def collectives(compiled: Any) -> list[str]:
    names = "all-gather|all-reduce|all-to-all|collective-[a-z]+|reduce-scatter|ragged-all-to-all"
    return re.findall(rf" ({names})(?:-start)?\(", compiled.as_text())


@pytest.mark.parametrize("devices", [4, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_devices_meet_once(name: str, devices: int) -> None:
    """Of 16 pixels, a part has 4 windows, the last has 2: two more, and parts are even."""
    network, mesh = NETWORKS[name], mesh_of(devices)
    slid, arguments = network.slid(4), network.arguments(16 * devices, mesh)
    sharded = fcconv.shard(slid, mesh, "rows")

    def in_even_parts(*arguments: Any) -> Any:
        made = sharded(*arguments)
        return jax.tree.map(lambda y: jnp.pad(y, [(0, 2), *[(0, 0)] * (y.ndim - 1)]), made)

    compiled = jax.jit(in_even_parts).lower(*arguments).compile()
    assert collectives(compiled) == ["collective-permute"]
    scores = jax.tree.map(lambda y: y[:-2], compiled(*arguments))
    assert_equal(scores, jax.jit(slid)(*network.arguments(16 * devices)))


def test_scores_that_are_not_even_are_whole() -> None:
    network, mesh = NETWORKS["plain"], mesh_of(4)
    sharded = fcconv.shard(network.slid(4), mesh, "rows")
    compiled = jax.jit(sharded).lower(*network.arguments(64, mesh)).compile()
    assert collectives(compiled) == ["collective-permute", "all-gather"]


@pytest.mark.parametrize(
    ("size", "rows"), [(67, AxisType.Explicit), (72, AxisType.Explicit), (72, AxisType.Auto)]
)
def test_meshes_whose_types_say_parts(size: int, rows: AxisType) -> None:
    """Four devices can share out the windows of 72 pixels, not those of 67."""
    network = NETWORKS["grouped"]
    mesh = jax.make_mesh((2, 4), ("images", "rows"), axis_types=(AxisType.Explicit, rows))
    slid, arguments = network.slid(4), network.arguments(size)
    sharded = fcconv.shard(slid, mesh, "rows")
    given = network.arguments(size, mesh if size % 4 == 0 else None)
    assert_equal(squared(sharded)(*given), squared(slid)(*arguments))
    with jax.set_mesh(mesh):
        assert_equal(jax.jit(sharded)(*given), jax.jit(slid)(*arguments))


def squared(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a sum of squared scores, and its gradients."""

    def loss(*arguments: Any) -> Any:
        return (f(*arguments) ** 2).sum()

    return jax.jit(jax.value_and_grad(loss, (0, 1)))


def test_batches() -> None:
    network = NETWORKS["plain"]
    slid, (weights, _) = network.slid(4), network.arguments(64)
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("images", "rows"))
    images = integers(9, 2, 2, 64, WIDTH)
    parts = NamedSharding(mesh, PartitionSpec("images", None, "rows"))
    sharded = fcconv.shard(slid, mesh, "rows")
    of_batch = jax.jit(jax.vmap(sharded, (None, 0), spmd_axis_name="images"))
    expected = jax.jit(jax.vmap(slid, (None, 0)))(weights, images)
    assert_equal(of_batch(weights, jax.device_put(images, parts)), expected)


def test_gradients_know_nothing_of_what_fills_parts_up() -> None:
    """The derivative of a root of no pixels would not be a number."""

    def root(scale: Any, patch: Any) -> Any:
        return jnp.sqrt((scale * patch).sum())

    slid = fcconv.slide(root, (8, 8), stride=3, spatial_axes=(0, 1))  # the root of 64 is exact
    sharded = fcconv.shard(slid, mesh_of(4), "rows")
    image = jnp.ones((62, WIDTH))
    arguments = jnp.asarray(1.0), image
    assert_equal(with_gradients(sharded)(*arguments), with_gradients(slid)(*arguments))


def test_devices_that_do_not_fit_are_too_many() -> None:
    network = NETWORKS["plain"]
    sharded = fcconv.shard(network.slid(2), mesh_of(8), "rows")
    with pytest.raises(ShapeError, match=r"8 devices are too many .* 40 pixels.* at most 6 dev"):
        sharded(*network.arguments(40))
