"""``fcconv bench``: progress while it works, then a table, a chart and JSON."""

from __future__ import annotations

from pathlib import Path

from fcconv.cli.output import progress, results
from fcconv_bench import cases
from fcconv_bench.cases import Case
from fcconv_bench.environment import environment, in_words
from fcconv_bench.measure import measure, seen_devices
from fcconv_bench.report import table, to_json, write_chart


def measure_and_show(out: Path, rounds: int) -> None:
    """Time every layer, print the table, and write the chart and the JSON into a folder."""
    platforms = seen_devices()
    record = environment(platforms)
    with progress() as bar:
        task = bar.add_task("starting", total=len(cases.CASES))

        def begin(case: Case) -> None:
            bar.update(task, advance=1, description=case.name)

        rows = list(measure(cases.CASES, platforms, rounds, begin))
    console = results()
    console.print(table(rows))
    for line in in_words(record):
        console.print(line, highlight=False)
    chart, data = out / "layers.png", out / "layers.json"
    write_chart(chart, rows, record)
    data.write_text(to_json(rows, record), encoding="utf-8")
    console.print(f"The chart is in {chart}", f"The figures are in {data}", sep="\n", markup=False)
