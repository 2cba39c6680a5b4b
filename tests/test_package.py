"""The wheel puts nothing but fcconv's names into site-packages."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BACKENDS = list((ROOT / "backends").glob("*/__init__.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def test_wheel_holds_only_names_of_fcconv(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
    tops = {name.split("/")[0] for name in files}
    packages = {"fcconv", "fcconv_bench", *(path.parent.name for path in BACKENDS)}
    assert packages == {t for t in tops if "." not in t}
    assert all(top.startswith("fcconv") for top in tops)
    pages = (f"fcconv/report/{p.name}" for p in (ROOT / "fcconv" / "report").glob("page*.*"))
    for needed in ("fcconv/demo/faces.onnx", "fcconv/py.typed", "fcconv_jax/py.typed", *pages):
        assert needed in files


def test_wheel_computes_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, fcconv
print(fcconv.__file__.startswith({str(tmp_path)!r}))
print(fcconv.conv(np.ones((1, 1, 2)), np.ones((1, 1, 2))).item())
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["True", "2.0"]
