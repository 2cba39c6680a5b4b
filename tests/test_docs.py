"""The README and docs/: snippets run as printed, commands as typed, links lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import itertools
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import nibabel
import numpy as np
import onnx
import pytest
import skimage as ski
import soundfile
import tifffile
from PIL import Image

from fcconv.cli.app import run
from ome_files import multiscale, write_ome_zarr
from recordings import loud_for_a_moment, loudness
from scan_cases import small_network
from slide_files import write_svs
from small_streams import recording, whole_numbers

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*DOCS, ROOT / "CONTRIBUTING.md"]

MOST_WORDS = 1200
"""Of the README: a stranger reads no more."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

LANGUAGES = {"python", "pycon", "sh", "text"}
COMMANDS = {"inspect", "convert", "verify", "scan", "show", "stream"}
"""What is run of the commands that pages print; the demo and benchmarks take minutes."""

PEERS = {
    *("distributed", "equinox", "flax", "keras", "optax"),
    *("rasterio", "ray", "sklearn", "soxr", "torch"),
}
"""Snippets that import these run where the extras `peers` and `fields` are, as in .ci/run."""

UTM = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
"""Keys of GeoTIFF: a projected system, pixels are areas, EPSG:32633."""

PLACE: list[Any] = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 399960.0, 5300040.0, 0.0), True),
    (34735, "H", 16, UTM, True),
]
"""Tags of a TIFF of which pixels are 10 m, and where its first one begins."""


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

    def __str__(self) -> str:
        return f"{self.page.name}, {self.title}"

    @property
    def missing(self) -> set[str]:
        """Libraries that its snippets import and that are optional and not there."""
        code = "\n".join(block.code for block in self.blocks if block.language == "python")
        imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
        return {name for name in imported & PEERS if importlib.util.find_spec(name) is None}


def sections(page: Path) -> Iterator[Section]:
    """Split a page at its headings of the second level."""
    text = page.read_text(encoding="utf-8")
    starts = [0, *(found.start() for found in re.finditer(r"^## ", text, re.MULTILINE)), len(text)]
    for start, stop in itertools.pairwise(starts):
        title = text[start:stop].lstrip("# ").split("\n")[0]
        found = FENCE.finditer(text, start, stop)
        blocks = [Block(b[1], b[2], text[: b.start(2)].count("\n")) for b in found]
        yield Section(page, title, tuple(blocks))


SECTIONS = [section for page in DOCS for section in sections(page)]


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
        if any(block.language in languages for block in section.blocks)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What snippets read: the demo's classifier, a photo in two sizes, and other kinds of files."""
    folder, whole = tmp_path_factory.mktemp("files"), ski.data.astronaut()
    shutil.copy(ROOT / "fcconv/demo/faces.onnx", folder / "classifier.onnx")
    large, photo, tiny = (
        np.asarray(ski.util.img_as_ubyte(ski.transform.resize(whole, (n, n), anti_aliasing=True)))
        for n in (256, 128, 64)
    )
    Image.fromarray(photo).save(folder / "photo.png")
    tifffile.imwrite(folder / "slide.tif", photo[..., 1])
    Image.fromarray(photo[..., 1]).save(folder / "photo-gray.png")
    write_volume(folder)
    write_pages(folder, photo)
    write_svs(folder / "slide.svs", [large, tiny], mpp=0.25, power=40)
    stack = np.random.default_rng(0).integers(0, 255, (2, 2, 3, 40, 60), np.uint8)
    placed = multiscale("tczyx", (1, 1, 2, 0.5, 0.25), (0, 0, 10, 20, 30))
    write_ome_zarr(folder / "cells.ome.zarr", "0.5", stack, placed, ("GFP", "DAPI"))
    onnx.save(loudness(), folder / "knocks.onnx")
    soundfile.write(folder / "hall.flac", loud_for_a_moment(44_100, 2), 44_100)
    tifffile.imwrite(folder / "scene.tif", photo[..., 1], extratags=PLACE)
    onnx.save(whole_numbers(window=64), folder / "sound.onnx")
    recording(1000)[0].T.astype("<i2").tofile(folder / "sound.raw")
    return folder


def write_volume(folder: Path) -> None:
    """Write a volume that lies on its back, and a network along three axes."""
    onnx.save(small_network(rank=3, layout="none"), folder / "lesions.onnx")
    voxels = np.random.default_rng(0).integers(0, 256, (40, 48, 30), dtype=np.uint8)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[:2, 3] = 40, 34
    volume: Any = nibabel.Nifti1Image  # typed in part
    made = volume(voxels, affine)
    made.header.set_xyzt_units("mm")
    nibabel.save(made, folder / "head.nii.gz")


def write_pages(folder: Path, photo: np.ndarray) -> None:
    """Write pages of two kinds, and of one."""
    fax = Image.fromarray(photo[..., 1] > 99)
    stamp = Image.fromarray(photo[:64, :96]).quantize(64)
    copies = [Image.fromarray(plane) for plane in photo.transpose(2, 0, 1)]
    for name, pages in (("letter.tiff", [fax, stamp]), ("copies.tiff", copies)):
        pages[0].save(folder / name, save_all=True, append_images=pages[1:])


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
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("section", those_with("python", "pycon"))
def test_snippets_run_and_print_what_they_say(
    section: Section, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in section.blocks:
        if block.language == "python":
            code = compile("\n" * block.line + block.code, str(section.page), "exec")
            exec(code, names)
            printed = capsys.readouterr().out.splitlines()
            assert printed == re.findall(r"# -> (.*)", block.code)
        elif block.language == "pycon":
            parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
            example = parser.get_doctest(
                block.code, names, str(section), str(section.page), block.line
            )
            said: list[str] = []
            assert runner.run(example, out=said.append).failed == 0, "".join(said)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("section", those_with("sh"))
def test_commands_run(section: Section) -> None:
    for block in section.blocks:
        if block.language != "sh":
            continue
        for line in block.code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if len(words) > 1 and words[0] == "fcconv" and words[1] in COMMANDS:
                assert run(words[1:]) == 0, line


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
    assert {f"docs/{page.name}" for page in DOCS[1:]} - {"docs/index.md"} <= linked
