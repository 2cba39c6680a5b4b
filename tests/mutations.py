"""Break the code on purpose and see the tests fail: ``python tests/mutations.py``.

Each mutation is one replacement in a copy of the sources, and names the tests that must notice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

NUMPY = "backends/fcconv_numpy/__init__.py"
JAX = "backends/fcconv_jax/__init__.py"
FORMS = "test_three_forms.py::test_forms_are_equal_on_integers"
MATRIX = "test_three_forms.py::test_every_convolution_is_a_matrix"
CONV = "test_definitions.py::test_conv"
MAX_POOL = "test_definitions.py::test_max_pool"
AVG_POOL = "test_definitions.py::test_avg_pool"


@dataclass(frozen=True)
class Mutation:
    """A replacement in one file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "kernel axes swapped",
        NUMPY,
        "0, 1, *range(2 + rank, 2 + 2 * rank),",
        "0, 1, *reversed(range(2 + rank, 2 + 2 * rank)),",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "kernel flipped, a true convolution",
        JAX,
        "            _wide(weight),\n            window_strides",
        "            _wide(weight)[:, :, ::-1],\n            window_strides",
        f"{CONV}[jax]",
    ),
    Mutation(
        "flatten order inverted",
        "fcconv/weights.py",
        "back = [1 + order.index(axis) for axis in layout]",
        "back = [1 + layout.index(axis) for axis in order]",
        f"{FORMS}[numpy]",
    ),
    Mutation("bias dropped", NUMPY, "if bias is not None:", "if False:", f"{FORMS}[numpy]"),
    Mutation("bias dropped in JAX", JAX, "if bias is not None:", "if False:", f"{FORMS}[jax]"),
    Mutation(
        "windows shifted by one",
        NUMPY,
        "padded = _pad(x, window, 0)",
        "padded = np.roll(_pad(x, window, 0), 1, axis=-1)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "stride and dilation exchanged",
        NUMPY,
        "(*window.stride, *window.dilation)",
        "(*window.dilation, *window.stride)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "dilation ignored",
        JAX,
        "rhs_dilation=window.dilation,",
        "rhs_dilation=None,",
        f"{CONV}[jax]",
    ),
    Mutation(
        "groups interleaved",
        NUMPY,
        "_wide(weight).reshape(groups, outputs // groups, terms)",
        "_wide(weight).reshape(outputs // groups, groups, terms).swapaxes(0, 1)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "groups ignored in the matrix",
        "fcconv/weights.py",
        "group[:, None] == channel // per_group",
        "group[:, None] >= 0 * channel",
        f"{MATRIX}[numpy]",
    ),
    Mutation(
        "padding on one side only",
        JAX,
        "            padding=window.padding,",
        "            padding=[(sum(pads), 0) for pads in window.padding],",
        f"{CONV}[jax]",
    ),
    Mutation(
        "odd pixel of same padding before the input",
        "fcconv/geometry.py",
        "(pixels // 2, pixels - pixels // 2)",
        "(pixels - pixels // 2, pixels // 2)",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "last window dropped",
        "fcconv/geometry.py",
        "(n - e) // r + 1 for",
        "max((n - e) // r, 1) for",
        f"{CONV}[numpy]",
    ),
    Mutation(
        "JAX computes in NumPy",
        "fcconv/ops.py",
        "    result: ArrayT = backend.dense(x, weight, bias)",
        "    from fcconv.backend import backend as find\n"
        "    result: ArrayT = find('numpy').dense(x, weight, bias)",
        f"{FORMS}[jax]",
    ),
    Mutation(
        "results leave their library",
        JAX,
        "    return _finish(y, bias, x.dtype, channel=y.ndim - 1)",
        "    return np.asarray(_finish(y, bias, x.dtype, channel=y.ndim - 1))",
        f"{FORMS}[jax]",
    ),
    Mutation(
        "results leave their dtype",
        NUMPY,
        "return y.astype(_native(dtype), copy=False)",
        "return y",
        "test_three_forms.py::test_forms_agree_on_floats[numpy]",
    ),
    Mutation(
        "float16 accumulates in float16",
        NUMPY,
        "x.dtype.itemsize == 2 and",
        "x.dtype.itemsize == 0 and",
        "test_definitions.py::test_avg_pool_on_floats[numpy]",
    ),
    Mutation(
        "float32 becomes TF32 on a GPU",
        JAX,
        "lax.Precision.HIGHEST",
        "lax.Precision.DEFAULT",
        "test_jax.py::test_float32_stays_whole_unless_asked",
    ),
    Mutation("padding wins a maximum", NUMPY, "else -np.inf", "else 0", f"{MAX_POOL}[numpy]"),
    Mutation("padding wins in JAX", JAX, "else -np.inf", "else 0", f"{MAX_POOL}[jax]"),
    Mutation(
        "mean counts the padding",
        "fcconv/ops.py",
        "if count_include_pad:",
        "if True:",
        f"{AVG_POOL}[numpy-False]",
    ),
    Mutation(
        "ceil_mode keeps windows of padding only",
        "fcconv/geometry.py",
        "if overhangs and output[axis] * r < n + before:",
        "if overhangs:",
        f"{AVG_POOL}[numpy-True]",
    ),
    Mutation(
        "matrix misses a tap",
        "fcconv/weights.py",
        "(tap >= 0)",
        "(tap >= 1)",
        f"{MATRIX}[numpy]",
    ),
    Mutation(
        "gathering multiplies by zeros",
        JAX,
        "    return padded[:, :, *index]",
        "    return padded[:, :, *index] + 0 * padded.sum()",
        "test_definitions.py::test_im2col[jax]",
    ),
    Mutation(
        "big-endian results",
        NUMPY,
        'return dtype.newbyteorder("=")',
        "return dtype",
        "test_layouts.py::test_layouts_do_not_matter",
    ),
    Mutation(
        "libraries mixed",
        "fcconv/backend.py",
        "if len(set(libraries.values())) > 1:",
        "if len(set(libraries.values())) > 2:",
        "test_errors.py::test_libraries_must_agree",
    ),
]

CONTROL = Mutation("nothing changed", NUMPY, "", "", f"{CONV}[numpy]")


def survives(mutation: Mutation) -> bool:
    """Run the mutation's test on a mutated copy of the sources; say whether it still passes."""
    source = (ROOT / mutation.file).read_text(encoding="utf-8")
    if mutation.old and source.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.old!r} does not stand once in {mutation.file}"
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("fcconv", "backends", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        mutated = source.replace(mutation.old, mutation.new) if mutation.old else source
        (copy / mutation.file).write_text(mutated, encoding="utf-8")
        code, printed = _run_test(copy, mutation.test)
    if code not in (0, 1):  # neither passed nor failed
        raise RuntimeError(f"{mutation.name}: pytest ended with {code}\n{printed}")
    return code == 0


def _run_test(copy: Path, test: str) -> tuple[int, str]:
    paths = os.pathsep.join([str(copy), str(copy / "backends")])
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"tests/{test}"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    alive = 0
    for mutation in MUTATIONS:
        survived = survives(mutation)
        alive += survived
        print(f"{'SURVIVED' if survived else 'killed':9}{mutation.name}", flush=True)  # noqa: T201
    sys.exit(1 if alive else 0)
