"""What becomes of a damaged network: an answer, an error of fcconv, or a fault."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import fcconv
import fcconv_numpy
from fcconv import FcconvError
from fcconv.graph.files.load import load
from fcconv.graph.running.run import program_of
from graphs import Array
from mutated_networks import Mutant, write
from sliding_windows import listed, quiet

LARGEST_INPUT = 2**18
"""Numbers in an input up to which a network is called."""

EXACT = 2.0**24
"""Integers below it are exact in float32, and so are their sums."""


class FaultError(AssertionError):
    """What may not become of a network."""


@dataclass
class Trial:
    """What becomes of one network."""

    path: Path
    images: dict[str, Array] | None = None
    compiled: Any = None
    outputs: list[Array] | None = None
    certificates: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def use(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function; None if it refuses, or fails."""
        try:
            result = function(*arguments)
        except FcconvError as error:
            self.said[name] = _in_one_line(error)
            if not self.said[name]:
                self.faults.append(f"{name}: a {type(error).__name__} that says nothing")
        except Exception as error:
            self.faults.append(f"{name}: {_described(error)}")
        else:
            self.said[name] = "ok"
            return result
        return None


def tried(damaged: Mutant, folder: Path) -> Trial:
    """Do with a network all that one can do."""
    trial = Trial(write(damaged, folder), _images(damaged))
    trial.compiled = trial.use("compile", fcconv.compile, trial.path)
    if trial.images is not None and trial.compiled is not None:
        outputs = trial.use("call", trial.compiled, *trial.images.values())
        trial.outputs = None if outputs is None else listed(outputs)
    for name, rewrite in (("sliding", fcconv.convolutionize), ("pointwise", fcconv.pointwise)):
        made = trial.use(name, rewrite, trial.path)
        if made is None:
            continue
        certificate = trial.use(f"certify {name}", certify, trial.path, made)
        if certificate is not None:
            trial.certificates[name] = certificate
            trial.use(f"{name} is proved", _check_certificate, made, certificate, trial)
        saved = folder / f"{name}.onnx"
        trial.use(f"save {name}", _save, made, saved)
        if saved.exists() and trial.compiled is not None:
            trial.use(f"{name} is read again", _check_saved, made, saved, trial.images)
    return trial


def certify(path: Path, made: Any) -> Any:
    return fcconv.certify(path, made, seed=0)


def _check_certificate(made: Any, certificate: Any, trial: Trial) -> None:
    """See that the rewriting is proved right; of what does not run, nothing need be."""
    if not certificate.holds and trial.outputs is not None:
        raise FaultError(f"the proof fails at {certificate.difference}")
    exact = isinstance(made, fcconv.Sliding) and made.exact
    if exact and certificate.holds and not certificate.exact:
        raise FaultError("the proof says that it is not exact")


def _save(made: Any, path: Path) -> None:
    try:
        made.save(path)
    except FcconvError as error:
        raise FaultError(f"what is made can't be written: {error}") from error


def _check_saved(made: Any, saved: Path, images: dict[str, Array] | None) -> None:
    """See that a saved network loads, and computes what the rewritten one computes."""
    try:
        again = fcconv.compile(saved)
    except FcconvError as error:
        raise FaultError(f"what is written can't be read: {error}") from error
    if images is None:
        return
    arrays = list(images.values())
    if isinstance(made, fcconv.Sliding):  # twice as large
        declared = list(made.model.graph.inputs[0].shape or [])
        arrays = [np.tile(arrays[0], [1 if isinstance(n, int) else 2 for n in declared])]
    try:
        expected = listed(made(*arrays))
    except FcconvError:
        return
    for one, other in zip(expected, listed(again(*arrays)), strict=True):
        if not _same(one, other):
            raise FaultError("the saved network computes something else")


def _same(one: Array, other: Array) -> bool:
    floats = one.dtype.kind == "f"
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=floats)


def compared(trial: Trial) -> None:
    """Compare with onnxruntime, where it takes the damaged network."""
    session = _session(trial.path)
    if session is None or trial.images is None:
        return
    wanted = _called(session, trial.images)
    if wanted is None:
        return
    if trial.outputs is not None:
        trial.use("same as onnxruntime", _compare, trial, trial.outputs, wanted)
    for name, certificate in trial.certificates.items():
        if not certificate.holds and trial.outputs is None:
            trial.faults.append(f"{name} is proved: the proof fails at {certificate.difference}")
        saved = trial.path.parent / f"{name}.onnx"
        if saved.exists():
            trial.use(f"{name} is run by onnxruntime", _check_run, saved, trial.images, wanted)


def _check_run(saved: Path, images: dict[str, Array], wanted: Sequence[Array]) -> None:
    """See that onnxruntime takes what is saved; a pointwise network gives it the same scores."""
    try:
        session = onnxruntime.InferenceSession(str(saved), quiet(), ["CPUExecutionProvider"])
        outputs: list[Any] = list(session.run(None, images))
    except Exception as error:
        raise FaultError(f"onnxruntime refuses it: {_in_one_line(error)}") from error
    if [np.size(found) for found in outputs] != [np.size(other) for other in wanted]:
        raise FaultError("onnxruntime makes scores of another shape of it")


def _images(damaged: Mutant) -> dict[str, Array] | None:
    """Make small integers for each input; None if there is nothing that could be called."""
    try:
        graph = onnx.ModelProto.FromString(damaged.content).graph
        held = {tensor.name for tensor in graph.initializer}
        made: dict[str, Array] = {}
        for value in graph.input:
            if value.name in held:
                continue
            kind = value.type.tensor_type
            shape = [size.dim_value if size.dim_value > 0 else 2 for size in kind.shape.dim]
            if np.prod([float(n) for n in shape]) > LARGEST_INPUT:
                return None
            rng = np.random.default_rng(len(made))
            numbers = rng.integers(0, 4, shape)
            made[value.name] = numbers.astype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except Exception:
        return None
    return made


def _session(path: Path) -> Any:
    try:
        return onnxruntime.InferenceSession(str(path), quiet(), ["CPUExecutionProvider"])
    except Exception:
        return None


def _called(session: Any, images: dict[str, Array] | None) -> list[Array] | None:
    if session is None or images is None:
        return None
    try:
        return [np.asarray(output) for output in session.run(None, images)]
    except Exception:
        return None


def _compare(trial: Trial, outputs: Sequence[Array], wanted: Sequence[Array]) -> None:
    """Compare with what onnxruntime makes: bit for bit, where nothing is rounded."""
    for found, other in zip(outputs, wanted, strict=True):
        if (found.shape, found.dtype) != (other.shape, other.dtype):
            raise FaultError(
                f"{found.dtype}{found.shape}, but onnxruntime {other.dtype}{other.shape}"
            )
        if _same(found, other):
            continue
        with np.errstate(all="ignore"):
            a, b = found.astype(np.float64), other.astype(np.float64)
            off = float(np.nanmax(np.abs(a - b) / (np.abs(a) + np.abs(b)).max(), initial=0))
        said = f"differs from onnxruntime by {off:.1e} of its size"
        if _is_exact(trial):
            raise FaultError(said)
        if not off < 1e-4 or not np.array_equal(np.isnan(a), np.isnan(b)):
            trial.doubts.append(said)


def _is_exact(trial: Trial) -> bool:
    """Say whether every value and partial sum of a run is an integer that float32 holds."""
    program, images = program_of(load(trial.path)), trial.images or {}
    known: dict[Any, Array] = dict(program.constants)
    known |= dict(zip(program.inputs, images.values(), strict=True))
    exact = True

    def see(node: Any, made: tuple[Array, ...]) -> None:
        nonlocal exact
        known.update(zip(node.ir.outputs, made, strict=False))
        given = [np.asarray(known[v], np.float64) for v in node.ir.inputs if v in known]
        given += [np.asarray(node.attribute(name, 1.0), np.float64) for name in ("alpha", "beta")]
        whole = all(bool((a == np.round(a)).all()) for a in given)
        largest = math.prod(max(float(np.abs(a).max(initial=1)), 1.0) for a in given)
        terms = max(a.size for a in given)
        exact &= node.op in WHOLE.split() and whole and largest * terms < EXACT

    program.run_batches(fcconv_numpy, trial.compiled.params, list(images.values()), see)
    return exact


WHOLE = """
Abs Add ArgMax Cast Ceil Clip Concat Conv ConstantOfShape DepthToSpace Dropout Equal Expand Flatten
Floor Gather Gemm GlobalMaxPool Greater GreaterOrEqual Identity Less LessOrEqual MatMul Max MaxPool
Min Mul Neg Not PRelu Pad Range ReduceMax ReduceMin ReduceSum Relu Reshape Round Shape Sign Size
Slice SpaceToDepth Split Squeeze Sub Sum Tile Transpose Unsqueeze Where
"""
"""Operators that make integers of integers, by sums and products alone."""


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _described(error: Exception) -> str:
    """Say what failed, and where: the last line of fcconv."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "fcconv" in f.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}"
    text = _in_one_line(error)[:200]
    return text if isinstance(error, FaultError) else f"{type(error).__name__} in {place}: {text}"
