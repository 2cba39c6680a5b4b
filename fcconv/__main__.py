"""``python -m fcconv`` is the command line."""

from fcconv.cli import main

main()
