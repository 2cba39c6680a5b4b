"""Bad input of every kind raises the named error with the shapes, and nothing else escapes."""

from __future__ import annotations

import pickle
import re
from inspect import signature
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from fcconv import ArgumentError, BackendError, DtypeError, FcconvError, ShapeError
from fcconv.backend import BACKENDS, ArrayBackend, array_dtype

conv, dense, conv1x1, im2col = fcconv.conv, fcconv.dense, fcconv.conv1x1, fcconv.im2col
max_pool, avg_pool = fcconv.max_pool, fcconv.avg_pool


def f(*shape: int, dtype: str = "float32") -> Any:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("function", "arrays", "arguments", "said"),
    [
        (dense, [f(2, 3), f(4, 5)], {}, ["float32(2, 3)", "float32(4, 5)", "3 features"]),
        (dense, [f(), f(4, 5)], {}, ["x (..., I) needs at least 1 axis, got 0"]),
        (dense, [f(3), f(4, 3, 1)], {}, ["weight (O, I) needs 2 axes, got 3"]),
        (dense, [f(3), f(4, 3), f(5)], {}, ["bias needs the shape (4,)", "(5,)"]),
        (conv, [f(3, 5), f(4, 3)], {}, ["float32(3, 5)", "needs 3 to 5 axes", "got 2"]),
        (conv, [f(1, 1, 2, 2, 2, 2), f(1, 1, 1, 1, 1, 1)], {}, ["one to three of them spatial"]),
        (conv, [f(1, 3, 5, 5), f(4, 3, 2)], {}, ["needs 4 axes, got 3"]),
        (conv, [f(1, 3, 5), f(4, 2, 2)], {}, ["x has 3 channels, but weight reads 2"]),
        (conv, [f(1, 4, 5), f(4, 4, 2)], {"groups": 2}, ["weight reads 4 in each of 2 groups"]),
        (conv, [f(1, 4, 5), f(3, 2, 2)], {"groups": 2}, ["groups=2 must divide the 4", "the 3"]),
        (conv, [f(1, 3, 5), f(4, 3, 2), f(3)], {}, ["bias needs the shape (4,)"]),
        (conv, [f(1, 3, 5), f(4, 3, 6)], {}, ["(6,) pixels, more than the padded input (5,)"]),
        (conv, [f(1, 3, 5), f(4, 3, 3)], {"dilation": 3}, ["covers (7,) pixels"]),
        (conv1x1, [f(1, 3, 5), f(4, 2)], {}, ["x has 3 channels, but weight reads 2"]),
        (conv1x1, [f(1, 3, 5), f(4, 3, 2)], {}, ["(O, C) or (O, C, 1), got (4, 3, 2)"]),
        (conv1x1, [f(1, 3, 5), f(4, 3, 1, 1)], {}, ["(O, C) or (O, C, 1), got (4, 3, 1, 1)"]),
        (conv1x1, [f(1, 3, 5), f(4)], {}, ["(O, C) or (O, C, 1), got (4,)"]),
        (im2col, [f(1, 3, 5)], {"kernel": 6}, ["(6,) pixels, more than the padded input (5,)"]),
        (max_pool, [f(1, 3, 5)], {"kernel": 6}, ["more than the padded input (5,)"]),
        (max_pool, [f(1, 3, 5)], {"kernel": 2, "padding": 2}, ["window 0", "reads padding only"]),
        (avg_pool, [f(1, 3, 5)], {"kernel": 2, "padding": 2}, ["window 0", "reads padding only"]),
        (fcconv.dense_to_conv, [f(4, 12)], {"shape": (3, 2, 3)}, ["(3, 2, 3) has 18", "12"]),
        (fcconv.dense_to_conv, [f(4, 12)], {"shape": (12,)}, ["(C, *S)", "(12,)"]),
        (fcconv.dense_to_conv1x1, [f(4, 3, 1)], {}, ["weight (O, I) needs 2 axes, got 3"]),
        (fcconv.conv_to_dense, [f(4, 3, 2)], {"shape": (3, 5, 5)}, ["needs 4 axes, got 3"]),
        (
            fcconv.conv_to_dense,
            [f(4, 3, 2)],
            {"shape": (2, 5)},
            ["shape has 2 channels, but weight reads 3"],
        ),
        (fcconv.conv_to_dense, [f(4, 3, 2)], {"shape": (3, 1)}, ["more than the padded input"]),
    ],
)
def test_shape_errors(
    xp: ArrayBackend[Any],
    function: Any,
    arrays: list[Any],
    arguments: dict[str, Any],
    said: list[str],
) -> None:
    refuse(ShapeError, function, [xp.asarray(array) for array in arrays], arguments, said)


@pytest.mark.parametrize(
    ("function", "arrays", "arguments", "said"),
    [
        (conv, [f(1, 4, 5), f(3, 4, 2)], {"groups": 0}, ["groups needs", "from 1 to", "got 0"]),
        (conv, [f(1, 3, 5), f(4, 3, 0)], {}, ["kernel needs", "from 1 to", "got 0"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"stride": 0}, ["stride needs", "from 1 to", "got 0"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"stride": -1}, ["stride needs", "from 1 to", "got -1"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"stride": 1.5}, ["stride needs an integer", "1.5"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"stride": True}, ["stride needs an integer", "True"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"stride": (1, 2)}, ["one integer or 1", "(1, 2)"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"dilation": "2"}, ["dilation needs an integer"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"padding": -1}, ["padding needs", "from 0 to", "got -1"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"padding": "full"}, ['"valid" or "same"', "'full'"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"padding": [(1, 2, 3)]}, ["(before, after) pairs"]),
        (conv, [f(1, 3, 5), f(4, 3, 2)], {"padding": ["ab"]}, ["(before, after) pairs"]),
        (fcconv.dense_to_conv, [f(4, 12)], {"shape": (3, -4)}, ["shape needs", "got -4"]),
        (
            fcconv.dense_to_conv,
            [f(4, 12)],
            {"shape": (3, 2, 2), "order": "HWX"},
            ["each letter of 'CHW' once", "'HWX'"],
        ),
        (
            fcconv.dense_to_conv,
            [f(4, 12)],
            {"shape": (3, 2, 2), "order": "CHH"},
            ["each letter of 'CHW' once"],
        ),
        (fcconv.dense_to_conv1x1, [f(4, 3)], {"rank": 4}, ["rank needs 1, 2 or 3", "got 4"]),
    ],
)
def test_argument_errors(
    xp: ArrayBackend[Any],
    function: Any,
    arrays: list[Any],
    arguments: dict[str, Any],
    said: list[str],
) -> None:
    refuse(ArgumentError, function, [xp.asarray(array) for array in arrays], arguments, said)


def refuse(
    error: type[FcconvError],
    function: Any,
    given: list[Any],
    arguments: dict[str, Any],
    said: list[str],
) -> None:
    """See a call refused by an error that begins with it."""
    with pytest.raises(error) as caught:
        function(*given, **arguments)
    message = str(caught.value)
    assert message.startswith(f"{function.__name__}(")
    for array in given:
        assert f"{array_dtype(array)}{tuple(array.shape)}" in message
    for words in said:
        assert words in message


@pytest.mark.parametrize("dtype", ["bool", "complex64", "object", "U3", "M8[s]", "V4"])
def test_dtypes_without_arithmetic_are_refused(dtype: str) -> None:
    x = np.zeros((1, 1, 3), dtype)
    for call in (
        lambda: dense(x, x[0]),
        lambda: conv(x, x),
        lambda: conv1x1(x, x[0, :, :1]),
        lambda: im2col(x, 1),
        lambda: max_pool(x, 1),
        lambda: avg_pool(x, 1),
        lambda: fcconv.dense_to_conv(x[0], (1, 3)),
    ):
        with pytest.raises(DtypeError, match=re.escape(str(x.dtype))):
            call()


def test_float8_is_refused(xp: ArrayBackend[Any]) -> None:
    x = xp.asarray(np.ones((1, 1, 3), ml_dtypes.float8_e5m2))  # NumPy takes it for a float
    with pytest.raises(DtypeError, match="float8_e5m2"):
        avg_pool(x, 2)


def test_integers_of_any_type_are_arguments(xp: ArrayBackend[Any]) -> None:
    x, weight = xp.asarray(f(1, 300, 3)), xp.asarray(f(300, 100, 2))
    narrow: Any = np.uint8(3)  # 300 overflows it
    assert conv(x, weight, groups=narrow).shape == (1, 300, 2)
    assert fcconv.conv_to_dense(weight, (300, 3), groups=narrow).shape == (600, 900)
    whole: Any = np.array(3)
    assert fcconv.dense_to_conv1x1(xp.asarray(f(0, 3)), whole).shape == (0, 3, 1, 1, 1)
    assert max_pool(x, np.int8(2), stride=np.array(1)).shape == (1, 300, 2)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "float8_e4m3fn", "int4"])
def test_jax_dtypes_without_arithmetic_are_refused(dtype: str) -> None:
    x = jnp.zeros((1, 1, 3), dtype)
    with pytest.raises(DtypeError, match=dtype):
        conv(x, x)


def test_dtypes_must_agree(xp: ArrayBackend[Any]) -> None:
    x, weight = xp.asarray(f(1, 1, 3)), xp.asarray(f(1, 1, 3, dtype="float64"))
    with pytest.raises(DtypeError, match="x has dtype float32, weight has dtype float64"):
        conv(x, weight)
    with pytest.raises(DtypeError, match="x has dtype float32, weight has dtype float32, bias"):
        conv(x, x, xp.asarray(f(1, dtype="int32")))


def test_means_of_integers_are_refused(xp: ArrayBackend[Any]) -> None:
    with pytest.raises(DtypeError, match="mean of integers"):
        avg_pool(xp.asarray(f(1, 1, 3, dtype="int32")), 2)


def test_nothing_is_left_of_a_weight_without_outputs(xp: ArrayBackend[Any]) -> None:
    assert fcconv.conv_to_dense(xp.asarray(f(0, 3, 2)), (3, 5)).shape == (0, 15)
    assert conv(xp.asarray(f(1, 3, 5)), xp.asarray(f(0, 3, 2))).shape == (1, 0, 4)


def test_libraries_must_agree() -> None:
    x, weight = f(1, 1, 3), jnp.zeros((1, 1, 3), jnp.float32)
    with pytest.raises(BackendError, match="x is of numpy, weight is of jax: convert"):
        conv(x, weight)
    with pytest.raises(BackendError, match="x is of numpy, weight is of numpy, bias is of jax"):
        conv(x, x, weight[0, 0])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[1.0]], "a list"),
        (1.0, "a float"),
        (None, "a NoneType"),
        (np.ma.masked_array([[[1.0]]]), "masked_array|MaskedArray"),
    ],
)
def test_what_is_no_array_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(BackendError, match=f"x is .*{kind}.*plain NumPy, JAX .*array"):
        max_pool(value, 1)


def test_matrices_are_refused() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0]])
    with pytest.raises(BackendError, match="matrix"):
        dense(matrix, matrix)


def test_backends_are_found_by_name_and_array(xp: ArrayBackend[Any]) -> None:
    assert fcconv.backend(xp.asarray([1.0])) is xp
    assert [fcconv.backend(name).__name__ for name in fcconv.backends()] == [  # type: ignore[attr-defined]
        BACKENDS[name].package for name in fcconv.backends()
    ]
    with pytest.raises(BackendError, match="unknown backend 'cupy': use 'numpy', 'jax'"):
        fcconv.backend("cupy")
    with pytest.raises(BackendError, match="got a list"):
        fcconv.backend([1.0])


def test_missing_arguments_are_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="weight"):
        fcconv.conv(f(1, 1, 3))  # type: ignore[call-arg]


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 4),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(
            ["valid", "same", np.int64(2), np.array([1, 2]), np.array(1), b"ab", {1: 2}]
        ),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)
shapes = st.lists(st.integers(0, 4), max_size=6).map(tuple)
arrays = st.one_of(
    st.tuples(shapes, st.sampled_from(["float32", "int64", "bool", "object", "complex64"])).map(
        lambda drawn: np.zeros(*drawn)
    ),
    anything,
)


def assert_answers_or_refuses(function: Any, *given: Any, **arguments: Any) -> None:
    """Call a function; the only errors it may raise are fcconv's, and they name the call."""
    refusal = ""
    try:
        function(*given, **arguments)
    except fcconv.FcconvError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(f"{function.__name__}(")


CALLS: list[tuple[Any, list[Any], list[str]]] = [
    (conv, [f(2, 4, 5, 4), f(6, 2, 2, 3), f(6)], ["stride", "padding", "dilation", "groups"]),
    (im2col, [f(2, 4, 5, 4), 2], ["kernel", "stride", "padding", "dilation"]),
    (max_pool, [f(2, 4, 5), 2], ["kernel", "stride", "padding", "dilation", "ceil_mode"]),
    (avg_pool, [f(2, 4, 5), 2], ["kernel", "padding", "ceil_mode", "count_include_pad"]),
    (fcconv.dense_to_conv, [f(3, 12), (3, 2, 2)], ["shape", "order"]),
    (fcconv.dense_to_conv1x1, [f(3, 12)], ["rank"]),
    (fcconv.conv_to_dense, [f(6, 2, 2), (4, 5)], ["shape", "stride", "padding", "groups"]),
]


@pytest.mark.parametrize(("function", "given_", "names"), CALLS)
@settings(max_examples=300)
@given(data=st.data())
def test_no_other_error_escapes_bad_arguments(
    function: Any, given_: list[Any], names: list[str], data: st.DataObject
) -> None:
    """Every call fits, but for the one argument that is drawn."""
    name = data.draw(st.sampled_from(names))
    positional = list(signature(function).parameters)[: len(given_)]
    arguments = dict(zip(positional, given_, strict=True))
    if function in (conv, fcconv.conv_to_dense):
        arguments["groups"] = 2
    assert_answers_or_refuses(function, **{**arguments, name: data.draw(anything)})


@settings(max_examples=1000)
@given(
    function=st.sampled_from([dense, conv, conv1x1, fcconv.dense_to_conv]),
    first=arrays,
    second=arrays,
)
def test_no_other_error_escapes_bad_arrays(function: Any, first: Any, second: Any) -> None:
    assert_answers_or_refuses(function, first, second)


@pytest.mark.parametrize("value", [True, 1.0, (1.0, 1.0), (True, 1), ((1.0, 1), (1, 1))])
def test_what_is_remembered_for_integers_holds_for_them_alone(value: Any) -> None:
    x, weight = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    whole = ((1, 1), (1, 1)) if np.ndim(value) == 2 else (1, 1) if np.ndim(value) else 1
    fcconv.conv(x, weight, padding=whole)
    with pytest.raises(ArgumentError, match="padding needs"):
        fcconv.conv(x, weight, padding=value)


@pytest.mark.parametrize("kind", [FcconvError, *FcconvError.__subclasses__()])
def test_an_error_keeps_what_is_known_of_it(kind: type[FcconvError]) -> None:
    first = kind("it is wrong")
    first.node = "dense (Gemm)"
    first.add_note("Do this")
    second = first.about("dense (Gemm)").about("model.onnx")
    assert type(second) is kind
    assert str(second) == "model.onnx: dense (Gemm): it is wrong"
    for error in (second, pickle.loads(pickle.dumps(second))):
        assert (error.node, error.reason) == ("dense (Gemm)", "it is wrong")
        assert error.__notes__ == ["Do this"]
        assert str(error) == str(second)
