"""The chart of a suite."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from fcconv_bench.environment import in_words
from fcconv_bench.rows import Row, index, ratio
from fcconv_bench.suite import Suite

MARKERS = "osD^vPX*<>"
LINE_INCHES = 0.26


def write_chart(
    path: Path, suite: Suite[Any], rows: Sequence[Row], environment: dict[str, Any]
) -> None:
    """Draw the ratio of each contender to the reference, on a logarithmic scale."""
    known = index(rows)
    cases = list(dict.fromkeys(row.case for row in rows))
    compared = [row for row in rows if row.contender != suite.reference]
    names = list(dict.fromkeys(row.name for row in compared))
    height = 2.2 + LINE_INCHES * len(cases)
    figure = Figure(figsize=(11, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, marker in zip(names, itertools.cycle(MARKERS), strict=False):
        own = [row for row in compared if row.name == name]
        ratios = [ratio(known, row, suite.reference) or float("nan") for row in own]
        at = [cases.index(row.case) for row in own]
        size = 8 if own[0].contender in suite.ours else 5
        axes.plot(ratios, at, marker, label=name, markersize=size, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", top=True, labeltop=True)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.grid(axis="both", alpha=0.3)
    axes.set_xlabel(f"time / time of {suite.reference} (less is better)")
    axes.set_title("\n".join([suite.title, *in_words(environment)[:-2]]), fontsize=9, loc="left")
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, format="png")
