"""The report: a table, a chart and JSON, from the rows that were measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fcconv_bench.contenders import LIMIT, OURS, PEERS, Contender
from fcconv_bench.environment import in_words
from fcconv_bench.measure import Row


def ratio(rows: Sequence[Row], row: Row, other: str) -> float | None:
    """Divide the time of a row by that of another contender on the same case and device."""
    for rival in rows:
        if (rival.case, rival.device, rival.contender) == (row.case, row.device, other):
            return row.seconds / rival.seconds
    return None


def table(rows: Sequence[Row]) -> Table:
    """Lay the rows out, case after case."""
    shown = Table(title="Time of one layer, float32", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("layer and contender", no_wrap=True)
    for heading in ("ms", "spread", *(f"/ {other}" for other in (LIMIT, *PEERS)), "peak MB"):
        shown.add_column(heading, justify="right")
    for case in dict.fromkeys(row.case for row in rows):
        shown.add_section()
        shown.add_row(case, style="bold")
        for row in (row for row in rows if row.case == case):
            ratios = (ratio(rows, row, other) for other in (LIMIT, *PEERS))
            shown.add_row(
                f"  {_name(row)}",
                f"{row.seconds * 1e3:.4g}",
                f"{(row.high - row.low) / row.seconds:.0%}",
                *("" if value is None else f"{value:.2f}" for value in ratios),
                "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.1f}",
            )
    return shown


def _name(row: Row) -> str:
    return str(Contender(row.contender, row.device))


def to_json(rows: Sequence[Row], environment: dict[str, Any]) -> str:
    """Write down the rows, and what they depend on."""
    return json.dumps({"environment": environment, "rows": [asdict(r) for r in rows]}, indent=1)


def write_chart(path: Path, rows: Sequence[Row], environment: dict[str, Any]) -> None:
    """Draw the ratio of each contender to the matrix product, on a logarithmic scale."""
    cases = list(dict.fromkeys(row.case for row in rows))
    compared = [row for row in rows if row.contender != LIMIT]
    names = list(dict.fromkeys(map(_name, compared)))
    figure = Figure(figsize=(10, 1.6 + 0.5 * len(cases)), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, marker in zip(names, "osD^vPX", strict=False):
        own = [row for row in compared if _name(row) == name]
        ratios = [ratio(rows, row, LIMIT) or float("nan") for row in own]
        at = [cases.index(row.case) for row in own]
        axes.plot(ratios, at, marker, label=name, markersize=9 if name in OURS else 6, alpha=0.85)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="both", alpha=0.3)
    axes.set_xlabel("time / time of a bare matrix product of the same shape (less is better)")
    axes.set_title("\n".join(in_words(environment)[:-1]), fontsize=9, loc="left")
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, format="png")
