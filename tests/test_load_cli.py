"""What is broken, at the command line: one line, exit code 2, and no file changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broken_networks import RAW, Break, operator, opset, reads, tensor
from fcconv.cli import app
from refusing import write
from small_networks import classifier

WRONG: dict[str, bytes | Break] = {
    "empty": b"",
    "text": b"text\n",
    "part": classifier().SerializeToString()[:-9],
    "cycle": reads(1, "b"),
    "undefined": reads(1, "nowhere"),
    "tensor": tensor(**RAW["short"][0]),
    "unknown": operator("Twist", "b"),
    "absurd": opset(99),
}

COMMANDS = {
    "inspect": ["inspect", "BAD"],
    "convert": ["convert", "BAD", "OUT"],
    "convert json": ["convert", "BAD", "OUT", "--json"],
    "verify": ["verify", "GOOD", "BAD"],
    "verify the other": ["verify", "BAD", "GOOD"],
}


@pytest.mark.parametrize(
    ("wrong", "command"),
    [
        (wrong, command)
        for wrong in WRONG
        for command in COMMANDS
        if wrong != "unknown" or not command.startswith("verify")  # a proof may leave it as it is
    ],
)
def test_the_command_line_says_it_in_one_line(
    path: Path, wrong: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = prepared(path, WRONG[wrong], COMMANDS[command])
    there = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert app.run(arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert_one_line(printed.err)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == there


@pytest.mark.parametrize("command", ["convert", "verify"])
def test_a_process_says_it_in_one_line(path: Path, command: str) -> None:
    """Nothing that a library logs comes beside it."""
    arguments = prepared(path, WRONG["undefined"], COMMANDS[command])
    line = [sys.executable, "-m", "fcconv", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)


def prepared(path: Path, wrong: bytes | Break, arguments: list[str]) -> list[str]:
    """Write the files that a command names, one that its output may not replace among them."""
    broken = classifier()
    if not isinstance(wrong, bytes):
        wrong(broken)
    files = {
        "BAD": write(path, wrong if isinstance(wrong, bytes) else broken),
        "GOOD": write(path.with_name("good.onnx"), classifier()),
        "OUT": write(path.with_name("out.onnx"), b"old"),
    }
    return [str(files.get(argument, argument)) for argument in arguments]


def assert_one_line(printed: str) -> None:
    assert printed.startswith("fcconv: ")
    assert printed.count("\n") == 1
