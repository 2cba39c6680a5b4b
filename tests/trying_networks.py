"""What becomes of damaged networks: success, an error of fcconv, or a fault.

``python tests/trying_networks.py 0 300`` tries the mutants from 0 to 299, and prints the faults.
Each is tried in a process that may die of it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import fcconv
from fcconv import FcconvError
from graphs import Array
from mutated_networks import Mutant, mutant, write
from sliding_windows import listed, quiet

LONGEST = 30
"""Seconds that all about one network may take."""

MOST_MEMORY = 4 * 2**30
"""Bytes of addresses that a process may take beyond those that it begins with."""

LARGEST_INPUT = 2**18
"""Numbers in an input up to which a network is called."""

EXACT = 2.0**24
"""Integers below it are exact in float32, and so are their sums."""

CHUNK = 75
"""Networks that one process tries."""


@dataclass(frozen=True)
class Outcome:
    """What became of the network of a number: what each use said, and what it must not do."""

    number: int
    names: Sequence[str]
    said: dict[str, str]
    faults: list[str]
    doubts: list[str]


class Fault(AssertionError):
    """What may not become of a network."""


@dataclass
class Trial:
    """What becomes of one network."""

    path: Path
    said: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def use(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function; None if it refuses, or fails."""
        try:
            result = function(*arguments)
        except FcconvError as error:
            self.said[name] = " ".join(str(error).split())
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
    trial = Trial(write(damaged, folder))
    path = trial.path
    compiled = trial.use("compile", fcconv.compile, path)
    sliding = trial.use("convolutionize", fcconv.convolutionize, path)
    pointwise = trial.use("pointwise", fcconv.pointwise, path)
    images = _images(damaged)
    session = None if images is None else _session(path)
    outputs = None
    if images is not None and compiled is not None:
        outputs = trial.use("call", compiled, *images.values())
    wanted = _called(session, images)
    if outputs is not None and wanted is not None:
        trial.use("onnxruntime", _compare, trial, compiled, images, listed(outputs), wanted)
    for name, made in (("sliding", sliding), ("pointwise", pointwise)):
        if made is None:
            continue
        certificate = trial.use(f"certify {name}", fcconv.certify, path, made)
        if certificate is not None:
            runs = outputs is not None or wanted is not None
            trial.use(f"{name} proved", _check_certificate, made, certificate, runs)
        saved = folder / f"{name}.onnx"
        trial.use(f"save {name}", made.save, saved)
        if saved.exists():
            trial.use(f"{name} saved", _check_saved, trial, made, saved, images, session, wanted)
    return trial


def _check_certificate(made: Any, certificate: Any, runs: bool) -> None:
    """See that the rewriting is proved right; of what no engine runs, nothing need be."""
    if not certificate.holds and runs:
        raise Fault(f"the proof fails at {certificate.difference}")
    if certificate.holds and isinstance(made, fcconv.Sliding) and certificate.exact != made.exact:
        raise Fault(f"exact is {made.exact}, the proof says {certificate.exact}")


def _check_saved(
    trial: Trial,
    made: Any,
    saved: Path,
    images: dict[str, Array] | None,
    session: Any,
    wanted: list[Array] | None,
) -> None:
    """See that a saved network loads, and computes what the rewritten one computes."""
    again = fcconv.compile(saved) if trial.said.get("compile") == "ok" else None
    if session is not None and wanted is not None:
        loaded = _session(saved)
        if loaded is None:
            raise Fault(f"onnxruntime refuses the saved file: {_refusal(saved)}")
    if images is None or again is None:
        return
    arrays = list(images.values())
    if isinstance(made, fcconv.Sliding):
        arrays = [np.concatenate([array] * 2, -1) for array in arrays[:1]]
        arrays = [np.concatenate([array] * 2, -2) if array.ndim > 3 else array for array in arrays]
    try:
        expected = listed(made(*arrays))
    except FcconvError:
        return
    for one, other in zip(expected, listed(again(*arrays)), strict=True):
        if one.dtype != other.dtype or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            raise Fault("the saved network computes something else")


def _images(damaged: Mutant) -> dict[str, Array] | None:
    """Make small integers for each input; None if there is nothing that could be called."""
    try:
        graph = onnx.ModelProto.FromString(damaged.content).graph
        held = {tensor.name for tensor in graph.initializer}
        made = {}
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


def _refusal(path: Path) -> str:
    try:
        onnxruntime.InferenceSession(str(path), quiet(), ["CPUExecutionProvider"])
    except Exception as error:
        return " ".join(str(error).split())
    return ""


def _called(session: Any, images: dict[str, Array] | None) -> list[Array] | None:
    if session is None or images is None:
        return None
    try:
        return [np.asarray(output) for output in session.run(None, images)]
    except Exception:
        return None


def _compare(
    trial: Trial,
    compiled: Any,
    images: dict[str, Array],
    outputs: Sequence[Array],
    wanted: Sequence[Array],
) -> None:
    """Compare with onnxruntime: bit for bit, where nothing is rounded."""
    for found, other in zip(outputs, wanted, strict=True):
        found = np.asarray(found)
        if (found.shape, found.dtype) != (other.shape, other.dtype):
            raise Fault(
                f"{found.dtype}{found.shape}, but onnxruntime {other.dtype}{other.shape}"
            )
        if np.array_equal(found, other, equal_nan=found.dtype.kind == "f"):
            continue
        with np.errstate(all="ignore"):
            a, b = found.astype(np.float64), other.astype(np.float64)
            off = float(np.nanmax(np.abs(a - b) / (np.abs(a) + np.abs(b)).max(), initial=0))
        said = f"differs from onnxruntime by {off:.1e} of its size"
        if _is_exact(compiled, images):
            raise Fault(said)
        if not off < 1e-4 or not np.array_equal(np.isnan(a), np.isnan(b)):
            trial.doubts.append(said)


def _is_exact(compiled: Any, images: dict[str, Array]) -> bool:
    """Say whether every value and partial sum of a run is an integer that float32 holds."""
    known: dict[Any, Array] = dict(compiled._program.constants)
    known |= dict(zip(compiled._program.inputs, images.values(), strict=True))
    exact = True

    def see(node: Any, made: tuple[Array, ...]) -> None:
        nonlocal exact
        known.update(zip(node.ir.outputs, made, strict=False))
        given = [np.asarray(known[v]) for v in node.ir.inputs if v is not None and v in known]
        numbers = [a.astype(np.float64) for a in given if a.dtype.kind in "fiu"]
        if node.op in ("Div", "AveragePool", "GlobalAveragePool", "ReduceMean", "LRN", "Gemm"):
            numbers += [a.astype(np.float64) for a in made]
        sizes = [max(float(np.abs(a).max(initial=1)), 1.0) for a in numbers]
        count = max((a.size for a in given), default=1)
        whole = all(bool((a == np.round(a)).all()) for a in [*numbers, *made] if a.dtype.kind == "f")
        exact &= whole and bool(np.prod(sizes) * count < EXACT) and node.op in WHOLE

    try:
        compiled._program.run_batches(
            compiled._backend, compiled.params, list(images.values()), see
        )
    except Exception:
        return False
    return exact


WHOLE = frozenset(
    "Abs Add ArgMax Cast Ceil Clip Concat Conv ConstantOfShape DepthToSpace Dropout Equal Expand "
    "Flatten Floor Gather Gemm GlobalMaxPool Greater GreaterOrEqual Identity Less LessOrEqual "
    "MatMul Max MaxPool Min Mul Neg Not PRelu Pad Range ReduceMax ReduceMin ReduceSum Relu Reshape "
    "Round Shape Sign Size Slice SpaceToDepth Split Squeeze Sub Sum Tile Transpose Unsqueeze "
    "Where".split()
)
"""Operators that make integers of integers, by sums and products alone."""


def _described(error: Exception) -> str:
    """Say what failed, and where: the last line of fcconv."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "fcconv" in f.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}"
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, Fault) else f"{type(error).__name__} in {place}: {text}"


# Processes --------------------------------------------------------------------------------------


def work(report: Path, numbers: Sequence[int]) -> None:
    """Try networks, and write down what becomes of each, a line each."""
    faulthandler.enable()
    onnxruntime.set_default_logger_severity(4)
    warnings.simplefilter("error")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_MEMORY, hard))
    for number in numbers:
        damaged = mutant(number)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            trial = tried(damaged, Path(folder))
        faulthandler.cancel_dump_traceback_later()
        outcome = Outcome(number, damaged.names, trial.said, trial.faults, trial.doubts)
        with report.open("a") as file:
            file.write(json.dumps(vars(outcome)) + "\n")


def outcomes(numbers: Sequence[int], workers: int = 1) -> Iterator[Outcome]:
    """Try networks in processes of their own, and yield what becomes of each."""
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(_chunk, chunks):
            yield from found


def _chunk(numbers: Sequence[int]) -> list[Outcome]:
    """Try some networks in one process, and the rest in another if it dies."""
    found: list[Outcome] = []
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    while len(found) < len(numbers):
        left = numbers[len(found) :]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            report.touch()
            command = [sys.executable, __file__, str(report), *map(str, left)]
            ended = subprocess.run(
                command, capture_output=True, text=True, env=environment, check=False
            )
            found += [Outcome(**json.loads(line)) for line in report.read_text().splitlines()]
        if ended.returncode:
            number = numbers[len(found)]
            trace = " | ".join(ended.stderr.strip().splitlines()[-40:])
            fault = f"the process ends with {ended.returncode}: {trace}"
            found.append(Outcome(number, mutant(number).names, {}, [fault], []))
    return found


def main(first: int, last: int) -> None:
    """Print the faults and the doubts of some networks."""
    for outcome in outcomes(range(first, last)):
        if outcome.faults or outcome.doubts:
            print(json.dumps(vars(outcome)), flush=True)  # noqa: T201 - a report


if __name__ == "__main__":
    if Path(sys.argv[1]).is_file():
        work(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]])
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
