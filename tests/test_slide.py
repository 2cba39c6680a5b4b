"""A function of a patch, slid, is the function applied to every window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import fcconv
from comparing import assert_identical
from fcconv import ArgumentError, FcconvError, UnsupportedError
from fcconv.functions import exact as exact_form
from strategies import seeds

LAYOUTS = {"CHW": ("NCHW", "OIHW", "NCHW"), "HWC": ("NHWC", "HWIO", "NHWC")}
AXES = {"CHW": (1, 2), "HWC": (0, 1)}


def of_windows(
    f: Callable[..., Any], window: Sequence[int], stride: int, axes: Sequence[int]
) -> Callable[..., Any]:
    """Apply a function to every window, cut out."""

    def function(*args: Any) -> Any:
        *others, image = args
        cells = [(image.shape[a] - window[a]) // stride + 1 for a in axes]

        def one(cell: Any) -> Any:
            starts = [jnp.asarray(0)] * image.ndim
            for axis, i in zip(axes, cell, strict=True):
                starts[axis] = i * stride
            return f(*others, lax.dynamic_slice(image, starts, window))

        places = jnp.asarray(np.stack([grid.ravel() for grid in np.indices(cells)], axis=1))
        made = jax.vmap(one)(places)
        return jax.tree.map(lambda y: y.reshape(*cells, *y.shape[1:]), made)

    return function


def integers(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.integers(-3, 4, shape), jnp.float64)


def assert_slides(
    f: Callable[..., Any],
    arguments: Sequence[Any],
    window: Sequence[int],
    stride: int,
    axes: Sequence[int],
    spatial_axes: Sequence[int] | None = None,
) -> Any:
    """Compare with all windows, bit for bit; return what windows share."""
    slid = fcconv.slide(f, window, stride=stride, spatial_axes=spatial_axes)
    found, expected = slid(*arguments), of_windows(f, window, stride, axes)(*arguments)
    assert str(jax.tree.structure(found)) == str(jax.tree.structure(expected))
    assert_equal(found, expected)
    return slid.describe(*arguments)


def assert_equal(found: Any, expected: Any) -> None:
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_identical(ours, np.asarray(theirs), "slid")


@dataclass(frozen=True)
class Blocks:
    """A network of convolutions, pools and dense layers on a patch, its weights integers."""

    layout: str
    blocks: tuple[tuple[int, int, int, str, str], ...]
    batched: bool
    hidden: int

    def parameters(self, rng: np.random.Generator, window: Sequence[int]) -> Any:
        channels, kernels = window["CHW".index("C") if self.layout == "CHW" else 2], []
        for kernel, outputs, *_ in self.blocks:
            shape = {"CHW": (outputs, channels, kernel, kernel),
                     "HWC": (kernel, kernel, channels, outputs)}[self.layout]  # fmt: skip
            kernels.append((integers(rng, *shape), integers(rng, outputs)))
            channels = outputs
        patch = jax.ShapeDtypeStruct(tuple(window), jnp.float64)
        features = jax.eval_shape(lambda x: self.trunk(kernels, x), patch).size
        return kernels, integers(rng, features, self.hidden), integers(rng, self.hidden, 3)

    def trunk(self, kernels: Any, x: Any) -> Any:
        spatial = AXES["CHW"] if self.layout == "CHW" else AXES["HWC"]
        for (weight, bias), (_, _, stride, padding, pool) in zip(kernels, self.blocks, strict=True):
            x = lax.conv_general_dilated(
                x[None], weight, (stride, stride), padding, dimension_numbers=LAYOUTS[self.layout]
            )
            bias = bias[:, None, None] if self.layout == "CHW" else bias[None, None]
            x = jax.nn.relu(x[0] + bias)
            if pool == "none" or min(x.shape[a] for a in spatial) < 2:
                continue
            sizes = [2 if a in spatial else 1 for a in range(3)]
            first, combine = {"max": (-jnp.inf, lax.max), "sum": (0.0, lax.add)}[pool]
            x = lax.reduce_window(x, first, combine, sizes, sizes, "VALID")
        return x

    def __call__(self, parameters: Any, x: Any) -> Any:
        kernels, first, second = parameters
        x = self.trunk(kernels, x[0] if self.batched else x)
        return jax.nn.relu(x.reshape(-1) @ first) @ second


def networks() -> st.SearchStrategy[Blocks]:
    block = st.tuples(
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(1, 2),
        st.sampled_from(["VALID", "VALID", "SAME"]),
        st.sampled_from(["none", "max", "sum"]),
    )
    blocks = st.lists(block, min_size=1, max_size=2).map(tuple)
    return st.builds(
        Blocks, st.sampled_from(["CHW", "HWC"]), blocks, st.booleans(), st.integers(1, 4)
    )


@settings(max_examples=8)
@given(network=networks(), stride=st.integers(1, 5), more=st.integers(0, 6), seed=seeds)
def test_every_window_is_scored_as_its_crop(
    network: Blocks, stride: int, more: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    window = (2, 14, 15) if network.layout == "CHW" else (14, 15, 2)
    parameters = network.parameters(rng, window)
    axes = AXES[network.layout]
    image = integers(rng, *(n + (more if a in axes else 0) for a, n in enumerate(window)))
    beside = 1 if network.batched else 0
    shared = assert_slides(
        network,
        (parameters, image.reshape([1] * beside + [*image.shape])),
        (*[1] * beside, *window),
        stride,
        [axis + beside for axis in axes],
        [axis + beside for axis in axes],
    )
    padded = any(padding == "SAME" and kernel > 1 for kernel, _, _, padding, _ in network.blocks)
    assert bool(shared.own) <= padded


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_gradients_are_those_of_all_windows(layout: str, padding: str) -> None:
    network = Blocks(layout, ((3, 2, 1, padding, "max"), (2, 3, 1, "VALID", "sum")), False, 3)
    rng, window = np.random.default_rng(0), (2, 9, 10) if layout == "CHW" else (9, 10, 2)
    parameters = network.parameters(rng, window)
    image = integers(rng, *(n + 4 if a in AXES[layout] else n for a, n in enumerate(window)))

    def gradient(function: Callable[..., Any]) -> Any:
        return jax.jit(jax.grad(lambda *args: function(*args).sum(), argnums=(0, 1)))(
            parameters, image
        )

    found = gradient(fcconv.slide(network, window, stride=2))
    expected = gradient(of_windows(network, window, 2, AXES[layout]))
    assert_equal(found, expected)


@pytest.mark.parametrize("extreme", [jnp.max, jnp.min])
def test_equal_extremes_share_a_derivative(extreme: Callable[..., Any]) -> None:
    slid = fcconv.slide(extreme, (2, 2), stride=2, spatial_axes=(0, 1))
    found = jax.grad(lambda image: slid(image).sum())(jnp.ones((4, 4)))
    assert_equal(found, jnp.full((4, 4), 0.25))


def test_pixels_that_are_not_read_do_not_matter() -> None:
    def corners(x: Any) -> Any:
        return x[::3, ::3].reshape(-1) @ jnp.ones((4, 1))

    image = jnp.ones((7, 7)).at[3, 1:3].set(jnp.nan)
    assert_slides(corners, (image,), (4, 4), 1, (0, 1), (0, 1))


def test_what_goes_on_by_itself_for_other_reasons() -> None:
    image = integers(np.random.default_rng(6), 6, 7)
    for f in (
        lambda x: x.astype(jnp.complex128).sum(),
        lambda x: x[:0],
        lambda x: (x[:0].sum(), x.sum()),
    ):
        assert_slides(f, (image,), (3, 3), 2, (0, 1), (0, 1))


def test_an_effect_is_refused() -> None:
    def f(x: Any) -> Any:
        jax.debug.print("seen")
        return x.sum()

    with pytest.raises(UnsupportedError, match=r"debug_print.* makes no value"):
        fcconv.slide(f, (3, 3), spatial_axes=(0, 1))(jnp.ones((4, 4)))


def test_a_precision_that_is_asked_for_is_kept() -> None:
    def f(x: Any) -> Any:
        return lax.dot(x.reshape(1, 16), jnp.ones((16, 2)), precision="high")

    slid = fcconv.slide(f, (4, 4), spatial_axes=(0, 1))
    assert "Precision.HIGH)" in str(jax.make_jaxpr(slid)(jnp.ones((6, 6))))


def test_a_derivative_of_its_own_is_kept() -> None:
    def scores(patch: Any) -> Any:
        return jax.nn.relu(patch).sum()  # whose slope at 0 is 0, not a half

    slid = fcconv.slide(scores, (2, 2), spatial_axes=(0, 1))
    assert not np.any(jax.grad(lambda image: slid(image).sum())(jnp.zeros((4, 5))))
    assert not slid.describe(jnp.zeros((4, 5))).own


KERNEL = jnp.asarray(np.random.default_rng(0).integers(-3, 4, (6, 3, 3, 3)), jnp.float64)


def convolved(x: Any, **arguments: Any) -> Any:
    return lax.conv_general_dilated(x[None], KERNEL, (1, 1), "VALID", **arguments)[0]


def gated(x: Any) -> Any:
    y = convolved(x)
    return (y * (y.sum((1, 2)) > 0).astype(y.dtype)[:, None, None]).max((1, 2))


def attention(x: Any) -> Any:
    tokens = convolved(x).reshape(6, -1).T
    return ((tokens @ tokens.T) @ tokens).sum(0)


def transposed(x: Any) -> Any:
    axes = ("NCHW", "IOHW", "NCHW")
    wide = lax.conv_transpose(x[None], KERNEL[:3], (2, 2), "VALID", dimension_numbers=axes)
    return wide[0].max((1, 2))


def scanned(x: Any) -> Any:
    return lax.scan(lambda y, k: (y * k, None), convolved(x), jnp.arange(1.0, 4.0))[0].sum()


def padded(x: Any) -> Any:
    return convolved(jnp.pad(x, ((0, 0), (1, 1), (0, 2)), constant_values=2.0)).sum((1, 2))


def reduced(x: Any) -> Any:
    return {"map": convolved(x), "largest": jnp.argmax(x.sum((1, 2))), "constant": jnp.ones(2)}


def joined(x: Any) -> Any:
    return jnp.concatenate([convolved(x), x[:, 1:-1, 1:-1]]).sum((1, 2))


def strided(x: Any) -> Any:
    return jnp.flip(x[::-1, ::2, 1:-1], 0).sum((1, 2))


def einsum(x: Any) -> Any:
    return jnp.einsum("oc,chw->ohw", KERNEL[:, :, 0, 0], x).max(0).sum()


ALL_SHARED = [joined, strided, einsum, reduced]
SOME_OWN = [gated, attention, transposed, scanned, padded]


@pytest.mark.parametrize("f", [*ALL_SHARED, *SOME_OWN], ids=lambda f: f.__name__)
@pytest.mark.parametrize("stride", [1, 3])
def test_what_functions_are_made_of(f: Callable[..., Any], stride: int) -> None:
    image = integers(np.random.default_rng(1), 3, 13, 14)
    shared = assert_slides(f, (image,), (3, 8, 8), stride, (1, 2), (1, 2))
    own = [reason for reason in shared.own if "argmax" not in reason]
    assert bool(own) == (f in SOME_OWN), str(shared)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_ranks_without_channels(rank: int) -> None:
    def f(x: Any) -> Any:
        weight = jnp.ones((2, 1, *[3] * rank))
        return lax.conv_general_dilated(x[None, None], weight, [1] * rank, "VALID")[0].sum()

    image = integers(np.random.default_rng(2), *[9] * rank)
    assert not assert_slides(f, (image,), [6] * rank, 2, range(rank)).own


def test_a_batch_and_a_checkpoint() -> None:
    rng = np.random.default_rng(3)
    images, slid = integers(rng, 2, 3, 11, 12), fcconv.slide(gated, (3, 8, 8), stride=2)
    found = jax.jit(jax.vmap(slid))(images)
    for image, scores in zip(images, found, strict=True):
        assert_equal(scores, slid(image))
    plain, kept = (
        jax.grad(lambda x, f=f: f(x).sum())(images[0]) for f in (slid, jax.checkpoint(slid))
    )
    assert_equal(plain, kept)


def test_other_arguments_are_the_callers_own() -> None:
    def f(x: Any, key: Any, scale: dict[str, Any]) -> Any:
        return (x * jax.random.randint(key, (8, 8), 0, 5).astype(x.dtype)).sum() * scale["by"]

    image = integers(np.random.default_rng(4), 10, 11)
    arguments = jax.random.key(0), {"by": jnp.asarray(2.0)}
    slid = fcconv.slide(f, (8, 8), argnum=0, spatial_axes=(0, 1))
    expected = of_windows(lambda k, s, x: f(x, k, s), (8, 8), 1, (0, 1))(*arguments, image)
    assert_equal(slid(image, *arguments), expected)
    keyword = slid(image, arguments[0], scale=arguments[1])
    assert_equal(keyword, expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_types(dtype: str) -> None:
    def f(x: Any) -> Any:
        y = x.astype(jnp.float32) if dtype == "uint8" else x
        return (y[:, :, 0] - y[:, :, 1]).max()

    image = integers(np.random.default_rng(5), 9, 9, 2).astype(dtype)
    assert_slides(f, (image,), (4, 4, 2), 2, (0, 1), (0, 1))


def test_padding_of_the_image_is_another_function() -> None:
    image = jnp.ones((3, 12, 12))
    exact, shared = (
        fcconv.slide(padded, (3, 8, 8), spatial_axes=(1, 2), windows=windows)
        for windows in ("exact", "shared")
    )
    assert exact.describe(image).own
    assert not shared.describe(image).own
    assert np.any(np.asarray(exact(image)) != np.asarray(shared(image)))
    assert np.array_equal(exact(image[:, :8, :8]), shared(image[:, :8, :8]))


@pytest.mark.parametrize("windows", ["exact", "shared"])
def test_windows_that_pad_share_most_multiplications(windows: str) -> None:
    """Counted in what JAX computes, beside what `describe` says."""

    def network(kernels: Any, x: Any) -> Any:
        for kernel in kernels:
            layout = LAYOUTS["HWC"]
            made = lax.conv_general_dilated(
                x[None], kernel, (1, 1), "SAME", dimension_numbers=layout
            )
            x = jax.nn.relu(made[0])
            x = lax.reduce_window(x, -jnp.inf, lax.max, (2, 2, 1), (2, 2, 1), "VALID")
        return x.mean((0, 1))

    sizes = [(3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 64)]
    kernels = [jnp.ones(size, jnp.float32) for size in sizes]
    image = jax.ShapeDtypeStruct((256, 256, 3), jnp.float32)
    slid = fcconv.slide(network, (64, 64, 3), stride=8, windows=windows)
    crops = of_windows(network, (64, 64, 3), 8, (0, 1))

    def count(f: Any) -> float:
        found: Any = jax.jit(f).lower(kernels, image).cost_analysis()
        return float(found["flops"])

    ours, theirs = count(slid), count(crops)
    assert ours < theirs / 3
    cost = slid.describe(kernels, image).cost
    assert (cost is not None) == (windows == "exact")
    assert cost is None or cost.exact < cost.crops / 3


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_bands_of_windows_are_those_of_the_whole_image(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Eight rows of four windows: also in bands that don't divide them."""
    image = integers(np.random.default_rng(3), 3, 23, 14)
    slid = fcconv.slide(padded, (3, 8, 8), stride=2, spatial_axes=(1, 2))
    whole = slid(image)
    monkeypatch.setattr(exact_form, "ENTRIES", rows * 4 * 512)
    monkeypatch.setattr(exact_form, "_largest", lambda *_: 512)
    assert_equal(slid(image), whole)


def f_that_refuses(x: Any) -> Any:
    return x @ jnp.ones((3, 3))


@pytest.mark.parametrize(
    ("arguments", "image", "said"),
    [
        ({}, jnp.ones((3, 7, 9)), "holds no window of .3, 8, 8. along .*: axis 1 has 7, needs 8"),
        ({}, jnp.ones((4, 9, 9)), "axis 0 has 4, needs 3"),
        ({}, jnp.ones((2, 3, 9, 9)), "needs the 3 axes of a patch, .*: jax.vmap takes a batch"),
        ({}, "image.png", "the image needs to be an array of numbers, got str: see argnum"),
        ({"argnum": 1}, jnp.ones((3, 9, 9)), "argnum is 1, but the function got 1 by position"),
        ({"stride": 0}, jnp.ones((3, 9, 9)), "stride"),
        ({"stride": (1, 1, 1)}, jnp.ones((3, 9, 9)), "stride"),
    ],
)
def test_an_image_that_does_not_fit(arguments: dict[str, Any], image: Any, said: str) -> None:
    with pytest.raises(FcconvError, match=said):
        fcconv.slide(gated, (3, 8, 8), **arguments)(image)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window": ()}, "window needs the shape of a patch"),
        ({"window": 8}, "window needs the shape of a patch"),
        ({"spatial_axes": 0}, "spatial_axes needs several axes"),
        ({"argnum": "x"}, "argnum"),
        ({"window": (3, 0, 8)}, "a length of window"),
        ({"spatial_axes": (3,)}, "an axis of spatial_axes"),
        ({"spatial_axes": (2, 1)}, "one to three of the 3 axes of a patch, in order"),
        ({"windows": "crops"}, "windows needs 'exact' or 'shared', got 'crops'"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        fcconv.slide(gated, **{"window": (3, 8, 8), **arguments})


def test_what_the_function_refuses_is_its_own_error() -> None:
    with pytest.raises(TypeError) as error:
        fcconv.slide(f_that_refuses, (8, 8), spatial_axes=(0, 1))(jnp.ones((9, 9)))
    assert any("on a patch of shape (8, 8)" in note for note in error.value.__notes__)


def test_a_function_that_does_not_tell_its_axes() -> None:
    with pytest.raises(
        ArgumentError, match=r"does not tell which axes of a patch of shape .4, 4, 4."
    ):
        fcconv.slide(jnp.sum, (4, 4, 4))(jnp.ones((5, 5, 5)))


def test_what_is_shared_is_said_with_the_line_where_it_ends() -> None:
    slid = fcconv.slide(partial(gated), (3, 8, 8), stride=2)
    said = str(slid.describe(jax.ShapeDtypeStruct((3, 20, 30), jnp.float64)))
    assert said.startswith("windows of (3, 8, 8) along the axes (1, 2), 2 and 2 apart: 7 x 12\n")
    assert "mul (" in said
    assert "test_slide.py:" in said
