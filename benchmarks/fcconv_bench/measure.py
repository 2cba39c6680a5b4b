"""How times are taken, so that they are true.

Each contender has a process of its own, rounds go in turn, a pause of a tenth of a second stands
between them, the first repetition of a round is thrown away, and medians are quoted: the idle
threads of OpenBLAS, OpenMP and XLA spin on for a while, and take a core from whoever runs next, in
the same process and in the next one.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from fcconv_bench.cases import Case
from fcconv_bench.contenders import Call, Contender, contenders, devices
from fcconv_bench.memory import peak_memory
from fcconv_bench.processes import process

PAUSE = 0.1
ROUND_SECONDS = 0.15

# several processes share a GPU, so none may take most of its memory at its start
WORKER_ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@dataclass(frozen=True)
class Row:
    """The figures of one contender on one case.

    Attributes
    ----------
    case, contender, device : str
        Their names.
    seconds : float
        Median time of a call.
    low, high : float
        First and third quartile.
    calls : int
        Calls that were timed.
    peak_bytes : int or None
        Most memory that one call takes beyond its operands, its result included; None where the
        system does not say.
    """

    case: str
    contender: str
    device: str
    seconds: float
    low: float
    high: float
    calls: int
    peak_bytes: int | None


def measure(
    cases: Sequence[Case], platforms: dict[str, str], rounds: int, begin: Callable[[Case], None]
) -> Iterator[Row]:
    """Time every contender on every case, and yield its figures case by case.

    Parameters
    ----------
    cases : sequence of Case
        What to compute.
    platforms : dict of str to str
        The devices that JAX sees, from :func:`seen_devices`.
    rounds : int
        How often the contenders take turns.
    begin : callable
        Is told which case begins.

    Yields
    ------
    Row
        The figures of one contender on one case.
    """
    os.environ.update(WORKER_ENVIRONMENT)
    with ExitStack() as stack:
        workers = {contender: stack.enter_context(process()) for contender in contenders(platforms)}
        for case in cases:
            begin(case)
            times: dict[Contender, list[float]] = {contender: [] for contender in workers}
            for _ in range(rounds):
                for contender, worker in workers.items():
                    times[contender] += worker.submit(time_round, contender, case).result()
                    time.sleep(PAUSE)
            for contender, measured in times.items():
                low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
                yield Row(
                    case.name,
                    contender.name,
                    contender.device,
                    median,
                    low,
                    high,
                    len(measured),
                    peak_memory(contender, case),
                )


def seen_devices() -> dict[str, str]:
    """Ask a process of its own for the devices: JAX keeps a device for as long as it runs."""
    with process() as probe:
        return probe.submit(devices).result()


@functools.lru_cache(maxsize=1)
def _prepared(contender: Contender, case: Case) -> Call:
    return contender.prepare(case)


def time_round(contender: Contender, case: Case) -> list[float]:
    """Time some calls in a row, at least three, and leave out the first."""
    call = _prepared(contender, case)
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < ROUND_SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[1:]
