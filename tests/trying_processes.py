"""Damaged networks tried in processes that may die of them.

``python tests/trying_processes.py 0 4000`` tries the mutants from 0 to 3999, and prints the faults.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from mutated_networks import Mutant, mutant
from trying_networks import Trial, compared, tried

LONGEST = 30
"""Seconds that all about one network may take."""

MOST_MEMORY = 4 * 2**30
"""Bytes of addresses that a process may take beyond those that it begins with."""

CHUNK = 150
"""Networks that one process tries."""


@dataclass(frozen=True)
class Outcome:
    """What became of the network of a number: what each use said, and what it must not do."""

    number: int
    names: Sequence[str]
    said: dict[str, str]
    faults: list[str]
    doubts: list[str]


def work(report: Path, numbers: Sequence[int]) -> None:
    """Try networks, and write down what becomes of each, a line each."""
    faulthandler.enable()
    onnxruntime.set_default_logger_severity(4)
    warnings.simplefilter("error")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_MEMORY, hard))
    for number in numbers:
        damaged = mutant(number)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            trial = tried(damaged, Path(folder))
            faulthandler.cancel_dump_traceback_later()
            _report(report, number, damaged, trial)
            compared(trial)  # onnxruntime may die of the damage
            _report(report, number, damaged, trial)


def _report(report: Path, number: int, damaged: Mutant, trial: Trial) -> None:
    outcome = Outcome(number, damaged.names, trial.said, trial.faults, trial.doubts)
    with report.open("a") as file:
        file.write(json.dumps(vars(outcome)) + "\n")


def outcomes(numbers: Sequence[int], workers: int = 1) -> Iterator[Outcome]:
    """Try networks in processes of their own, and yield what becomes of each."""
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(in_one_process, chunks):
            yield from found


def in_one_process(numbers: Sequence[int], program: Path = Path(__file__)) -> list[Outcome]:
    """Try some networks in one process, and the rest in another if it dies."""
    found: list[Outcome] = []
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    while len(found) < len(numbers):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            report.touch()
            left = map(str, numbers[len(found) :])
            ended = subprocess.run(
                [sys.executable, str(program), str(report), *left],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )
            outcomes = [Outcome(**json.loads(line)) for line in report.read_text().splitlines()]
        found += {outcome.number: outcome for outcome in outcomes}.values()  # the last of each
        lines = Counter(outcome.number for outcome in outcomes)
        if ended.returncode and found and lines[found[-1].number] == 1:
            found[-1].doubts.append("onnxruntime ends the process")
        elif ended.returncode:
            number = numbers[len(found)]
            trace = " | ".join(ended.stderr.strip().splitlines()[-40:])
            fault = f"the process ends with {ended.returncode}: {trace}"
            found.append(Outcome(number, mutant(number).names, {}, [fault], []))
    return found


def main(first: int, last: int) -> None:
    """Print the faults and the doubts of some networks."""
    for outcome in outcomes(range(first, last)):
        if outcome.faults or outcome.doubts:
            print(json.dumps(vars(outcome)), flush=True)  # noqa: T201 - a report


if __name__ == "__main__":
    if Path(sys.argv[1]).is_file():
        work(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]])
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))
