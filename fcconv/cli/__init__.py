"""The command line, ``fcconv``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; without its extra installed, say how to get it."""
    try:
        from fcconv.cli.app import run
    except ModuleNotFoundError as error:
        sys.stderr.write(f"fcconv: {error.name} is not installed: pip install 'fcconv[cli]'\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))
