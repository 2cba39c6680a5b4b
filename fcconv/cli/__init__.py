"""The command line, ``fcconv``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; without its libraries, say how to get them."""
    try:
        from fcconv.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write(f"fcconv: {error.name} is not installed: pip install 'fcconv[demo]'\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))
