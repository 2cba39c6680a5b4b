"""Scores and images in a store that many machines see: the same bytes as in a folder."""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import BackendError, ImageError, OutputError
from fcconv.remote import Remote
from fcconv.scanning.group import begin_group
from fcconv.scanning.outputs import Output
from scan_cases import cut_into, picture, small_network
from score_files import tree
from serving import served
from strategies import integers

moto = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a server on the loopback address."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "any")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").mkdir("scans")
        yield "s3://scans"
        with warnings.catch_warnings():  # of connections, which the libraries leave to the system
            warnings.simplefilter("ignore", ResourceWarning)
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            gc.collect()
    server.stop()


def objects(url: str) -> dict[str, bytes]:
    """Read all objects below an address, by name."""
    files, place = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return {name.removeprefix(f"{place}/"): files.cat_file(name) for name in files.find(place)}


def test_parts_in_a_store_write_what_a_folder_holds(bucket: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(heads=2), "image": picture()}
    out = f"{bucket}/parts/x.zarr"
    with cut_into(6):
        for number in (2, 1, 3):
            part = fcconv.scan(**given, engine="numpy", out=out, part=(number, 3))
            assert part.computed == part.tiles >= 2
        last = fcconv.scan(**given, out=out, existing="resume")
        whole = fcconv.scan(**given, engine="numpy", out=tmp_path / "x.zarr")
    assert (last.engine, last.computed) == ("numpy", 0)
    assert objects(out) == tree(tmp_path / "x.zarr")
    assert_identical(fcconv.open_scan(out).scores[...], whole.scores[...], "opened")


def test_an_image_is_read_from_a_web_server(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    zarr.create_array(tmp_path / "image.zarr", data=picture())
    with served(tmp_path) as url:
        found = fcconv.scan(small_network(), f"{url}/image.zarr", layout="CHW")
        with pytest.raises(BackendError, match="PUT"):  # it only gives
            fcconv.scan(small_network(), f"{url}/image.zarr", layout="CHW", out=f"{url}/x.zarr")
    assert_identical(found.scores, fcconv.scan(small_network(), picture()).scores, "over http")


def test_parts_that_begin_at_once_agree(bucket: str) -> None:
    outputs = {"y": Output((1, 8), (1, 2), np.dtype("float32"))}
    for trial in range(5):
        place = Remote(f"{bucket}/race-{trial}.zarr")
        with ThreadPoolExecutor(4) as threads:
            records = [{"part": k} for k in range(4)]
            begun = list(threads.map(lambda record: begin_group(place, outputs, record), records))  # noqa: B023
        assert begun[0] in records
        assert begun == [begun[0]] * 4
        assert begin_group(place, outputs, {"part": 4}) == begun[0]


def test_what_is_damaged_or_missing_is_computed_again(bucket: str) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": f"{bucket}/damaged.zarr"}
    with cut_into(4):
        first = fcconv.scan(**given)
        right = objects(given["out"])
        damaged, missing, described = (
            next(name for name in right if name.endswith(f"{end}") and "fcconv" not in name)
            for end in ("/c/0/1/1", "/c/0/0/0", "/zarr.json")
        )
        place = Remote(given["out"])
        place.joinpath(damaged).write_bytes(right[damaged][:-1])
        place.joinpath(missing).unlink()
        place.joinpath(described).unlink()
        with pytest.raises(OutputError, match=r"damaged\.zarr is damaged"):
            fcconv.open_scan(given["out"])
        found = fcconv.scan(**given, existing="resume")
    assert found.computed == 2
    assert objects(given["out"]) == right
    with pytest.raises(OutputError, match=r"is there: resume that run"):
        fcconv.scan(**given)
    other: dict[str, Any] = {**given, "image": picture(seed=1)}
    with pytest.raises(OutputError, match="is of another run: its image is"):
        fcconv.scan(**other, existing="resume")
    again = fcconv.scan(**given, existing="overwrite")
    assert again.computed == again.tiles < first.tiles
    assert len(objects(given["out"])) < len(right)


def test_an_image_in_a_store(bucket: str) -> None:
    pixels, url = integers(0, (2, 27, 33), "float32"), f"{bucket}/image.zarr"
    stored = zarr.create_array(url, data=pixels, chunks=(2, 8, 8))
    given: dict[str, Any] = {"network": small_network(), "engine": "numpy"}
    given |= {"out": f"{bucket}/of-image.zarr"}
    found = fcconv.scan(image=url, **given)
    assert_identical(found.scores[...], fcconv.scan(small_network(), pixels).scores, "remote")
    assert fcconv.scan(image=url, **given, existing="resume").computed == 0
    part: dict[str, Any] = {**given, "image": url, "out": f"{bucket}/in-parts.zarr"}
    fcconv.scan(**part, part=(1, 2))
    version = Remote(url).stamp()
    stored[1, 20, 20] = pixels[1, 20, 20] + 1
    assert "" != version != Remote(url).stamp()
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(image=url, **given, existing="resume")
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(**part, part=(2, 2))
    with pytest.raises(ImageError, match=r"nothing\.zarr is not Zarr, or not there.*download it"):
        fcconv.scan(image=f"{bucket}/nothing.zarr", network=small_network())


def test_commands_take_addresses(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcconv.convolutionize(small_network()).save(tmp_path / "net.onnx")
    network, url = str(tmp_path / "net.onnx"), f"{bucket}/given.zarr"
    zarr.create_array(url, data=picture(), chunks=(2, 8, 8))
    assert app.run(["scan", network, url, "--out", f"{bucket}/c.zarr", "--scales", "1,0.5"]) == 0
    assert f"Written: {bucket}/c-0.5.zarr" in capsys.readouterr().out.replace("\n", "")
    assert app.run(["show", f"{bucket}/c-1.zarr", "--image", url, "--json"]) == 0
    (scan,) = json.loads(capsys.readouterr().out)["scans"]
    assert scan["computed"] == 0
    assert app.run(["scan", network, url, url, "--out", f"{bucket}/many"]) == 2  # the same name
    assert app.run(["scan", network, url, "--out", f"{bucket}/c.npy"]) == 2
    assert "there scores are kept in a .zarr" in capsys.readouterr().err


def test_a_store_that_can_not_be_reached(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"network": small_network(), "engine": "numpy"}
    with pytest.raises(BackendError, match=r"nowhere://x\.zarr.* can't be reached: .*nowhere"):
        fcconv.scan(image=picture(), **given, out="nowhere://x.zarr")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(BackendError, match=r"gs://x\.zarr: .*gcsfs.*install it with pip"):
        fcconv.scan(image=picture(), **given, out="gs://x.zarr")
    with pytest.raises(OutputError, match="can't be written"):
        fcconv.scan(image=picture(), **given, out="s3://no-such-bucket/x.zarr")
