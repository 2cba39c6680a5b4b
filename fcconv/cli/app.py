"""The commands, and how their errors are shown: one line, exit code 2, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

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
    except ModuleNotFoundError as error:
        extra = _extra_of(arguments)
        _complain(f"{error.name} is not installed: pip install 'fcconv[{extra}]'")
    return USAGE_ERROR


def _extra_of(arguments: Sequence[str]) -> str:
    """Name the extra that a command needs: it has the command's name."""
    return next((word for word in arguments if word in app.commands), "cli")


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
    from fcconv.cli.demo import show
    from fcconv.demo.demo import run_demo

    errors = Console(stderr=True)
    with errors.status("starting") as status:
        result = run_demo(backend, out, status.update)
    show(result, backend, out)
    return 0 if result.proof.holds else 1


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
@click.option("--small", is_flag=True, help="Shrink the layers: a check, no measurement.")
def bench(out: Path, rounds: int, small: bool) -> None:
    """Time the layers beside a bare matrix product, PyTorch and lax."""
    from fcconv.cli.bench import measure_and_report

    out.mkdir(parents=True, exist_ok=True)
    measure_and_report(out, rounds, small)
