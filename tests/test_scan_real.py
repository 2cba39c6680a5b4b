"""Trained networks scan photos: each cell is what the network says of its crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage as ski

import fcconv
import fcconv_numpy
import real_networks
from fcconv.errors import UnsupportedError
from fcconv.graph.files.load import load
from fcconv.graph.running.run import program_of
from scan_cases import Array, cut_into
from sliding_windows import listed

AS_IT_IS = fcconv.Preparation(scale=1)

TIMES = 4
"""The largest of some rounding errors may exceed that of others by so much.

Tiles add up the same terms as the whole in another order, so that both are as far from the truth as
float32 is; and the truth is what the same network computes in float64, to 16 digits.
"""


def truth(network: onnx.ModelProto, images: Array) -> list[Array]:
    """Score images by the same network in float64; one row per image, for each output."""
    program = program_of(load(network))
    weights = {
        name: np.asarray(w).astype(np.float64) if np.asarray(w).dtype.kind == "f" else w
        for name, w in program.parameters(fcconv_numpy).items()
    }
    outputs = program.run(fcconv_numpy, weights, [images.astype(np.float64)])
    return [np.asarray(scores).reshape(len(images), -1) for scores in outputs]


def check_scores(found: fcconv.Scan, network: onnx.ModelProto, pixels: Array, cells: Any) -> None:
    """Compare cells with crops ``(*window, C)``, and the strongest class where it is clear."""
    crops = np.stack([pixels[found.box(*cell)] for cell in cells])
    of_crops = listed(fcconv.compile(network, found.engine)(crops))
    for scores, by_crop, right in zip(
        found.outputs.values(), of_crops, truth(network, crops), strict=True
    ):
        by_cell = np.stack([scores[(slice(None), *cell)] for cell in cells])
        bound = TIMES * np.abs(by_crop - right).max()
        assert 0 < np.abs(by_cell - right).max() <= bound
        ordered = np.sort(right, axis=1)
        clear = ordered[:, -1] - ordered[:, -2] > 2 * bound
        assert clear.mean() > 0.7
        assert np.array_equal(by_cell.argmax(axis=1)[clear], right.argmax(axis=1)[clear])


def test_a_chess_board_is_read_square_by_square(tmp_path: Path) -> None:
    out = tmp_path / "board.npy"
    with cut_into(9):
        found = fcconv.scan(
            real_networks.board_to_fen(), real_networks.board_picture(), stride=50, layout="HWC",
            preparation=AS_IT_IS, labels=real_networks.BOARD_LABELS, out=out,
        )  # fmt: skip
    assert found.exact
    assert found.tiles >= 9
    assert found.cells == (8, 8)
    labels = [found.labels[k] for k in np.load(out).argmax(axis=0).ravel()]
    assert real_networks.board_fen(labels) == "1b1B1Qr1/7p/6r1/2P5/4Rk2/1K6/4B3/8"
    for label in set(labels) - {"empty"}:
        squares = {peak.cell for peak in found.peaks(label, 0.5, overlap=0)}
        assert squares <= {
            cell for cell in np.ndindex(8, 8) if labels[8 * cell[0] + cell[1]] == label
        }


@pytest.mark.parametrize("stride", [4, 1])
@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_every_window_of_a_board_is_that_of_its_crop(stride: int, engine: str) -> None:
    network = real_networks.board_to_fen()
    picture = real_networks.board_picture()[100:200, 100:210]
    given: dict[str, Any] = {"stride": stride, "layout": "HWC", "engine": engine}
    with cut_into(4):
        found = fcconv.scan(network, picture, preparation=AS_IT_IS, **given)
    assert found.tiles >= 4
    rng = np.random.default_rng(0)
    cells = [tuple(int(rng.integers(0, n)) for n in found.cells) for _ in range(40)]
    cells += [(0, 0), tuple(n - 1 for n in found.cells)]
    check_scores(found, network, picture.astype(np.float32), cells)


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_a_network_that_pads_scores_each_crop(name: str) -> None:
    network = real_networks.onet()
    photo = getattr(ski.data, name)()[:200, 100:330]
    given: dict[str, Any] = {"layout": "HWC", "engine": "onnxruntime", "stride": 16}
    given["preparation"] = fcconv.Preparation(scale=1 / 128, mean=(127.5 / 128,))
    with pytest.raises(UnsupportedError, match="reads padding"):
        fcconv.scan(network, photo, **given)
    with cut_into(4, batch=7):
        found = fcconv.scan(network, photo, windows="exact", **given)
    assert found.exact
    assert found.tiles >= 4
    pixels = given["preparation"].prepared(photo.transpose(2, 0, 1), np.float32)
    check_scores(found, network, pixels.transpose(1, 2, 0), list(np.ndindex(*found.cells)))
