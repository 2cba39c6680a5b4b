"""How much memory a call takes beyond its operands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcconv_bench.processes import process
from fcconv_bench.suite import Call, Contender

# glibc then gives every larger block back to the system when it is freed, so that the next call's
# blocks show; it reads this when a process starts
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 * 1024)}


def peak_memory(contender: Contender[Any], cases: Sequence[Any]) -> list[int | None]:
    """Measure the peak of the first call of each case, its result included, and buffers it keeps.

    Each has a process for that: what a call keeps would hide in the next one.
    """
    return [_alone(contender, case) for case in cases]


def _alone(contender: Contender[Any], case: Any) -> int | None:
    with process(**ALLOCATOR) as worker:
        return worker.submit(_peak_of, contender, case).result()


def _peak_of(contender: Contender[Any], case: Any) -> int | None:
    contender.prepare(case.small()).call()  # what is loaded at first is not the call's
    return resident_peak(contender.prepare(case).call)


def resident_peak(call: Call) -> int | None:
    """Measure how far a call raises the resident memory of this process; None but on Linux."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    reset.write_text("5", encoding="ascii")  # sets the peak to what the process holds now
    before = status("VmRSS")
    call()
    return max(status("VmHWM") - before, 0)


def status(field: str) -> int:
    """Read a memory figure of this process from Linux, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
