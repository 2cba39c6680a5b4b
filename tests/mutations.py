"""Break the code on purpose and see the tests fail: ``python tests/mutations.py``.

Each mutation is one replacement in a copy of the sources, and names the tests that must notice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        "    return backend.dense(x, weight, bias)",
        "    import fcconv_numpy\n    return fcconv_numpy.dense(x, weight, bias)",
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
        "integers go through float64",
        NUMPY,
        "np.float32 if narrow else _native(x.dtype)",
        "np.float32 if narrow else np.result_type(x.dtype, np.float64)",
        "test_definitions.py::test_integers_are_exact_modulo_their_size[numpy]",
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
        "fcconv/pools.py",
        "if count_include_pad:  #",
        "if True:  #",
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
        "if any(other != first for other in others):",
        "if False:",
        "test_errors.py::test_libraries_must_agree",
    ),
]


def unchanged_passes() -> bool:
    """Run every test that a mutation names, on a copy that nothing was done to."""
    with _copy_of_sources() as copy:
        return _passes(copy, *{mutation.test for mutation in MUTATIONS})


def survives(mutation: Mutation) -> bool:
    """Run the mutation's test on a mutated copy of the sources; say whether it still passes."""
    with _copy_of_sources() as copy:
        target = copy / mutation.file
        source = target.read_text(encoding="utf-8")
        if source.count(mutation.old) != 1:
            raise ValueError(f"{mutation.name}: needs {mutation.old!r} once in {mutation.file}")
        target.write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
        return _passes(copy, mutation.test)


@contextmanager
def _copy_of_sources() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for part in ("fcconv", "backends", "tests", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(
                ROOT / part, Path(folder) / part
            )
        yield Path(folder)


def _passes(copy: Path, *tests: str) -> bool:
    paths = os.pathsep.join([str(copy), str(copy / "backends")])
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # the tests neither passed nor failed
        raise RuntimeError(f"pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode == 0


if __name__ == "__main__":
    if not unchanged_passes():
        sys.exit("the tests fail without any mutation")
    alive = 0
    for mutation in MUTATIONS:
        survived = survives(mutation)
        alive += survived
        print(f"{'SURVIVED' if survived else 'killed':9}{mutation.name}", flush=True)  # noqa: T201
    sys.exit(1 if alive else 0)
