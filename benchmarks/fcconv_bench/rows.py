"""The figures that are measured, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from fcconv.errors import FcconvError
from fcconv_bench.suite import full_name


@dataclass(frozen=True)
class Row:
    """The figures of one contender on one case.

    Attributes
    ----------
    suite, case, group, contender, platform : str
        What was measured; see :mod:`fcconv_bench.suite`.
    seconds : float
        Median time of a call.
    low, high : float
        First and third quartile.
    timings : int
        Number of timings; each of a short call is the mean of several calls.
    multiplications : int or None
        Multiplications of the case, where they are counted.
    output_bytes : int or None
        Size of the result.
    compile_seconds : float or None
        Time to compile, which is in no call.
    peak_bytes : int or None
        Most memory that one call takes beyond its operands, its result included; None where the
        system does not say.
    lines : int or None
        Lines that a user writes, where they are counted.
    """

    suite: str
    case: str
    group: str
    contender: str
    platform: str
    seconds: float
    low: float
    high: float
    timings: int
    multiplications: int | None
    output_bytes: int | None
    compile_seconds: float | None
    peak_bytes: int | None
    lines: int | None = None

    @property
    def name(self) -> str:
        """The contender, and its platform unless that is the CPU."""
        return full_name(self.contender, self.platform)

    @property
    def spread(self) -> float:
        """The range between the quartiles, as a part of the median."""
        return (self.high - self.low) / self.seconds

    @property
    def extra_bytes(self) -> int | None:
        """Most memory beyond operands and result."""
        if self.peak_bytes is None or self.output_bytes is None:
            return None
        return max(self.peak_bytes - self.output_bytes, 0)


Key: TypeAlias = tuple[str, str, str, str]
Index: TypeAlias = Mapping[Key, Row]


def key(row: Row) -> Key:
    """Return what a row is looked up by."""
    return row.suite, row.case, row.platform, row.contender


def index(rows: Iterable[Row]) -> dict[Key, Row]:
    """Make rows ready to be looked up."""
    return {key(row): row for row in rows}


def ratio(known: Index, row: Row, other: str) -> float | None:
    """Divide the time of a row by that of another contender on the same case and platform."""
    rival = known.get((row.suite, row.case, row.platform, other))
    return None if rival is None else row.seconds / rival.seconds


def write_json(
    path: Path, rows: Sequence[Row], environment: dict[str, Any], summary: list[dict[str, Any]]
) -> None:
    """Write down the rows, what they depend on, and what they come to."""
    kept = {"environment": environment, "summary": summary, "rows": [asdict(r) for r in rows]}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Read rows and environment from a file that `write_json` wrote.

    Raises
    ------
    FcconvError
        If the file is another one.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(entry) for entry in kept["rows"]]
        return rows, dict(kept["environment"])
    except (ValueError, KeyError, TypeError) as error:
        raise FcconvError(
            f"{path} is not a file of fcconv bench, whose rows have "
            f"{', '.join(field.name for field in fields(Row))}: {_said(error)}"
        ) from None


def _row(entry: dict[str, Any]) -> Row:
    row = Row(**entry)
    if not all(isinstance(name, str) for name in key(row)):
        raise ValueError(f"{key(row)} are not names")
    for name in ("seconds", "low", "high"):
        if not isinstance(entry[name], float) or not entry[name] > 0:
            raise ValueError(f"{name} is {entry[name]!r}, and must be above 0")
    return row


def _said(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
