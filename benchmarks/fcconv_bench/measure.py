"""How times are taken, so that they are true: of all benchmarks, here alone.

Each contender has a process of its own, rounds go in turn, a pause of a tenth of a second stands
between them, the first repetition of a round is thrown away, and medians are quoted: the idle
threads of OpenBLAS, OpenMP and XLA spin on for a while, and take a core from whoever runs next, in
the same process and in the next one.

pyperf has processes and medians, too, but runs one benchmark to its end before it begins another:
what slows the machine for a minute falls on one contender alone. It pauses nowhere, and divides by
no contender that is the limit. pytest-benchmark has one process for all.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from fcconv_bench.memory import peak_memory
from fcconv_bench.processes import process
from fcconv_bench.rows import Row
from fcconv_bench.suite import Call, Contender, Facts, Prepared, Suite

PAUSE = 0.1
ROUND_SECONDS = 0.1

CLOCK_SECONDS = 1e-3
"""Time that is long beside the reading of a clock."""

ENOUGH_SECONDS = 2.0
"""Time after which a contender sits out the other rounds of a case: the slow ones have few."""

# several processes share a GPU, so none may take most of its memory at its start
PREALLOCATE = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def measure(
    suite: Suite[Any], platforms: Iterable[str], rounds: int, begin: Callable[[str], None]
) -> list[Row]:
    """Measure the time and the memory of every contender on every case.

    Parameters
    ----------
    suite : Suite
        What to compute, and who does.
    platforms : iterable of str
        The devices that JAX sees besides the CPU.
    rounds : int
        How often the contenders take turns.
    begin : callable
        Is told which of :func:`steps` begins.

    Returns
    -------
    list of Row
        The figures, case by case.
    """
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, TMPDIR=folder):
        return _measured(suite, suite.contenders(platforms), rounds, begin)


def _measured(
    suite: Suite[Any],
    contenders: Sequence[Contender[Any]],
    rounds: int,
    begin: Callable[[str], None],
) -> list[Row]:
    rows = _timed(suite, contenders, rounds, begin)
    peaks: dict[tuple[str, str, str], int | None] = {}
    for contender in filter(lambda contender: contender.is_resident, contenders):
        begin(f"memory of {contender}")
        cases = [case for case in suite.cases if contender.can(case)]
        found = zip(cases, peak_memory(contender, cases), strict=True)
        peaks |= {(case.name, contender.name, contender.platform): peak for case, peak in found}
    return [
        replace(row, peak_bytes=peaks.get((row.case, row.contender, row.platform), row.peak_bytes))
        for row in rows
    ]


def steps(suite: Suite[Any], platforms: Iterable[str]) -> int:
    """Count what begins in a suite."""
    return len(suite.cases) + sum(c.is_resident for c in suite.contenders(platforms))


def _timed(
    suite: Suite[Any],
    contenders: Iterable[Contender[Any]],
    rounds: int,
    begin: Callable[[str], None],
) -> list[Row]:
    rows: list[Row] = []
    with ExitStack() as stack:
        workers = {c: stack.enter_context(process(**PREALLOCATE)) for c in contenders}
        for case in suite.cases:
            begin(case.name)
            able = {c: worker for c, worker in workers.items() if c.can(case)}
            facts = {c: worker.submit(prepare, c, case).result() for c, worker in able.items()}
            times = _in_turn(able, case, rounds)
            rows += [row(suite.name, case, c, times[c], facts[c]) for c in able]
    return rows


def _in_turn(
    workers: Mapping[Contender[Any], ProcessPoolExecutor], case: Any, rounds: int
) -> dict[Contender[Any], list[float]]:
    times: dict[Contender[Any], list[float]] = {contender: [] for contender in workers}
    for _ in range(rounds):
        for contender, worker in workers.items():
            if sum(times[contender]) < ENOUGH_SECONDS:
                time.sleep(PAUSE)
                times[contender] += worker.submit(time_round, contender, case).result()
    return times


def row(suite: str, case: Any, contender: Contender[Any], times: list[float], facts: Facts) -> Row:
    """Sum up the times of calls, of which so many make a case as the facts say."""
    quartiles = statistics.quantiles(times, n=4, method="inclusive")
    low, median, high = (seconds * facts.calls for seconds in quartiles)
    return Row(
        suite,
        case.name,
        case.group,
        contender.name,
        contender.platform,
        median,
        low,
        high,
        len(times),
        facts.multiplications,
        facts.output_bytes,
        facts.compile_seconds,
        facts.peak_bytes,
        facts.lines,
    )


@functools.lru_cache(maxsize=1)
def _prepared(contender: Contender[Any], case: Any) -> Prepared:
    return contender.prepare(case)


def prepare(contender: Contender[Any], case: Any) -> Facts:
    """Make the operands of a case and keep them in this process, in place of the last ones.

    Where the result of a call can be checked, it is.
    """
    _prepared.cache_clear()  # first: large operands may not fit twice
    made = _prepared(contender, case)
    if made.check is not None:
        made.check(made.call())
    return made.facts


def time_round(contender: Contender[Any], case: Any) -> list[float]:
    """Time at least two calls in a row, after the first, which is left out.

    Short ones are timed several at a time: reading the clock takes as long as the smallest. How
    many, says a call that is left out, too, unless it is long enough by itself.
    """
    call = _prepared(contender, case).call
    call()
    begin = time.perf_counter()
    once = _timed_calls(call, 1)
    repeat = max(int(CLOCK_SECONDS / once), 1)
    times = [once] if repeat == 1 else []
    while len(times) < 2 or time.perf_counter() - begin < ROUND_SECONDS:
        times.append(_timed_calls(call, repeat))
    return times


def _timed_calls(call: Call, repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat
