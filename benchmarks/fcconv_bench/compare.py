"""What got slower since an older run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fcconv_bench.rows import Row, index, key

RULE = "its first quartile is above the third quartile that it had"
"""When a contender is slower on a case: half of all timings then, and half now, lie apart."""

FACTS = ("processor", "cores", "python", "versions", "threads", "blas", "devices", "settings")


def slower(then: Iterable[Row], now: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Find rows that got slower, then and now, by `RULE`; the most slowed down first.

    The reference is among the rows: where it is listed, too, the machine is slower.
    """
    known = index(then)
    pairs = [(known[key(row)], row) for row in now if key(row) in known]
    found = [(old, new) for old, new in pairs if new.low > old.high]
    return sorted(found, key=lambda pair: pair[0].seconds / pair[1].seconds)


def shared(then: Iterable[Row], now: Iterable[Row]) -> int:
    """Count the rows that both runs have."""
    return len(index(then).keys() & index(now).keys())


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name the facts of two environments that differ."""
    return [fact for fact in FACTS if then.get(fact) != now.get(fact)]
