"""What ``fcconv demo`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fcconv.demo.demo import Demo


def show(demo: Demo, backend: str, out: Path) -> None:
    """Print the layers, the figures and the peaks."""
    console = Console()
    console.print(_layers(demo))
    console.print(_figures(demo, backend))
    console.print(_peaks(demo))
    console.print(f"The picture is in [bold]{out}[/bold].")


def _layers(demo: Demo) -> Table:
    table = Table(title="The face classifier, rewritten", title_justify="left")
    for heading in ("layer", "before", "after", "a window becomes"):
        table.add_column(heading)
    for row in demo.layers:
        style = "" if row.before == row.after else "bold"
        table.add_row(row.name, row.before, row.after, row.output, style=style)
    return table


def _figures(demo: Demo, backend: str) -> Table:
    proof, comparison = demo.proof, demo.comparison
    table = Table(title=f"One pass against crops ({backend})", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    ratio = comparison.crops_seconds / comparison.one_pass_seconds
    rows = {
        f"windows scored, {demo.scales} scales": f"{proof.windows:,}",
        "one pass a scale": f"{comparison.one_pass_seconds:.2f} s",
        "window by window, in batches": f"{comparison.crops_seconds:.2f} s",
        "ratio": f"{ratio:.1f}",
        "windows equal bit for bit, on integers": f"{proof.equal_on_integers:,}",
        "windows within the rounding bound, float32": f"{proof.within_bound:,}",
        "largest difference, float32": f"{proof.largest_difference:.2e}",
        "its bound": f"{proof.bound_there:.2e}",
        "proved equal": "yes" if proof.holds else "NO",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _peaks(demo: Demo) -> Table:
    table = Table(title="The strongest peaks", title_justify="left")
    for heading in ("strength", "score", "top", "left", "side"):
        table.add_column(heading, justify="right")
    for peak in demo.peaks:
        where = (f"{pixels:.0f}" for pixels in (peak.top, peak.left, peak.side))
        table.add_row(f"{peak.strength:.1f}", f"{peak.score:.1f}", *where)
    return table
