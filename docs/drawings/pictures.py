"""Draw the pictures of scans that pages show, by the pages' own snippets.

``python docs/drawings/pictures.py [NAME ...]`` draws those of all pages, or the named ones. It
needs the extras ``fields`` and ``peers``.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # where the snippets are read, and what they read is made

from page_files import write_files  # noqa: E402
from pages import SECTIONS, SITE, Section  # noqa: E402


def draw(section: Section) -> None:
    """Run a section of a page, and keep the pictures that it shows."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()) as said:
        os.chdir(folder)
        write_files(Path(folder))
        if section.drawn_by("python"):
            section.run_python(lambda: taken(said))
        if section.drawn_by("sh"):
            section.run_commands()
        os.chdir(ROOT)
        for name in section.drawn_by("python", "sh"):
            with Image.open(Path(folder) / f"{name}.png") as picture:
                small = picture.convert("RGB")
            small.save(SITE / f"pictures/{name}.webp", quality=30, method=6)


def taken(said: io.StringIO) -> str:
    """Take what was printed so far."""
    text = said.getvalue()
    said.seek(0)
    said.truncate()
    return text


if __name__ == "__main__":
    wanted = set(sys.argv[1:])
    for section in SECTIONS:
        names = set(section.drawn_by("python", "sh"))
        if names and (not wanted or names & wanted):
            draw(section)
