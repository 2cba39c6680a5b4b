"""Damage to what a scan has written is found: computed again, or said, and never kept."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.errors import OutputError
from fcconv.scanning import group
from scan_cases import cut_into, picture, small_network
from score_files import tree

GIVEN: dict[str, Any] = {"engine": "numpy", "image": picture()}
TILES = 6


def chunk(store: Path, number: int = 0, array: str = "") -> Path:
    """Find the chunk of a tile, of the first output's array if none is named."""
    found = sorted((store / (array or names(store)[0]) / "c").rglob("*"))
    return [path for path in found if not path.is_dir()][number]


def names(store: Path) -> list[str]:
    return sorted(zarr.open_group(store, mode="r").array_keys())


def flip(file: Path, place: float) -> None:
    """Flip one bit, at a place in parts of the file."""
    content = bytearray(file.read_bytes())
    content[round(place * (len(content) - 1))] ^= 16
    file.write_bytes(content)


def flip_in_each(store: Path) -> None:
    for number in range(TILES):
        flip(chunk(store, number), 0.3)


def exchange(a: Path, b: Path) -> None:
    first, second = a.read_bytes(), b.read_bytes()
    assert first != second
    a.write_bytes(second)
    b.write_bytes(first)


def cut(file: Path, kept: float) -> None:
    os.truncate(file, int(file.stat().st_size * kept))


def exchange_tiles(store: Path) -> None:
    """Exchange all that there is of two tiles of one shape, their digests among it."""
    for array in (*names(store), group.DIGESTS):
        exchange(chunk(store, 0, array), chunk(store, 1, array))


def exchange_outputs(store: Path) -> None:
    first, second = names(store)
    exchange(chunk(store, 0, first), chunk(store, 0, second))


def take_from_another_run(store: Path) -> None:
    """Put in a tile of another image, with its digest."""
    other = store.with_name("other.zarr")
    with cut_into(TILES):
        fcconv.scan(small_network(heads=2), picture(seed=1), engine="numpy", out=other)
    for array in (*names(store), group.DIGESTS):
        shutil.copy(chunk(other, 0, array), chunk(store, 0, array))
    shutil.rmtree(other)
    other.with_name(".other.zarr.fcconv-lock").unlink()


def link(file: Path, to: Path) -> None:
    file.unlink()
    file.symlink_to(to)


def make_folder(file: Path) -> None:
    file.unlink()
    (file / "in").mkdir(parents=True)


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def change_metadata(store: Path, **changed: Any) -> None:
    file = store / names(store)[0] / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "first bit": lambda store: flip(chunk(store), 0),
    "bit in a header": lambda store: flip(chunk(store), 0.01),
    "bit in the middle": lambda store: flip(chunk(store, 2), 0.5),
    "last bit": lambda store: flip(chunk(store, -1), 1),
    "bit in each chunk": flip_in_each,
    "chunks exchanged": lambda store: exchange(chunk(store, 0), chunk(store, 1)),
    "chunks of two outputs exchanged": exchange_outputs,
    "tiles exchanged": exchange_tiles,
    "chunk copied": lambda store: shutil.copy(chunk(store, 0), chunk(store, 1)),
    "tile of another run": take_from_another_run,
    "cut short": lambda store: cut(chunk(store), 0.7),
    "cut to nothing": lambda store: cut(chunk(store), 0),
    "bytes appended": lambda store: chunk(store).write_bytes(chunk(store).read_bytes() + b"more"),
    "zeros": lambda store: chunk(store).write_bytes(bytes(chunk(store).stat().st_size)),
    "removed": lambda store: chunk(store).unlink(),
    "array removed": lambda store: shutil.rmtree(store / names(store)[1]),
    "digest flipped": lambda store: flip(chunk(store, 0, group.DIGESTS), 0.5),
    "digest cut short": lambda store: cut(chunk(store, 0, group.DIGESTS), 0.5),
    "digest removed": lambda store: chunk(store, 0, group.DIGESTS).unlink(),
    "digests exchanged": lambda store: exchange(
        chunk(store, 0, group.DIGESTS), chunk(store, 1, group.DIGESTS)
    ),
    "all digests removed": lambda store: shutil.rmtree((store / group.DIGESTS).parent),
    "link to another chunk": lambda store: link(chunk(store, 1), chunk(store, 0)),
    "link to nothing": lambda store: link(chunk(store), store / "nothing"),
    "folder": lambda store: make_folder(chunk(store)),
    "pipe": lambda store: make_pipe(chunk(store)),
    "chunk half written": lambda store: chunk(store).rename(chunk(store).with_suffix(".0.partial")),
    "metadata cut short": lambda store: cut(store / names(store)[0] / "zarr.json", 0.5),
    "metadata removed": lambda store: (store / names(store)[0] / "zarr.json").unlink(),
    "another dtype": lambda store: change_metadata(store, data_type="float64"),
    "another fill value": lambda store: change_metadata(store, fill_value=7.0),
}


@pytest.fixture(scope="module", params=[".zarr", ".npz"])
def begun(request: Any, tmp_path_factory: Any) -> tuple[Path, dict[str, bytes]]:
    """Make scores whose chunks are all there, and what they are to be in the end."""
    folder = tmp_path_factory.mktemp("begun")
    out = folder / "start" / f"out{request.param}"
    for place in (out, folder / "right" / out.name):
        place.parent.mkdir()
        with cut_into(TILES):
            found = fcconv.scan(small_network(heads=2), **GIVEN, out=place)
            assert found.tiles == TILES
    if request.param == ".npz":
        for file in out.parent.iterdir():
            file.unlink()
        interrupted = mock.patch(
            "fcconv.scanning.joined.InFile.finish", side_effect=KeyboardInterrupt
        )
        with cut_into(TILES), interrupted, pytest.raises(KeyboardInterrupt):
            fcconv.scan(small_network(heads=2), **GIVEN, out=out)
    return out, tree(folder / "right")


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_tiles_are_computed_again(
    damage: str, begun: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    start, right = begun
    folder = tmp_path / "damaged"
    shutil.copytree(start.parent, folder)
    out = folder / start.name
    DAMAGE[damage](out if out.suffix == ".zarr" else out.with_name(f"{out.name}.zarr"))
    found = fcconv.scan(small_network(heads=2), **GIVEN, out=out, existing="resume")
    assert tree(folder) == right
    expected = fcconv.scan(small_network(heads=2), **GIVEN).outputs
    for name, scores in found.outputs.items():
        assert_identical(scores[...], expected[name], damage)
    few = damage not in ("bit in each chunk", "array removed", "all digests removed")
    few &= not damage.startswith(("metadata", "another"))
    assert not few or 0 < found.computed <= 2


def test_a_damaged_chunk_is_an_error_to_who_reads_it(tmp_path: Path) -> None:
    found = fcconv.scan(small_network(), **GIVEN, out=tmp_path / "x.zarr")
    flip(chunk(tmp_path / "x.zarr"), 0.5)
    with pytest.raises(ValueError, match="checksum"):
        found.scores[...]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"attributes": 1}'])
def test_a_group_that_says_nothing_is_said_to_be_damaged(content: bytes, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    fcconv.scan(small_network(), **GIVEN, out=out)
    (out / "zarr.json").write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="damaged, and not replaced: remove it"):
        fcconv.scan(small_network(), **GIVEN, out=out, existing="resume")
    assert tree(tmp_path) == before


def test_what_users_note_in_a_store_stays(tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    fcconv.scan(small_network(), **GIVEN, out=out)
    for node in (zarr.open_group(out), zarr.open_array(out / names(out)[0])):
        node.attrs["mine"] = 1
    again = fcconv.scan(small_network(), **GIVEN, out=out, existing="resume")
    assert again.computed == 0
    assert zarr.open_group(out).attrs["mine"] == zarr.open_array(out / names(out)[0]).attrs["mine"]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_changed_bit_of_a_complete_file_is_found(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"x{suffix}"
    fcconv.scan(small_network(), **GIVEN, out=out)
    assert fcconv.scan(small_network(), **GIVEN, out=out, existing="resume").computed == 0
    flip(out, 0.6)
    with pytest.raises(OutputError, match="is damaged: overwrite it"):
        fcconv.scan(small_network(), **GIVEN, out=out, existing="resume")


def emptied(store: Path) -> None:
    shutil.rmtree(store)
    store.mkdir()


def replaced(store: Path) -> None:
    """Put the store of another run in the place of one that is being written."""
    store.rename(store.with_name("away"))
    fcconv.scan(small_network(), picture(seed=1), engine="numpy", out=store.with_name("o.zarr"))
    store.with_name("o.zarr").rename(store)


LOSSES: dict[str, Callable[[Path], object]] = {
    "removed": shutil.rmtree,
    "renamed": lambda store: store.rename(store.with_name("away")),
    "emptied": emptied,
    "replaced": replaced,
    "tile removed": lambda store: chunk(store).unlink(),
}


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
@pytest.mark.parametrize("moment", [2, TILES])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_folder_that_goes_away_is_noticed(
    loss: str, moment: int, suffix: str, tmp_path: Path
) -> None:
    out = tmp_path / f"x{suffix}"
    store = out if suffix == ".zarr" else tmp_path / "x.npy.zarr"

    def lose(done: Any) -> None:
        if done.tiles == moment:
            LOSSES[loss](store)

    said = "lost finished tiles" if loss == "tile removed" else "was removed, renamed or replaced"
    with cut_into(TILES), pytest.raises(OutputError, match=said) as raised:
        fcconv.scan(small_network(), **GIVEN, out=out, progress=lose)
    kept = loss == "tile removed"
    assert kept == any("resume" in note for note in getattr(raised.value, "__notes__", ()))
    assert store.exists() == (loss in ("tile removed", "emptied", "replaced"))
    if loss == "replaced":
        with cut_into(TILES):
            fcconv.scan(small_network(), picture(seed=1), engine="numpy", out=tmp_path / "o.zarr")
        assert tree(store) == tree(tmp_path / "o.zarr")


@pytest.mark.parametrize("out", ["a\0b.zarr", "a\0b.npy", f"{'x' * 300}.zarr"])
def test_names_that_no_file_can_have(out: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        fcconv.scan(small_network(), picture(), out=f"{tmp_path}/{out}")
    assert not list(tmp_path.iterdir())


def test_scores_can_be_pickled_with_their_place(tmp_path: Path) -> None:
    found = fcconv.scan(small_network(), **GIVEN, out=tmp_path / "x.zarr")
    again = pickle.loads(pickle.dumps(found))
    assert_identical(np.asarray(again.scores[...]), found.scores[...], "pickled")
