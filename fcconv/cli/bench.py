"""``fcconv bench``: progress while it works, then tables, charts and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from fcconv.cli.options import extra
from fcconv.cli.output import progress, results
from fcconv_bench.chart import write_chart
from fcconv_bench.compare import differences, shared, slower
from fcconv_bench.environment import environment, in_words
from fcconv_bench.measure import measure, steps
from fcconv_bench.rows import Row, read_json, write_json
from fcconv_bench.suite import Suite
from fcconv_bench.suites import SUITES
from fcconv_bench.summary import Figure, figures, remarks
from fcconv_bench.tables import slower_table, suite_table, summary_table, user_table


def measure_and_show(names: Iterable[str], out: Path, rounds: int, old: Path | None) -> None:
    """Time the suites, print tables, and write charts and the JSON into a folder."""
    with extra("scan"):
        suites = [SUITES[name]() for name in dict.fromkeys(names)]
    before = None if old is None else read_json(old)
    record = environment()
    console = results()
    rows: list[Row] = []
    summary: list[Figure] = []
    data = out / "bench.json"
    for suite in suites:
        found = _measured(suite, record["devices"], rounds)
        rows += found
        summary += _shown(console, suite, found)
        write_chart(out / f"{suite.name}.png", suite, found, record)
        write_json(data, rows, record, [asdict(figure) for figure in summary])
    console.print()
    for line in in_words(record):
        console.print(line)
    if before is not None:
        _compared(console, *before, rows, record)
    console.print(f"The charts and the figures, {data.name}, are in {out}")


def _measured(suite: Suite[Any], platforms: Sequence[str], rounds: int) -> list[Row]:
    with progress() as bar:
        task = bar.add_task("starting", total=steps(suite, platforms))
        return measure(
            suite, platforms, rounds, lambda name: bar.update(task, advance=1, description=name)
        )


def _shown(console: Console, suite: Suite[Any], rows: Sequence[Row]) -> list[Figure]:
    """Print the tables of a suite, and return its summary."""
    summary = figures(suite, rows)
    console.print(suite_table(suite, rows), "", summary_table(summary), "", sep="\n")
    written = [row for row in rows if row.lines is not None]
    if written:
        console.print(user_table(written), "", sep="\n")
    for remark in (*remarks(suite, rows), *suite.notes):
        console.print(remark)
    return summary


def _compared(
    console: Console,
    then: Sequence[Row],
    recorded: dict[str, Any],
    now: Sequence[Row],
    record: dict[str, Any],
) -> None:
    """Print what got slower, and what else is not as it was."""
    pairs = slower(then, now)
    if pairs:
        console.print("", slower_table(pairs), "", sep="\n")
    console.print(f"{len(pairs)} of {shared(then, now)} figures that both runs have got slower")
    differing = differences(recorded, record)
    if differing:
        console.print(f"The runs differ in {', '.join(differing)}")
