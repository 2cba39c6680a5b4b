"""The commands, and how their errors are shown: one line, exit code 2, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

import fcconv
from fcconv.backend import BACKENDS
from fcconv.cli.options import (
    EXPECTED,
    NETWORK,
    as_json,
    extra,
    integers_of,
    said,
    seed_option,
    stride_of,
    stride_option,
    window_option,
    windows_option,
)
from fcconv.cli.scan import scan
from fcconv.cli.show import show
from fcconv.cli.stream import stream

USAGE_ERROR = 2

SUITES = (
    "layers",
    "convolutions",
    "networks",
    "scans",
    "stages",
    "peaks",
    "slide",
    "streams",
    "peers",
)
"""What `fcconv bench` can time, named here as the benchmarks are imported only to run."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        code = app.main(list(arguments), prog_name="fcconv", standalone_mode=False)
        return int(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
    except click.Abort as error:
        cause = error.__cause__ or error.__context__ or error
        click.echo(f"fcconv: {said(cause, 'interrupted')}", err=True)
    except EXPECTED as error:
        click.echo(f"fcconv: {said(error)}", err=True)
    return USAGE_ERROR


FIRST = """\b
First steps:
  fcconv doctor                          what works here, and what to install
  fcconv demo                            a face found in a photo, and the proof
  fcconv inspect net.onnx                what a network becomes when it slides
  fcconv scan net.onnx image.tif --out scores.zarr --report page.html
"""


@click.group(epilog=FIRST)
@click.version_option(fcconv.__version__, message="fcconv %(version)s")
def app() -> None:
    """Dense layers as convolutions: one pass scores every window, with the same numbers."""


@app.command()
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    default="numpy",
    show_default=True,
    help="What computes.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    default=Path("fcconv-demo.png"),
    show_default=True,
    help="Where the picture goes.",
)
@seed_option
def demo(backend: str, out: Path, seed: int | None) -> int:
    """Find a face in a photo by one pass a scale, and prove it equal to crops."""
    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    with extra("demo"):
        from fcconv.cli.demo import run_and_show
    return run_and_show(backend, out, seed)


@app.command()
@click.option(
    "--suite",
    "suites",
    type=click.Choice(SUITES),
    multiple=True,
    default=["layers"],
    show_default=True,
    help="What is timed; may be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fcconv-bench"),
    show_default=True,
    help="Folder for the charts and the JSON.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Rounds in which the contenders take turns.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON of an older run: says what got slower since.",
)
def bench(suites: tuple[str, ...], out: Path, rounds: int, compare: Path | None) -> None:
    """Time layers and networks beside what they can't be faster than, and beside other libraries.

    A contender is slower than in an older run if its first quartile is above the third quartile
    that it had.
    """
    with extra("bench"):
        from fcconv.cli.bench import measure_and_show
    out.mkdir(parents=True, exist_ok=True)
    measure_and_show(suites, out, rounds, compare)


@app.command()
@click.argument("model", type=NETWORK)
@stride_option
@window_option
@windows_option
@as_json
def inspect(
    model: Path,
    stride: str | None,
    window: str | None,
    windows: Literal["shared", "exact"],
    as_json: bool,
) -> int:
    """Say what the network MODEL becomes when it slides, and whether that is exact."""
    with extra("onnx"):
        from fcconv.cli import network
    shape = integers_of("--window", window)
    return network.inspect(model, stride_of(stride), shape, windows, as_json)


@app.command()
@click.argument("model", type=NETWORK)
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@stride_option
@window_option
@windows_option
@click.option("--pointwise", is_flag=True, help="Only make each dense layer a 1x1 convolution.")
@seed_option
@as_json
def convert(
    *,
    model: Path,
    out: Path,
    stride: str | None,
    window: str | None,
    windows: Literal["shared", "exact"],
    pointwise: bool,
    seed: int | None,
    as_json: bool,
) -> int:
    """Rewrite the network MODEL, prove it right, and write it to OUT."""
    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="OUT")
    if out.resolve() == model.resolve():
        raise click.BadParameter("it would replace MODEL: take another name", param_hint="OUT")
    if out.suffix.lower() != ".onnx":
        raise click.BadParameter(f"{out} needs to end in .onnx", param_hint="OUT")
    if pointwise and stride is not None:
        raise click.UsageError("--pointwise keeps the input's size: it has no --stride")
    if pointwise and windows == "exact":
        raise click.UsageError("--pointwise keeps the input's size: it has no --windows")
    shape = integers_of("--window", window)
    with extra("onnx"):
        from fcconv.cli import network
    if pointwise:
        return network.convert_pointwise(model, out, shape, seed, as_json)
    return network.convert(
        model,
        out,
        stride=stride_of(stride),
        window=shape,
        windows=windows,
        seed=seed,
        as_json=as_json,
    )


@app.command()
@click.argument("original", type=NETWORK)
@click.argument("rewritten", type=NETWORK)
@window_option
@seed_option
@as_json
def verify(
    original: Path, rewritten: Path, window: str | None, seed: int | None, as_json: bool
) -> int:
    """Prove that the network REWRITTEN scores every window as ORIGINAL does, or say where not."""
    with extra("onnx"):
        from fcconv.cli import network
    shape = integers_of("--window", window)
    return network.verify(original, rewritten, shape, seed, as_json)


@app.command()
@as_json
def doctor(as_json: bool) -> int:
    """Say what is installed and works here, and what to install for all else."""
    with extra("cli"):
        from fcconv.cli.doctor import examine
    return examine(as_json)


app.add_command(scan)
app.add_command(show)
app.add_command(stream)
