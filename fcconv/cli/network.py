"""``fcconv inspect``, ``convert`` and ``verify``: networks on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from fcconv.certificate.certify import certify
from fcconv.certificate.report import Certificate, json_text
from fcconv.cli.output import results
from fcconv.graph.files.save import check_writable, draft
from fcconv.graph.rewriting.convolutionize import Windows, convolutionize
from fcconv.graph.rewriting.pointwise import Pointwise, pointwise
from fcconv.graph.rewriting.rewritten import times
from fcconv.graph.rewriting.sliding import Sliding

Stride = int | tuple[int, ...] | None
Window = tuple[int, ...] | None


def inspect(model: Path, stride: Stride, window: Window, windows: Windows, as_json: bool) -> int:
    """Print what a network becomes when it slides."""
    sliding = convolutionize(model, stride=stride, window=window, windows=windows)
    if as_json:
        print_json(_geometry(sliding))
        return 0
    console = results()
    console.print(_geometry_table(sliding))
    _print_layers(sliding)
    return 0


def convert(
    model: Path,
    out: Path,
    *,
    stride: Stride,
    window: Window,
    windows: Windows,
    seed: int | None,
    as_json: bool,
) -> int:
    """Make a network slide, certify it, and write it if it is right; 1 means that it is not."""
    check_writable(out)
    sliding = convolutionize(model, stride=stride, window=window, windows=windows)
    if not as_json:
        results().print(_geometry_table(sliding))
    return _certify_and_write(model, sliding, _geometry(sliding), out, seed, as_json)


def convert_pointwise(
    model: Path, out: Path, window: Window, seed: int | None, as_json: bool
) -> int:
    """Replace dense layers in their places; else as :func:`convert`."""
    check_writable(out)
    rewritten = pointwise(model, window=window)
    record = {"layers": [vars(layer) for layer in rewritten.layers], "left": rewritten.left}
    if not as_json:
        for line in rewritten.left:
            results().print(f"Left as it is: {line}")
    return _certify_and_write(model, rewritten, record, out, seed, as_json)


def _certify_and_write(
    model: Path,
    rewritten: Sliding | Pointwise,
    record: dict[str, Any],
    out: Path,
    seed: int | None,
    as_json: bool,
) -> int:
    with draft(rewritten.model, out) as made:
        certificate = certify(model, made.path, seed=seed)
        if certificate.holds:
            made.publish()
    if as_json:
        written = str(out) if certificate.holds else None
        print_json({**record, "certificate": certificate.to_dict(), "written": written})
    else:
        _print_layers(rewritten)
        results().print(_certificate(certificate))
        line = f"The network is in {out}"
        if not certificate.holds:
            line = "Nothing is written: the proof failed"
        results().print(line, soft_wrap=True)
    return 0 if certificate.holds else 1


def verify(original: Path, rewritten: Path, window: Window, seed: int | None, as_json: bool) -> int:
    """Certify a network that some tool rewrote; 1 means that it is wrong."""
    certificate = certify(original, rewritten, window=window, seed=seed)
    if as_json:
        print_json(certificate.to_dict())
    else:
        results().print(_certificate(certificate))
    return 0 if certificate.holds else 1


def print_json(record: dict[str, Any]) -> None:
    """Print a record as JSON, null for what is infinite."""
    results().print(json_text(record, indent=2), soft_wrap=True)


def _geometry(sliding: Sliding) -> dict[str, Any]:
    return {
        "window": sliding.window,
        "field": sliding.field,
        "reach": sliding.reach,
        "stride": sliding.stride,
        "exact": sliding.exact,
        "reasons": sliding.reasons,
        "layers": [vars(layer) for layer in sliding.layers],
        "ends": sliding.ends,
        "cost": None if sliding.cost is None else vars(sliding.cost),
    }


def _geometry_table(sliding: Sliding) -> Table:
    table = Table(title="Sliding", title_justify="left", show_header=False)
    for name, value in sliding.lines():
        table.add_row(name, value)
    return table


def _print_layers(rewritten: Sliding | Pointwise) -> None:
    if isinstance(rewritten, Sliding) and rewritten.cost is not None:
        return  # windows have them as they are
    if not rewritten.layers:
        results().print("The network has no dense layer; it slides all the same.")
        return
    table = Table(title="Dense layers", title_justify="left")
    for heading in ("layer", "becomes", "weight before", "weight after", "flattened"):
        table.add_column(heading)
    for layer in rewritten.layers:
        kind = "1x1 convolution" if layer.method == "1x1" else "convolution over its block"
        table.add_row(layer.name, kind, times(layer.before), times(layer.after), layer.order)
    results().print(table)


def _certificate(certificate: Certificate) -> Table:
    table = Table(title="Certificate", title_justify="left", show_header=False)
    for name, value in certificate.lines():
        table.add_row(name, value)
    return table
