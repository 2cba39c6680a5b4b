"""What ``fcconv bench`` prints and writes."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from fcconv_bench.cases import CASES
from fcconv_bench.measure import environment, measure
from fcconv_bench.report import table, to_json, write_chart


def measure_and_report(out: Path, rounds: int, small: bool) -> None:
    """Time every layer, print the table, and write the chart and the JSON into a folder."""
    cases = [case.small() for case in CASES] if small else list(CASES)
    record = environment()
    with Console(stderr=True).status("starting") as status:
        rows = list(measure(cases, rounds, lambda name: status.update(f"timing {name}")))
    # a pipe has no width; a line that is cut would lose figures
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table(rows))
    console.print(f"{record['processor']}, {record['cores']} cores")
    for blas in record["blas"]:
        console.print(
            "{internal_api} {version}, {architecture}, {num_threads} threads".format(**blas)
        )
    console.print(", ".join(f"{name} {version}" for name, version in record["versions"].items()))
    chart, data = out / "layers.png", out / "layers.json"
    write_chart(chart, rows, record)
    data.write_text(to_json(rows, record), encoding="utf-8")
    console.print(f"The chart is in [bold]{chart}[/bold], the figures are in [bold]{data}[/bold].")
