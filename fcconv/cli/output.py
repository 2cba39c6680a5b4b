"""Where the commands print."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import Progress

WIDTH_OF_A_PIPE = 120


def results() -> Console:
    """Return the console for results; a pipe has no width, and a cut line would lose figures."""
    console = _plain()
    return console if console.is_terminal else _plain(width=WIDTH_OF_A_PIPE)


def progress() -> Progress:
    """Return a bar on standard error, so that results can be piped; hidden without a terminal."""
    console = errors()
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def errors() -> Console:
    """Return the console for what is not a result."""
    return _plain(stderr=True)


def _plain(**options: Any) -> Console:
    """Return a console that prints names as they are: ``[/b]`` and ``:cat:``, too."""
    return Console(markup=False, emoji=False, highlight=False, **options)
