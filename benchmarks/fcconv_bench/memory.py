"""How much memory a call takes beyond its operands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fcconv_bench.cases import Case
from fcconv_bench.contenders import Call, Contender
from fcconv_bench.processes import process

# glibc then gives every larger block back to the system when it is freed, so that the next call's
# blocks show; it reads this when a process starts
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 * 1024)}


def peak_memory(contender: Contender, case: Case) -> int | None:
    """Measure the peak of one call, its result included, in a process of its own."""
    with _environment(ALLOCATOR), process() as worker:
        return worker.submit(_peak_of, contender, case).result()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _peak_of(contender: Contender, case: Case) -> int | None:
    if contender.uses_jax:  # the compiler knows, on every device
        analysis = contender.compile(case)[0].memory_analysis()
        return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes)
    return resident_peak(contender.prepare(case))


def resident_peak(call: Call) -> int | None:
    """Measure how far a call raises the resident memory of this process; None but on Linux."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    call()  # threads and buffers that stay are not the call's
    reset.write_text("5", encoding="ascii")  # sets the peak to what the process holds now
    before = status("VmRSS")
    call()
    return max(status("VmHWM") - before, 0)


def status(field: str) -> int:
    """Read a memory figure of this process from Linux, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
