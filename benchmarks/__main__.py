"""``python -m benchmarks`` is ``fcconv bench``."""

import sys

from fcconv.cli.app import run

sys.exit(run(["bench", *sys.argv[1:]]))
