"""What the rows of a suite come to: geometric means of ratios, fixed costs, memory."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fcconv_bench.architectures import DEPTHWISE, RESNET50, VGG16
from fcconv_bench.rows import Index, Row, index, ratio
from fcconv_bench.suite import Suite, full_name
from fcconv_bench.suites import MAP, NATIVE

SMALL_SECONDS = 0.2e-3
"""Products below that are shorter than some calls."""

FREE_BYTES = 16 * 10**6
"""Memory that a call may take beyond its result, however small that is."""

Holds = Callable[[Row], bool]
"""Whether a case belongs to a subset, by the row of its reference."""

SUBSETS: dict[str, dict[str, Holds]] = {
    "layers": {
        "native, products over 0.2 ms": lambda r: r.group == NATIVE and r.seconds > SMALL_SECONDS,
        "native": lambda r: r.group == NATIVE,
        "map of 16x16": lambda r: r.group == MAP,
    },
    "convolutions": {
        "VGG16 and ResNet-50": lambda r: r.group in (VGG16, RESNET50),
        "depthwise": lambda r: r.group == DEPTHWISE,
        "all": lambda _: True,
    },
    "networks": {"all": lambda _: True},
}
"""Of other suites, the groups are."""


@dataclass(frozen=True)
class Figure:
    """How one contender stands to another in a part of a suite.

    Attributes
    ----------
    suite, subset, contender, other, platform : str
        Whose time is divided by whose.
    mean : float
        The geometric mean of the ratios.
    worst : float
        The largest ratio.
    case : str
        Where it is.
    cases : int
        Ratios that count.
    """

    suite: str
    subset: str
    contender: str
    other: str
    platform: str
    mean: float
    worst: float
    case: str
    cases: int

    @property
    def name(self) -> str:
        """The contender, and its platform unless that is the CPU."""
        return full_name(self.contender, self.platform)


def figures(suite: Suite[Any], rows: Sequence[Row]) -> list[Figure]:
    """Sum up each subset of a suite: each of our contenders against those that have all of it."""
    others = [name for name in dict.fromkeys(r.contender for r in rows) if name not in suite.ours]
    found = []
    groups = dict.fromkeys(row.group for row in rows)
    by_group: dict[str, Holds] = {g: partial(_is_of, g) for g in groups}
    for subset, holds in SUBSETS.get(suite.name, by_group).items():
        for platform in dict.fromkeys(row.platform for row in rows):
            here = [row for row in rows if row.platform == platform]
            cases = {r.case for r in here if r.contender == suite.reference and holds(r)}
            part = [row for row in here if row.case in cases]
            for ours in suite.ours:
                pairs = ((other, _ratios(part, ours, other)) for other in others)
                found += [
                    _figure((suite.name, subset, ours, other, platform), ratios)
                    for other, ratios in pairs
                    if len(ratios) == len(cases) > 0
                ]
    return found


def _is_of(group: str, row: Row) -> bool:
    return row.group == group


def _ratios(rows: Sequence[Row], contender: str, other: str) -> dict[str, float]:
    known = index(rows)
    found = {r.case: ratio(known, r, other) for r in rows if r.contender == contender}
    return {case: value for case, value in found.items() if value is not None}


def _figure(names: tuple[str, str, str, str, str], ratios: dict[str, float]) -> Figure:
    case, worst = max(ratios.items(), key=operator.itemgetter(1))
    return Figure(*names, statistics.geometric_mean(ratios.values()), worst, case, len(ratios))


def remarks(suite: Suite[Any], rows: Sequence[Row]) -> Iterator[str]:
    """Say what a call costs besides its computation: when it is small, memory, compiling."""
    for name in dict.fromkeys(row.name for row in rows if row.contender in suite.ours):
        own = [row for row in rows if row.name == name]
        if suite.name == "layers":
            yield _fixed_cost(
                index(rows), min(own, key=lambda row: row.multiplications or 0), suite
            )
        sized = [row for row in own if row.extra_bytes is not None]
        if sized:
            yield _memory(max(sized, key=_excess))
        compiled = [row.compile_seconds for row in own if row.compile_seconds is not None]
        if compiled:
            seconds = f"in {sum(compiled):.1f} s, the slowest in {max(compiled):.2f} s"
            yield f"{name}: compiled {len(compiled)} times {seconds}"


def _fixed_cost(known: Index, row: Row, suite: Suite[Any]) -> str:
    bare = known[row.suite, row.case, row.platform, suite.reference]
    cost = (row.seconds - bare.seconds) * 1e6
    return f"{row.name}: a call costs {cost:.1f} us more than the bare product of {row.case}"


def _memory(row: Row) -> str:
    extra, output = row.extra_bytes or 0, row.output_bytes or 0
    return (
        f"{row.name}: takes the most memory for {row.case}: {extra / 1e6:.1f} MB beyond a result "
        f"of {output / 1e6:.1f} MB, which is {_excess(row):.2f} times the larger of that and "
        f"{FREE_BYTES / 1e6:.0f} MB"
    )


def _excess(row: Row) -> float:
    """Divide the memory beyond the result by the result, or by what is free."""
    return (row.extra_bytes or 0) / max(row.output_bytes or 0, FREE_BYTES)
