"""The commands, and how their errors are shown: one line, exit code 2, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

import fcconv
from fcconv.errors import FcconvError

USAGE_ERROR = 2


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        code = app.main(list(arguments), prog_name="fcconv", standalone_mode=False)
        return int(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
    except click.ClickException as error:
        _complain(error.format_message())
    except click.Abort:
        _complain("interrupted")
    except (FcconvError, OSError) as error:
        _complain(str(error))
    return USAGE_ERROR


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Turn a missing library into one line that names the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if not library or library.startswith("fcconv"):
            raise
        line = f"{library} is not installed: pip install 'fcconv[{name}]'"
        raise click.ClickException(line) from None


def _complain(message: str) -> None:
    one_line = " ".join(message.split())
    click.echo(f"fcconv: {one_line}", err=True)


@click.group()
@click.version_option(fcconv.__version__, message="fcconv %(version)s")
def app() -> None:
    """Dense layers as convolutions: one pass scores every window, with the same numbers."""


@app.command()
@click.option(
    "--backend",
    type=click.Choice(["numpy", "jax"]),
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
def demo(backend: str, out: Path) -> int:
    """Find a face in a photo by one pass a scale, and prove it equal to crops."""
    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    with _extra("demo"):
        from fcconv.cli.demo import run_and_show
    return run_and_show(backend, out)


@app.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fcconv-bench"),
    show_default=True,
    help="Folder for the chart and the JSON.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Rounds in which the contenders take turns.",
)
def bench(out: Path, rounds: int) -> None:
    """Time the layers beside a bare matrix product, PyTorch and lax."""
    with _extra("bench"):
        from fcconv.cli.bench import measure_and_show
    out.mkdir(parents=True, exist_ok=True)
    measure_and_show(out, rounds)


NETWORK = click.Path(path_type=Path, dir_okay=False, exists=True)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stride_option = click.option(
    "--stride", metavar="S", help="Pixels from one window to the next: S, or one an axis, S,S."
)
window_option = click.option(
    "--window", metavar="C,H,W", help="Shape of one input, where the network leaves it free."
)


@app.command()
@click.argument("model", type=NETWORK)
@stride_option
@window_option
@as_json
def inspect(model: Path, stride: str | None, window: str | None, as_json: bool) -> int:
    """Say what the network MODEL becomes when it slides, and whether that is exact."""
    with _extra("onnx"):
        from fcconv.cli import network
    return network.inspect(model, _stride(stride), _integers("--window", window), as_json)


@app.command()
@click.argument("model", type=NETWORK)
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@stride_option
@window_option
@click.option("--pointwise", is_flag=True, help="Only make each dense layer a 1x1 convolution.")
@as_json
def convert(
    model: Path,
    out: Path,
    stride: str | None,
    window: str | None,
    pointwise: bool,
    as_json: bool,
) -> int:
    """Rewrite the network MODEL, prove it right, and write it to OUT."""
    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="OUT")
    if out.resolve() == model.resolve():
        raise click.BadParameter("it would replace MODEL: take another name", param_hint="OUT")
    if pointwise and stride is not None:
        raise click.UsageError("--pointwise keeps the input's size: it has no --stride")
    shape = _integers("--window", window)
    with _extra("onnx"):
        from fcconv.cli import network
    if pointwise:
        return network.convert_pointwise(model, out, shape, as_json)
    return network.convert(model, out, _stride(stride), shape, as_json)


@app.command()
@click.argument("original", type=NETWORK)
@click.argument("rewritten", type=NETWORK)
@window_option
@as_json
def verify(original: Path, rewritten: Path, window: str | None, as_json: bool) -> int:
    """Prove that the network REWRITTEN scores every window as ORIGINAL does, or say where not."""
    with _extra("onnx"):
        from fcconv.cli import network
    return network.verify(original, rewritten, _integers("--window", window), as_json)


def _stride(text: str | None) -> int | tuple[int, ...] | None:
    """Read one integer, or one an axis."""
    numbers = _integers("--stride", text)
    return numbers[0] if numbers is not None and len(numbers) == 1 else numbers


def _integers(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no integer", param_hint=option) from None
