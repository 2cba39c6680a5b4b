"""What is released: only fcconv's names, a description that stands alone, tests in the source."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import fcconv

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


def test_the_description_leads_to_no_file_beside_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(archive.read(name))
    description = str(told.get_payload())
    assert (told["Version"], told["Description-Content-Type"]) == (
        fcconv.__version__,
        "text/markdown",
    )
    assert "scores every window" in description
    assert re.findall(r"\]\((?!https?:)", description) == []


def test_the_version_stands_everywhere() -> None:
    assert f"\nversion: {fcconv.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (fcconv.__version__, "Unreleased")


def test_the_source_distribution_holds_what_its_tests_need(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    needed = (path for path in (ROOT / "tests").iterdir() if path.is_file())
    assert {path.relative_to(ROOT).as_posix() for path in needed} <= files
    assert {"conftest.py", "docs/scan.png", "README.md", "CHANGELOG.md", "LICENSE"} <= files
