"""How each contender computes a convolution: as a call of ready operands, or a program of JAX."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import fcconv
from fcconv_bench.cases import ITEMSIZE, Case
from fcconv_bench.processes import available_cores
from fcconv_bench.suite import Call

Array = npt.NDArray[Any]


def limit(case: Case) -> Call:
    """Return the least that the layer takes: one matrix product, or for groups one copy.

    A layer with groups computes little for each pixel, and memory bounds it: the copy reads half
    the bytes of input and result and writes as many, in one thread, as NumPy copies.
    """
    operands = limit_operands(case)
    return partial(np.matmul, *operands) if case.groups == 1 else partial(np.copy, *operands)


def limit_operands(case: Case) -> tuple[Array, ...]:
    """Make what the limit multiplies, or what it copies."""
    if case.groups == 1:
        return case.matrices()
    return (np.ones(case.moved_bytes // (2 * ITEMSIZE), np.float32),)


def limit_program(case: Case) -> Callable[..., Any]:
    """Return the limit as a program of JAX."""
    import jax

    if case.groups == 1:
        return partial(jax.numpy.matmul, precision="highest")
    return partial(jax.numpy.copy)


def fcconv_numpy(case: Case) -> Call:
    """Return fcconv on arrays of NumPy."""
    return partial(fcconv.conv, *case.arrays(), **case.arguments)


def fcconv_program(case: Case) -> Callable[..., Any]:
    """Return fcconv as a program of JAX."""
    return partial(fcconv.conv, **case.arguments)


def torch(case: Case) -> Call:
    """Return the convolution of PyTorch."""
    import torch

    arrays = [torch.from_numpy(array) for array in case.arrays()]
    return partial(torch.nn.functional.conv2d, *arrays, **case.arguments)


def lax_program(case: Case) -> Callable[..., Any]:
    """Return what JAX offers, as it stands in its documentation: NCHW and OIHW."""
    from jax import lax

    def program(x: Any, weight: Any, bias: Any = None) -> Any:
        y = lax.conv_general_dilated(
            x,
            weight,
            window_strides=(case.stride,) * 2,
            padding=((case.padding, case.padding),) * 2,
            feature_group_count=case.groups,
            precision=lax.Precision.HIGHEST,
        )
        return y if bias is None else y + bias[None, :, None, None]

    return program


def onnxruntime(case: Case) -> Call:
    """Return a session of onnxruntime with one node, whose weights are ready."""
    import onnxruntime
    from onnx import TensorProto, helper

    x, *operands = case.arrays()
    weights = dict(zip(("weight", "bias"), operands, strict=False))
    node = helper.make_node(
        "Conv",
        ["x", *weights],
        ["y"],
        strides=[case.stride] * 2,
        pads=[case.padding] * 4,
        group=case.groups,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.input)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, case.output)],
        [_in_memory(name, array) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return partial(_run, session, x, values)


def _run(session: Any, x: Array, weights: Sequence[Any]) -> Array:
    """Run a session; it reads its weights in place, so that they must live as long as the call."""
    return np.asarray(session.run(None, {"x": x})[0])


def _in_memory(name: str, array: Array) -> Any:
    """Declare a weight that a session is given: in the model it would be copied several times."""
    from onnx import StringStringEntryProto, TensorProto

    return TensorProto(
        name=name,
        dims=array.shape,
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
        external_data=[StringStringEntryProto(key="location", value="memory")],
    )


def scipy(case: Case) -> Call:
    """Return a correlation for each output, by the method that SciPy chooses; see `scipy_can`."""
    signal = importlib.import_module("scipy.signal")
    x, weight, *biases = case.arrays()
    bias = biases[0][:, None, None] if biases else 0
    pad = (case.padding, case.padding)
    x = np.pad(x, ((0, 0), (0, 0), pad, pad))

    def call() -> Array:
        maps = [signal.correlate(x, kernel[None], mode="valid") for kernel in weight]
        return np.concatenate(maps, axis=1) + bias

    return call


SCIPY_MULTIPLICATIONS = 15_000_000
"""What SciPy takes a few tenths of a second for."""


def scipy_can(case: Case) -> bool:
    """Whether SciPy computes the case in reasonable time.

    It knows neither strides nor groups, and runs in one thread. Left are most layers at batch 1,
    the smaller ones at batch 32 and on a map, and the smaller 1x1 convolutions.
    """
    return (case.stride, case.groups) == (1, 1) and case.multiplications <= SCIPY_MULTIPLICATIONS
