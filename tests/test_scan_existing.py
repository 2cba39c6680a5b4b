"""What is there is never replaced unasked, and nothing but a scan ever is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.errors import OutputError
from scan_cases import cut_into, picture, small_network
from score_files import SUFFIXES, names_in, names_of, tree


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_only_scans_are_replaced(suffix: str, existing: str, tmp_path: Path) -> None:
    """A folder that is no scan stays, whatever is asked for."""
    out = tmp_path / f"out{suffix}"
    for folder in (out, tmp_path / f"out{suffix}.zarr"):
        zarr.create_group(folder, attributes={"mine": 1})
        before = tree(tmp_path)
        with pytest.raises(OutputError, match=r"out\S* is (there|not a scan)"):
            fcconv.scan(small_network(), picture(), out=out, existing=existing)
        assert tree(tmp_path) == before
        (folder / "zarr.json").unlink()
        folder.rmdir()
        if suffix == ".zarr":
            break


def test_what_is_read_is_not_replaced_by_scores(tmp_path: Path) -> None:
    path = tmp_path / "photo.npy"
    np.save(path, picture())
    before = path.read_bytes()
    for image, mask in [(path, None), (picture(), path)]:
        with pytest.raises(OutputError, match="is read, and scores would replace it"):
            fcconv.scan(small_network(), image, mask=mask, out=path, existing="overwrite")
        assert path.read_bytes() == before


def test_two_runs_do_not_write_to_one_place(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / "out.npz", "existing": "overwrite"}

    def another(_: Any) -> None:
        with pytest.raises(OutputError, match=r"another run writes to .*: wait for it"):
            fcconv.scan(**given)

    fcconv.scan(**given, progress=another)
    assert names_in(tmp_path) == names_of(tmp_path / "out.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_overwrite_replaces_a_scan(suffix: str, tmp_path: Path) -> None:
    network, out = small_network(), tmp_path / f"out{suffix}"
    fcconv.scan(network, picture(), engine="numpy", out=out)
    for image in (picture(seed=1), picture(seed=2)):
        with cut_into(5):
            found = fcconv.scan(network, image, engine="numpy", out=out, existing="overwrite")
        assert found.computed == found.tiles > 1
        expected = fcconv.scan(network, image, engine="numpy").scores
        assert_identical(found.scores[...], expected, suffix)
        assert names_in(tmp_path) == names_of(out)


@pytest.mark.parametrize("kept", [0, 30, 500, -30])
def test_a_damaged_npz_is_said_to_be(kept: int, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    arguments: dict[str, Any] = {"engine": "numpy", "out": out, "existing": "resume"}
    fcconv.scan(small_network(), picture(), **arguments)
    out.write_bytes(out.read_bytes()[:kept])
    with pytest.raises(OutputError, match=r"out\.npz is damaged: overwrite it"):
        fcconv.scan(small_network(), picture(), **arguments)
    scores = fcconv.scan(small_network(), picture(), engine="numpy").scores
    np.savez_compressed(out, scores)
    with pytest.raises(OutputError, match=r"out\.npz is damaged: overwrite it"):
        fcconv.scan(small_network(), picture(), **arguments)
