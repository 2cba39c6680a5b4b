"""A scan that is killed at any moment goes on where it was, and ends as if nothing had happened.

Each run is a process of its own: a copy of one that has loaded everything, or a fresh one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from scan_cases import memory_for, small_network
from score_files import tree
from strategies import integers

STEP = 1 if os.environ.get("FCCONV_LARGE") else 2
"""From one change of a file at which a scan is killed to the next."""

RUNS = """
import os, signal, sys, time
from pathlib import Path
import fcconv, multiprocessing.synchronize, numpy.ma, zarr
from fcconv.errors import OutputError
from fcconv.scanning import engine

folder, memory, out, pause = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}

fcconv.scan(folder / "model.onnx", folder / "image.npy", engine="numpy")  # loads everything

def note(word):
    with open(folder / "log", "a") as file:
        file.write(word + chr(10))

def scan(existing, to=None):
    score = engine.Shared.__call__
    def noted(self, *given):
        note("computed")
        return score(self, *given)
    engine.Shared.__call__ = noted
    def progress(done):
        if done.windows > done.before:  # till then, what is finished is checked
            note("finished")
            time.sleep(pause)
    model, image, target = folder / "model.onnx", folder / "image.npy", folder / "out" / (to or out)
    try:
        fcconv.scan(model, image, engine="numpy", memory=memory, out=target, existing=existing,
                    progress=progress)
    except OutputError as error:
        if "complete" not in str(error):
            raise

def begun(work):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        note(f"failed: {error!r}")
    finally:
        os._exit(code)

def killed_at_change(number, work):
    count = 0
    def hook(event, arguments):
        nonlocal count
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if (event in CHANGES or opened) and "log" not in str(arguments[0]):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # this thread goes no further
    def hooked():
        sys.addaudithook(hook)
        work()
    return os.waitpid(begun(hooked), 0)[1] == signal.SIGKILL
"""
"""What each program below begins with."""

AT_RANDOM = """
for delay in map(float, sys.argv[5:]):
    child = begun(lambda: scan("resume"))
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    note("killed")
assert os.waitpid(begun(lambda: scan("resume")), 0)[1] == 0
"""

AT_EACH_CHANGE = """
import shutil
first, second, step = sys.argv[5:]
complete = folder / "complete"
begin = lambda: shutil.copytree(complete, folder / "out") if complete.exists() else (
    (folder / "out").mkdir())
for number in range(1, 10000, int(step)):
    begin()
    if not killed_at_change(number, lambda: scan(first)):
        break
    if os.waitpid(begun(lambda: scan(second)), 0)[1] != 0:
        note(f"failed after it was killed at change {number}")
    (folder / "out").rename(folder / f"after-{number}")
"""


def prepared(folder: Path, size: tuple[int, int]) -> tuple[Any, Any]:
    network, image = small_network(), integers(0, (2, *size), "float32")
    fcconv.convolutionize(network).save(folder / "model.onnx")
    np.save(folder / "image.npy", image)
    (folder / "out").mkdir()
    return network, image


def run(program: str, *arguments: object) -> None:
    words = [sys.executable, "-W", "ignore", "-c", RUNS + program, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("out", ["x.zarr", "x.npy"])
def test_killed_at_random_moments(out: str, tmp_path: Path) -> None:
    network, image = prepared(tmp_path, (120, 130))
    memory, whole = memory_for(150, network, image), tmp_path / "whole"
    whole.mkdir()
    found = fcconv.scan(
        tmp_path / "model.onnx", tmp_path / "image.npy", engine="numpy", memory=memory,
        out=whole / out,
    )  # fmt: skip
    moments = random.Random(out)
    delays = [moments.uniform(0, 0.5) for _ in range(10)]
    run(AT_RANDOM, tmp_path, memory, out, 0.005, *delays)
    log = (tmp_path / "log").read_text().splitlines()
    assert not [line for line in log if line.startswith("failed")]
    assert log.count("killed") == 10
    assert tree(tmp_path / "out") == tree(whole)
    finished, computed = log.count("finished"), log.count("computed")
    kills_in_work = sum("computed" in part for part in " ".join(log).split("killed")[:-1])
    assert kills_in_work >= 3
    assert found.tiles - 10 <= finished <= found.tiles  # never twice; not noted, if killed then
    assert found.tiles <= computed <= found.tiles + 3 * kills_in_work  # computed, held, written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("out", "first", "second"),
    [
        ("x.zarr", "refuse", "resume"),
        ("x.npy", "refuse", "resume"),
        ("x.npz", "overwrite", "resume"),
        ("x.zarr", "overwrite", "overwrite"),
    ],
)
def test_killed_at_each_change_of_a_file(out: str, first: str, second: str, tmp_path: Path) -> None:
    network, image = prepared(tmp_path, (20, 14))
    memory, whole = memory_for(2, network, image), tmp_path / "whole"
    whole.mkdir()
    given: dict[str, Any] = {"network": tmp_path / "model.onnx", "engine": "numpy"}
    given |= {"image": tmp_path / "image.npy", "memory": memory}
    assert fcconv.scan(**given, out=whole / out).tiles in (2, 3)
    (tmp_path / "out").rmdir()
    if first == "overwrite":
        (tmp_path / "complete").mkdir()
        fcconv.scan(**given, out=tmp_path / "complete" / out)
    run(AT_EACH_CHANGE, tmp_path, memory, out, 0, first, second, STEP)
    log = (tmp_path / "log").read_text().splitlines()
    assert not [line for line in log if line.startswith("failed")]
    ends = list(tmp_path.glob("after-*"))
    assert len(ends) > 15 // STEP
    for end in ends:
        assert tree(end) == tree(whole), end.name
