"""``import fcconv`` is light, and a backend that is missing is named with the way to get it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("jax", "onnx", "onnx_ir", "onnxruntime", "torch", "matplotlib", "skimage", "scipy"),
    *("click", "rich"),
}


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, fcconv; print(*sorted(sys.modules))").split()
    assert "fcconv.ops" in loaded
    assert not HEAVY & set(loaded)


def test_numpy_computes_without_jax() -> None:
    code = """
import sys, numpy as np, fcconv
fcconv.conv(np.ones((1, 1, 3)), np.ones((1, 1, 2)))
fcconv.backends()
print("jax" in sys.modules)
"""
    assert run(code) == "False"


@pytest.mark.parametrize("missing", [True, False])
def test_missing_backend_is_named_with_its_pip_line(missing: bool) -> None:
    code = f"""
import sys
if {missing}:
    sys.modules["jax"] = None  # what an import of a missing package looks like
import fcconv
try:
    print(fcconv.backends(), fcconv.backend("jax").__name__)
except fcconv.BackendError as error:
    print(fcconv.backends(), error)
"""
    printed = run(code)
    if missing:
        assert "'jax'" not in printed.partition(")")[0]
        assert "pip install 'fcconv[jax]'" in printed
    else:
        assert printed.startswith("('numpy', 'jax'")
        assert printed.endswith("fcconv_jax")


def test_networks_without_onnx_are_named_with_their_pip_line() -> None:
    code = """
import sys
sys.modules["onnx"] = None
import fcconv
try:
    fcconv.convolutionize
except fcconv.BackendError as error:
    print(error)
"""
    assert "pip install 'fcconv[onnx]'" in run(code)


def test_unknown_names_are_attribute_errors() -> None:
    code = "import fcconv; print(hasattr(fcconv, 'nonsense'), 'certify' in dir(fcconv))"
    assert run(code).startswith("False")
