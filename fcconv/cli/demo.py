"""``fcconv demo``: progress while it works, then tables."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from fcconv.cli.output import progress, results
from fcconv.demo.demo import Demo, run_demo


def run_and_show(backend: str, out: Path, seed: int | None) -> int:
    """Run the demo, print the layers, the figures and the peaks; 1 means that the proof failed."""
    with progress() as bar:
        found = run_demo(
            backend, out, lambda items, heading: bar.track(items, description=heading), seed
        )
    console = results()
    for part in (_layers(found), _figures(found, backend), _peaks(found)):
        console.print(part)
    console.print(f"The picture is in {out}")
    return 0 if found.proof.holds else 1


def _layers(demo: Demo) -> Table:
    table = Table(title="The face classifier, rewritten", title_justify="left")
    for heading in ("layer", "before", "after"):
        table.add_column(heading)
    for row in demo.layers:
        style = "" if row.before == row.after else "bold"
        table.add_row(row.name, row.before, row.after, style=style)
    return table


def _figures(demo: Demo, backend: str) -> Table:
    proof, certificate = demo.proof, demo.proof.certificate
    table = Table(title=f"One pass against crops ({backend})", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = {
        f"windows scored, {demo.scales} scales, stride {demo.stride}": f"{proof.windows:,}",
        "one pass a scale": f"{demo.one_pass_seconds:.2f} s",
        "window by window, in batches": f"{demo.crops_seconds:.2f} s",
        "ratio": f"{demo.crops_seconds / demo.one_pass_seconds:.1f}",
        "windows equal bit for bit, on integers": f"{proof.equal_on_integers:,}",
        "largest difference, float32": f"{proof.largest_difference:.2e}",
        "proved equal for all images": "yes" if certificate.exact else "NO",
        "a wrong rewriting passes with probability below": (
            f"{certificate.false_pass_probability:.1e}"
        ),
        "seed of the proof": f"{certificate.seed}",
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
