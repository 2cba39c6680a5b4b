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
@click.option("--backend", default="numpy", show_default=True, help="What computes: numpy or jax.")
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
