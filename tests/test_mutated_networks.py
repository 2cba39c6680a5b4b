"""Damaged networks: whatever they are, an answer or an error of fcconv, soon, for little memory.

FCCONV_LARGE=1 tries 4,000 of them, for some minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from trying_processes import Outcome, in_one_process, outcomes

COUNT = 4000 if os.environ.get("FCCONV_LARGE") else 300


@pytest.fixture(scope="module")
def found() -> list[Outcome]:
    return list(outcomes(range(COUNT), workers=2))


def test_nothing_else_becomes_of_them(found: list[Outcome]) -> None:
    assert len(found) == COUNT
    faults = [
        (outcome.number, outcome.names, outcome.faults) for outcome in found if outcome.faults
    ]
    assert not faults


def test_many_are_refused_and_many_are_not(found: list[Outcome]) -> None:
    """See that the damage is neither too large nor too small for anything to be seen."""
    worked = Counter(use for o in found for use, said in o.said.items() if said == "ok")
    refused = Counter(use for o in found for use, said in o.said.items() if said != "ok")
    assert worked["compile"] > COUNT / 5
    assert refused["compile"] > COUNT / 5
    assert worked["same as onnxruntime"] > COUNT / 10
    for use in ("sliding is proved", "pointwise is proved", "pointwise is run by onnxruntime"):
        assert worked[use] > COUNT / 10, use


HARNESS = """
import ctypes, os, sys, time
from pathlib import Path
import trying_processes
from trying_networks import Trial
from trying_processes import work

def tried(damaged, folder):
    how = next(hows)
    if how == "crash":
        ctypes.string_at(0)
    if how == "hang":
        time.sleep(60)
    trial = Trial(folder)
    trial.use("take much", lambda: bytearray(2**33) if how == "much" else None)
    return trial

hows = iter({0: "crash", 1: "hang", 2: "much", 3: ""}[int(n)] for n in sys.argv[2:])
trying_processes.tried, trying_processes.LONGEST = tried, 2
work(Path(sys.argv[1]), [int(n) for n in sys.argv[2:]])
"""


def test_crashes_and_hangs_are_seen(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HARNESS)
    crash, hang, much, fine = in_one_process(range(4), program)
    assert "Segmentation fault" in crash.faults[0]
    assert "Timeout (0:00:02)" in hang.faults[0]
    assert much.faults == ["take much: MemoryError in program.py:<lambda>: "]
    assert not fine.faults
