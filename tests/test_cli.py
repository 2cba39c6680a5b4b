"""The command line: what it prints, and that errors are one line with exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fcconv
from fcconv.cli import app
from fcconv.cli import demo as cli_demo
from fcconv.demo.demo import Demo
from fcconv.demo.network import load_faces
from fcconv.demo.proof import Proof


def fcconv_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "fcconv", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_version() -> None:
    done = fcconv_command("--version")
    assert (done.returncode, done.stdout) == (0, f"fcconv {fcconv.__version__}\n")


def test_help_names_the_commands() -> None:
    done = fcconv_command("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "bench" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--backend", "cupy"], "'cupy' is not one of 'numpy', 'jax'"),
        (["demo", "--out", "no/such/folder/x.png"], "there is no folder no/such/folder"),
        (["demo", "--out", "."], "is a directory"),
        (["demo", "--nonsense"], "--nonsense"),
        (["demo", "surplus"], "surplus"),
        (["bench", "--rounds", "0"], "0 is not in the range"),
        (["bench", "--rounds", "many"], "'many' is not a valid integer"),
        (["bench", "--out", "pyproject.toml"], "is a file"),
        (["nonsense"], "nonsense"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str) -> None:
    done = fcconv_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("fcconv: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", ["demo"], "cli"),
        ("rich", ["bench"], "bench"),
        ("skimage", ["demo"], "demo"),
        ("matplotlib", ["demo"], "demo"),
        ("jax", ["demo", "--backend", "jax"], "jax"),
        ("matplotlib", ["bench"], "bench"),
        ("onnx", ["inspect", "pyproject.toml"], "onnx"),
        ("onnx_ir", ["verify", "pyproject.toml", "pyproject.toml"], "onnx"),
    ],
)
def test_missing_extras_are_named(missing: str, arguments: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from fcconv.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install 'fcconv[{extra}]'" in done.stderr


def test_paths_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    network = load_faces()
    certificate = fcconv.certify(network, fcconv.convolutionize(network))
    found = Demo([], 1, 3, 1.0, 2.0, Proof(certificate, 1, 1, 0.0), [])
    monkeypatch.setattr(cli_demo, "run_demo", lambda *_: found)
    folder = tmp_path / "x["
    folder.mkdir()
    assert app.run(["demo", "--out", str(folder / "y].png")]) == 0  # brackets are rich's markup
    printed = capsys.readouterr().out
    assert f"{folder}/y].png" in printed.replace("\n", "")
    assert str(certificate.seed) in printed
