"""The pages of the README and docs/, as sections of snippets that run."""

from __future__ import annotations

import doctest
import importlib.util
import itertools
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcconv.cli.app import run

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs"
DOCS = [ROOT / "README.md", *sorted(SITE.glob("*.md")), *sorted(SITE.glob("first/*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\]\([./]*pictures/([\w-]+)\.webp\)")

COMMANDS = {"inspect", "convert", "verify", "scan", "show", "stream"}
"""What is run of the commands that pages print; the demo and benchmarks take minutes."""

PEERS = {
    *("distributed", "equinox", "flax", "joblib", "keras", "optax"),
    *("rasterio", "ray", "skl2onnx", "sklearn", "soxr", "torch"),
}
"""Snippets that import these run where the extras `peers` and `fields` are, as in .ci/run."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and the line of the page where it begins."""

    language: str
    code: str
    line: int


@dataclass(frozen=True)
class Section:
    """What a page has under a heading: its snippets follow each other."""

    page: Path
    title: str
    blocks: tuple[Block, ...]
    pictures: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.name}, {self.title}"

    def of(self, *languages: str) -> list[Block]:
        """List its snippets in some languages."""
        return [block for block in self.blocks if block.language in languages]

    @property
    def missing(self) -> set[str]:
        """Libraries that its snippets import and that are optional and not there."""
        code = "\n".join(block.code for block in self.of("python"))
        imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
        return {name for name in imported & PEERS if importlib.util.find_spec(name) is None}

    def run_python(self, printed: Callable[[], str]) -> None:
        """Run its Python in the current folder; each block must print what it says."""
        names: dict[str, Any] = {"__name__": "__main__"}
        for block in self.of("python", "pycon"):
            if block.language == "pycon":
                self._run_session(block, names)
                continue
            exec(compile("\n" * block.line + block.code, str(self.page), "exec"), names)
            assert printed().splitlines() == re.findall(r"# -> (.*)", block.code)

    def _run_session(self, block: Block, names: dict[str, Any]) -> None:
        parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
        example = parser.get_doctest(block.code, names, str(self), str(self.page), block.line)
        said: list[str] = []
        assert runner.run(example, out=said.append).failed == 0, "".join(said)

    def run_commands(self) -> None:
        """Run its commands in the current folder; each must succeed."""
        for block in self.of("sh"):
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if len(words) > 1 and words[0] == "fcconv" and words[1] in COMMANDS:
                    assert run(words[1:]) == 0, line

    def drawn_by(self, *languages: str) -> list[str]:
        """Name the pictures that it shows and that its snippets in some languages write."""
        code = "".join(block.code for block in self.of(*languages))
        return [name for name in self.pictures if f"{name}.png" in code]


def sections(page: Path) -> Iterator[Section]:
    """Split a page at its headings of the second level."""
    text = page.read_text(encoding="utf-8")
    starts = [0, *(found.start() for found in re.finditer(r"^## ", text, re.MULTILINE)), len(text)]
    for start, stop in itertools.pairwise(starts):
        title = text[start:stop].lstrip("# ").split("\n")[0]
        found = FENCE.finditer(text, start, stop)
        blocks = [Block(b[1], b[2], text[: b.start(2)].count("\n")) for b in found]
        yield Section(page, title, tuple(blocks), tuple(PICTURE.findall(text, start, stop)))


SECTIONS = [section for page in DOCS for section in sections(page)]
