"""The tables of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fcconv_bench.compare import RULE
from fcconv_bench.rows import Index, Row, index, ratio
from fcconv_bench.suite import Suite
from fcconv_bench.suites import SUITES
from fcconv_bench.summary import Figure

TEXTS = (*SUITES, "part", "time of", "over", "where", "case", "contender")
"""Headings of columns that hold no numbers."""


def suite_table(suite: Suite[Any], rows: Sequence[Row]) -> Table:
    """Lay out a suite: a line for each case and platform, a column for each contender.

    The last columns hold the widest spread of a contender; and, the most of ours, megabytes beyond
    the result, and multiplications as a ratio to those of the reference where it needs others.
    """
    known = index(rows)
    others = [c for c in dict.fromkeys(row.contender for row in rows) if c != suite.reference]
    lines = [_line(known, suite, row, others) for row in rows if row.contender == suite.reference]
    filled = [heading for heading in lines[0] if any(line[heading] for line in lines)]
    table = _table(f"{suite.title}: times as ratios to that of {suite.reference}", *filled)
    for line in lines:
        table.add_row(*(line[heading] for heading in filled))
    return table


def _line(known: Index, suite: Suite[Any], reference: Row, others: list[str]) -> dict[str, str]:
    """Write a line, by the headings of its columns."""
    place = reference.suite, reference.case, reference.platform
    here = {c: row for c in others if (row := known.get((*place, c))) is not None}
    ours = [row for row in here.values() if row.contender in suite.ours]
    work = (
        row.multiplications / reference.multiplications
        for row in ours
        if row.multiplications and reference.multiplications
    )
    return {
        suite.name: reference.case + reference.name.removeprefix(reference.contender),
        f"{reference.contender}, ms": _most([reference.seconds * 1e3]),
        **{c: _most([ratio(known, here[c], suite.reference)] if c in here else []) for c in others},
        "spread": f"{max(row.spread for row in (reference, *here.values())):.0%}",
        "extra MB": _most(row.extra_bytes and round(row.extra_bytes / 1e6, 1) for row in ours),
        "work": _most(value for value in work if value != 1),
    }


def summary_table(figures: Iterable[Figure]) -> Table:
    """Lay out how we stand to others in each part of a suite."""
    table = _table("Geometric means", "part", "time of", "over", "cases", "mean", "worst", "where")
    for figure in figures:
        table.add_row(
            figure.subset,
            figure.name,
            figure.other,
            f"{figure.cases}",
            f"{figure.mean:.3g}",
            f"{figure.worst:.3g}",
            figure.case,
        )
    return table


def user_table(rows: Iterable[Row]) -> Table:
    """Lay out what a user cares for: seconds, megabytes beyond the image, lines to write."""
    table = _table("What a user has of it", "case", "contender", "seconds", "MB", "lines")
    for row in rows:
        memory = None if row.peak_bytes is None else row.peak_bytes / 1e6
        table.add_row(row.case, row.name, f"{row.seconds:.3g}", _most([memory]), f"{row.lines}")
    return table


def slower_table(pairs: Iterable[tuple[Row, Row]]) -> Table:
    """Lay out what got slower, then and now."""
    table = _table(f"Slower: {RULE}", "case", "contender", "then, ms", "now, ms", "ratio")
    for then, now in pairs:
        table.add_row(
            now.case,
            now.name,
            f"{then.seconds * 1e3:.4g}",
            f"{now.seconds * 1e3:.4g}",
            f"{now.seconds / then.seconds:.2f}",
        )
    return table


def _table(title: str, *headings: str) -> Table:
    """Make a table whose texts may be broken, but no number."""
    table = Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for heading in headings:
        if heading in TEXTS:
            table.add_column(heading)
        else:
            table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    return table


def _most(values: Iterable[float | None]) -> str:
    """Write the largest number, or nothing where there is none."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    return f"{max(numbers):.3g}" if max(numbers) < 999.5 else f"{max(numbers):.0f}"
