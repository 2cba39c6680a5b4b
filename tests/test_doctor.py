"""``fcconv doctor`` says what works, what is missing or broken, and what to install."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fcconv.cli import app, doctor
from fcconv.cli.app import bench
from fcconv_bench.suites import SUITES

ROOT = Path(__file__).parent.parent
OURS = {"cli", "train", "test", "fields", "peers", "lint", "docs"}
"""Extras that are no power of a user."""


def examined(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, dict[str, Any]]:
    assert app.run(["doctor", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    return {one["name"]: one for listed in told.values() for one in listed}


def test_every_extra_is_examined() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) - OURS == set(doctor.POWERS)


def test_what_works_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = examined(capsys)
    for name in ("numpy", "jax", "onnxruntime", "onnx", "scan", "mask", "demo"):
        assert (whole[name]["state"], whole[name]["install"]) == ("works", "")
    version = metadata.version

    def without_zarr(name: str) -> str:
        if name == "zarr":
            raise metadata.PackageNotFoundError(name)
        return {"nibabel": "1.0"}.get(name) or version(name)

    monkeypatch.setattr(metadata, "version", without_zarr)
    scan = examined(capsys)["scan"]
    assert scan["state"] == "nibabel is 1.0, needed is >=5.3; zarr is not installed"
    assert scan["install"] == "pip install 'fcconv[scan]'"
    assert examined(capsys)["onnx"]["state"] == "works"


def test_a_line_that_helps_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = metadata.version

    def without_torch(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_torch)
    monkeypatch.setattr(doctor, "is_installed", lambda name: name != "torch")
    app.run(["doctor"])
    assert capsys.readouterr().out.count("For torch: ") == 1  # an engine, and an extra


def test_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)  # as if it could not be imported
    found = examined(capsys, code=1)
    assert found["scan"]["state"].startswith("soundfile can't be imported: ")
    assert found["onnx"]["state"] == "works"
    assert app.run(["doctor"]) == 1
    assert "For scan: pip install 'fcconv[scan]'\n" in capsys.readouterr().out


def test_it_needs_no_network_library() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnx_ir", "jax", "zarr"]))
from fcconv.cli import app, doctor
assert app.run(["doctor", "--json"]) == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_offers_every_suite() -> None:
    (option,) = (one for one in bench.params if one.name == "suites")
    assert set(getattr(option.type, "choices")) == set(SUITES)  # noqa: B009 - Choice is one of types
