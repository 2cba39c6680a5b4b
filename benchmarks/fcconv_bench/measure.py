"""How times are taken, so that they are true.

Each contender has a process of its own, rounds go in turn, a pause of a tenth of a second stands
between them, the first repetition of a round is thrown away, and medians are quoted: the idle
threads of OpenBLAS, OpenMP and XLA spin on for a while, and take a core from whoever runs next, in
the same process and in the next one.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcconv_bench.cases import Case
from fcconv_bench.contenders import Call, contenders, platforms, prepare

PAUSE = 0.1
ROUND_SECONDS = 0.15
LIBRARIES = ("fcconv", "numpy", "jax", "jaxlib", "torch")
BLAS_FACTS = ("internal_api", "version", "architecture", "num_threads")


@dataclass(frozen=True)
class Row:
    """The figures of one contender on one case.

    Attributes
    ----------
    case, contender : str
        Their names.
    seconds : float
        Median time of a call.
    low, high : float
        First and third quartile.
    calls : int
        Calls that were timed.
    peak_bytes : int or None
        Most memory that one call took beyond its operands, its result included; None where the
        system does not say.
    """

    case: str
    contender: str
    seconds: float
    low: float
    high: float
    calls: int
    peak_bytes: int | None


def measure(
    cases: Sequence[Case], rounds: int, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Row]:
    """Time every contender on every case, and yield its figures case by case."""
    with ExitStack() as stack:

        def process() -> ProcessPoolExecutor:
            context = multiprocessing.get_context("spawn")
            return stack.enter_context(ProcessPoolExecutor(1, mp_context=context))

        here = process().submit(platforms).result()
        workers = {name: process() for name in contenders(here)}
        for case in cases:
            progress(case.name)
            times: dict[str, list[float]] = {name: [] for name in workers}
            for _ in range(rounds):
                for name, worker in workers.items():
                    times[name] += worker.submit(time_round, name, case).result()
                    time.sleep(PAUSE)
            for name, worker in workers.items():
                peak = worker.submit(peak_memory, name, case).result()
                low, median, high = statistics.quantiles(times[name], n=4, method="inclusive")
                yield Row(case.name, name, median, low, high, len(times[name]), peak)


_prepared: dict[tuple[str, Case], Call] = {}


def _call(contender: str, case: Case) -> Call:
    """Prepare a case once a process; only the latest, so that memory does not fill up."""
    if (contender, case) not in _prepared:
        _prepared.clear()
        _prepared[contender, case] = prepare(contender, case)
    return _prepared[contender, case]


def time_round(contender: str, case: Case) -> list[float]:
    """Time some calls in a row, at least two, and leave out the first."""
    call = _call(contender, case)
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < ROUND_SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[1:]


def peak_memory(contender: str, case: Case) -> int | None:
    """Measure how far one call raises the memory of this process, or of the device it runs on."""
    call = _call(contender, case)
    if " on " in contender and not contender.endswith(" on cpu"):
        import jax

        statistics_of = jax.devices(contender.rpartition(" on ")[2])[0].memory_stats
        before = (statistics_of() or {}).get("bytes_in_use")
        call()
        peak = (statistics_of() or {}).get("peak_bytes_in_use")
        return None if before is None or peak is None else int(peak - before)
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    reset.write_text("5", encoding="ascii")  # sets the peak of this process to what it holds now
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    """Read a memory figure of this process from Linux, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def environment() -> dict[str, Any]:
    """Record what the figures depend on: processor, cores, versions, BLAS and its threads."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_environment).result()


def _environment() -> dict[str, Any]:
    import importlib.metadata
    import importlib.util

    import numpy as np
    import threadpoolctl

    np.ones((64, 64)) @ np.ones((64, 64))  # loads BLAS
    found = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    pools = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    record: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in found},
        "blas": [{fact: pool.get(fact) for fact in BLAS_FACTS} for pool in pools],
        "devices": {},
    }
    if "jax" in found:
        import jax

        record["devices"] = {device.platform: device.device_kind for device in jax.devices()}
    return record


def _processor() -> str:
    """Name the processor; Linux names it here, and nowhere in the standard library."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
