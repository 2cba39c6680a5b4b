"""Where the commands print."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH_OF_A_PIPE = 120


def results() -> Console:
    """Return the console for results; a pipe has no width, and a cut line would lose figures."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)


def progress() -> Console:
    """Return the console for progress: standard error, so that results can be piped."""
    return Console(stderr=True)
