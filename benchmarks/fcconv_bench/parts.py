"""What parts of a scan gain and cost: `python -m fcconv_bench.parts`, where nothing else runs.

Processes with one thread each compute an image alone and in two halves. Then one process computes
about 200 tiles as a whole, in 16 parts, and as the tasks of a cluster in this process, by the time
of its cores. Run it with OMP_NUM_THREADS=1, so that all of these have one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import fcconv
from fcconv.demo.network import load_faces
from fcconv_bench.processes import THREADS

PARTS = 16
TRIALS = 5


def main() -> None:
    """Measure, and print a line for each."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--engine", default="numpy")
    given.add_argument("--size", type=int, default=6000, help="pixels along a side")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(load_faces(), folder / "network.onnx")
        _save(folder / "image.npy", asked.size)
        _save(folder / "small.npy", 3000)
        for trial in range(TRIALS):
            _tell(_halves(folder, asked.engine, trial))
        for line in _overhead(folder, asked.engine):
            _tell(line)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _save(path: Path, size: int) -> None:
    """Save an image of random pixels."""
    np.save(path, np.random.default_rng(0).integers(0, 255, (1, size, size), "uint8"))


def _halves(folder: Path, engine: str, trial: int) -> str:
    """Scan an image in one process, and in two that have half of the tiles each."""
    one = _seconds(folder, engine, f"one-{trial}.zarr", [[]])
    two = _seconds(folder, engine, f"two-{trial}.zarr", [["--part", "1/2"], ["--part", "2/2"]])
    last = _seconds(folder, engine, f"two-{trial}.zarr", [["--resume"]])
    return (
        f"one process {one[0]:.2f} s, of which its scan {one[1]:.2f} s; two {two[0]:.2f} s, scans "
        f"{two[1]:.2f} s: ratio {one[0] / two[0]:.2f}, of scans {one[1] / two[1]:.2f}; the last "
        f"call {last[0]:.2f} s, scan {last[1]:.2f} s; load {os.getloadavg()[0]:.1f}"
    )


def _seconds(folder: Path, engine: str, out: str, ways: list[list[str]]) -> tuple[float, float]:
    """Time processes side by side: until all have ended, and the longest of their scans."""
    begin = time.perf_counter()
    common = ["-m", "fcconv", "scan", str(folder / "network.onnx")]
    common += [str(folder / "image.npy"), "--json", "--engine", engine, "--out", str(folder / out)]
    processes = [
        subprocess.Popen(
            [sys.executable, *common, *way],
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
            stdout=subprocess.PIPE,
            text=True,
        )
        for way in ways
    ]
    told = [json.loads(process.communicate()[0])["scans"][0] for process in processes]
    return time.perf_counter() - begin, max(scan["seconds"] for scan in told)


def _overhead(folder: Path, engine: str) -> list[str]:
    """Scan about 200 tiles as a whole, in parts, and on a cluster, by the time of this process."""
    given: dict[str, Any] = {"network": fcconv.convolutionize(load_faces()), "engine": engine}
    given |= {"image": folder / "small.npy", "memory": "20MB"}
    import distributed  # which the test environment need not have

    tiles, cost_of = 0, ("whole", "parts", "check", "cluster")
    cost: dict[str, list[float]] = {name: [] for name in cost_of}
    cluster = distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"
    )
    with cluster as client:
        for trial in range(TRIALS + 1):  # the first loads what it needs
            one, two, three = (folder / f"{name}-{trial}.zarr" for name in ("a", "b", "c"))
            found, whole = _timed(out=one, **given)
            tiles = found.tiles
            parts = sum(_timed(out=two, part=(k, PARTS), **given)[1] for k in range(1, PARTS + 1))
            _, check = _timed(out=two, existing="resume", **given)
            _, tasks = _timed(out=three, client=client, **given)
            for name, seconds in zip(cost, (whole, parts, check, tasks), strict=True):
                cost[name].append(seconds)
    whole, parts, check, tasks = (statistics.median(times[1:]) for times in cost.values())
    return [
        f"{tiles} tiles: {whole:.2f} s of a core",
        f"in {PARTS} parts {parts:.2f} s ({parts / whole - 1:+.1%}), the check {check:.2f} s "
        f"({check / whole:.1%})",
        f"as tasks of Dask {tasks:.2f} s, without the check {(tasks - check) / whole - 1:+.1%}",
    ]


def _timed(**given: Any) -> tuple[fcconv.Scan, float]:
    """Scan, and count the seconds that cores worked for it."""
    begin = time.process_time()
    found = fcconv.scan(**given)
    return found, time.process_time() - begin


if __name__ == "__main__":
    main()
