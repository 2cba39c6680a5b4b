"""The README and docs/: snippets run as printed, commands as typed, links lead somewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from page_files import write_files
from pages import DOCS, FENCE, ROOT, SECTIONS, SITE, Section

PAGES = [*DOCS, ROOT / "CONTRIBUTING.md"]

MOST_WORDS = 900
"""Of the README: a stranger reads no more."""

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

LANGUAGES = {"python", "pycon", "sh", "text"}


def those_with(*languages: str) -> list[Any]:
    """List the sections that have snippets in some languages, as cases of a test."""
    return [
        pytest.param(
            section,
            id=str(section),
            marks=pytest.mark.skipif(
                bool(section.missing), reason=f"needs {', '.join(sorted(section.missing))}"
            ),
        )
        for section in SECTIONS
        if section.of(*languages)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What snippets read."""
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with those files; JAX is as users have it."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield tmp_path


# PyTorch's exporter calls what PyTorch itself deprecates
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("section", those_with("python", "pycon"))
def test_snippets_run_and_print_what_they_say(
    section: Section, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section.run_python(lambda: capsys.readouterr().out)
    for name in section.drawn_by("python"):
        assert_shown(name, folder)


@pytest.mark.parametrize("section", those_with("sh"))
def test_commands_run(section: Section, folder: Path) -> None:
    section.run_commands()
    for name in section.drawn_by("sh"):
        assert_shown(name, folder)


def test_pictures_are_drawn_where_they_are_shown() -> None:
    kept = {picture.stem for picture in (SITE / "pictures").iterdir()}
    assert kept == {name for section in SECTIONS for name in section.pictures}
    for section in SECTIONS:
        assert set(section.pictures) == set(section.drawn_by("python", "sh")), section


def assert_shown(name: str, folder: Path) -> None:
    """Compare a picture of a page with what its snippets wrote, as from a few steps away."""
    shown, made = from_afar(SITE / f"pictures/{name}.webp"), from_afar(folder / f"{name}.png")
    assert shown.shape == made.shape, "python docs/drawings/pictures.py draws it again"
    assert np.abs(shown - made).max() < 25.5, "python docs/drawings/pictures.py draws it again"


def from_afar(path: Path) -> np.ndarray:
    """Read a picture in squares of some 16 pixels, of which letters and noise are no part."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").reduce(16)
    return np.asarray(small, float)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as GitHub does."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fences_are_what_they_seem(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = FENCE.findall(text)
    assert 2 * len(found) == text.count("```")
    assert {language for language, _ in found} <= LANGUAGES


def test_the_readme_is_short_and_names_every_page() -> None:
    readme = DOCS[0].read_text(encoding="utf-8")
    assert len(readme.split()) <= MOST_WORDS
    linked = {link.partition("#")[0] for link in LINK.findall(readme)}
    beside = {f"docs/{page.name}" for page in SITE.glob("*.md")}
    assert beside - {"docs/index.md"} <= linked
