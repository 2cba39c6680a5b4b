"""Whether runtimes take the file of a rewritten network, and what it makes at the native size.

A proof is of the network as read, and reading repairs some faults that a runtime refuses.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from fcconv.certificate.runner import Array
from fcconv.graph.engines import compiling
from fcconv.graph.files.protos import reason
from fcconv.graph.files.shapes import LARGEST_INPUT
from fcconv.graph.running.run import fixed_batch

Judge: TypeAlias = "Callable[[Path, list[Array] | None], list[Array]]"
"""Takes a file, and computes its outputs, of these inputs if there are any; or raises."""


def refusal(
    original: Path, rewritten: Path, first: Sequence[ir.Value], second: Sequence[ir.Value]
) -> str | None:
    """Say what does not take the file of a rewritten network, if anything.

    ONNX's checker judges, then onnxruntime, or the NumPy backend where that is not installed: each
    if it takes the original.

    Parameters
    ----------
    original, rewritten : path
        The two files.
    first, second : sequence of onnx_ir.Value
        What both read; the sizes are those of the original.
    """
    batches = fixed_batch(first) or 1, fixed_batch(second) or 1
    for name, judge in _judges().items():
        try:
            expected = judge(original, _images(first, batches[0]))
        except Exception:  # whatever it refuses the original for, it can't judge
            continue
        try:
            found = judge(rewritten, _images(first, batches[1]))
        except Exception as error:
            said = reason(error).replace(str(rewritten), rewritten.name)
            return f"{name} refuses the file: {said}"
        wanted, made = map(_described, (expected, found), batches)
        if made != wanted:
            return f"{name} makes {made} of an image, and {wanted} with the original"
        if all(map(_is_finite, expected)) and not all(map(_is_finite, found)):
            return f"{name} makes numbers that are not finite, and finite ones with the original"
    return None


def _judges() -> dict[str, Judge]:
    if importlib.util.find_spec("onnxruntime"):
        return {"onnx.checker": _check, "onnxruntime": _run_on_onnxruntime}
    return {"onnx.checker": _check, "numpy": _run_on_numpy}


def _images(inputs: Sequence[ir.Value], batch: int) -> list[Array] | None:
    """Draw a batch for each input; None if more sizes than that of the batch are free.

    Integers are zeros, which are in every table.
    """
    rng, images = np.random.default_rng(0), []
    for value in inputs:
        if value.shape is None or value.dtype is None:
            return None
        sizes = [n for n in value.shape.dims[1:] if isinstance(n, int)]
        shape = [batch, *sizes] if value.shape.dims else []
        if len(shape) != len(value.shape) or math.prod(shape) > LARGEST_INPUT:
            return None
        drawn = rng.standard_normal(shape) if value.dtype.is_floating_point() else np.zeros(shape)
        images.append(np.asarray(drawn, value.dtype.numpy()))
    return images


def _check(path: Path, _images: list[Array] | None) -> list[Array]:
    onnx.checker.check_model(path)
    return []


def _run_on_onnxruntime(path: Path, images: list[Array] | None) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it logs, it raises
    options.graph_optimization_level = (  # but for layouts, which copy all weights
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    )
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    if images is None:
        return []
    names = [declared.name for declared in session.get_inputs()]
    outputs: Any = session.run(None, dict(zip(names, images, strict=True)))
    return list(outputs)


def _run_on_numpy(path: Path, images: list[Array] | None) -> list[Array]:
    network = compiling.compile(path)
    outputs = () if images is None else network(*images)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def _described(outputs: Sequence[Array], batch: int) -> str:
    """Say how many numbers of which type each output holds for an image."""
    return ", ".join(f"{output.size / batch:g} {output.dtype}" for output in outputs)


def _is_finite(output: Array) -> bool:
    return output.dtype.kind != "f" or bool(np.isfinite(output).all())
