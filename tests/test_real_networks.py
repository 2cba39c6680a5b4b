"""Trained networks of other people, from the files that installable packages bring."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import skimage as ski

import fcconv
import real_networks

EXACT: dict[str, Callable[[], onnx.ModelProto]] = {
    "board-to-fen": real_networks.board_to_fen,
    "digitsclassifier": real_networks.digitsclassifier,
}
PADDED: dict[str, Callable[[], onnx.ModelProto]] = {
    "rnet": real_networks.rnet,
    "onet": real_networks.onet,
    "mnist": lambda: real_networks.ccexam("mnist"),
    "usps": lambda: real_networks.ccexam("usps"),
    "svhn": lambda: real_networks.ccexam("svhn"),
}


@pytest.mark.parametrize("name", EXACT)
def test_networks_without_padding_are_exact(name: str) -> None:
    network = EXACT[name]()
    for stride in (None, 1, 7):
        sliding = fcconv.convolutionize(network, stride=stride)
        certificate = fcconv.certify(network, sliding)
        assert sliding.exact
        assert not sliding.reasons
        assert certificate.exact
        assert certificate.native_exact
        assert certificate.equal == certificate.windows == 9
        assert certificate.false_pass_probability < 1e-8


@pytest.mark.parametrize("name", PADDED)
def test_networks_that_pad_are_exact_at_their_native_size_only(name: str) -> None:
    network = PADDED[name]()
    sliding = fcconv.convolutionize(network)
    certificate = fcconv.certify(network, sliding)
    assert not sliding.exact
    assert sliding.reasons == certificate.reasons
    assert all("reads padding" in reason for reason in sliding.reasons)
    assert not certificate.exact
    assert certificate.native_exact
    assert certificate.holds


@pytest.mark.parametrize("name", PADDED)
def test_networks_that_pad_are_exact_everywhere_on_request(name: str) -> None:
    network = PADDED[name]()
    sliding = fcconv.convolutionize(network, windows="exact")
    certificate = fcconv.certify(network, sliding)
    assert sliding.exact
    assert certificate.exact
    assert certificate.equal == certificate.windows == 9


def test_geometry() -> None:
    digits = fcconv.convolutionize(real_networks.digitsclassifier())
    assert (digits.window, digits.field, digits.stride) == ((28, 28), (26, 26), (4, 4))
    onet = fcconv.convolutionize(real_networks.onet())
    assert (onet.window, onet.reach, onet.stride) == ((48, 48), ((0, 49), (0, 49)), (8, 8))
    assert "0 before and 1 after" in onet.reasons[0]
    board = fcconv.convolutionize(real_networks.board_to_fen())
    assert [layer.order for layer in board.layers] == ["HWC", "C"]
    assert [layer.after for layer in board.layers] == [(100, 100, 9, 9), (13, 100, 1, 1)]


def test_one_pass_reads_a_chess_board() -> None:
    network = real_networks.board_to_fen()
    picture = real_networks.board_picture().astype(np.float32)
    squares = np.stack(
        [picture[r : r + 50, c : c + 50] for r in range(0, 400, 50) for c in range(0, 400, 50)]
    )
    one_by_one = fcconv.compile(network)(squares).argmax(axis=1)
    scores = fcconv.convolutionize(network, stride=50)(picture[None])
    assert scores.shape == (1, 13, 8, 8)
    labels = [real_networks.BOARD_LABELS[k] for k in scores[0].argmax(axis=0).ravel()]
    assert np.array_equal(scores[0].argmax(axis=0).ravel(), one_by_one)
    assert real_networks.board_fen(labels) == "1b1B1Qr1/7p/6r1/2P5/4Rk2/1K6/4B3/8"


def test_one_pass_scores_every_digit_of_a_page() -> None:
    network = real_networks.digitsclassifier()
    page = ski.util.img_as_float32(ski.data.page())[None, :60, :60, None]
    sliding = fcconv.convolutionize(network, stride=5)
    scores, patch = sliding(page), fcconv.compile(network)
    cells = np.stack(
        [page[0, 5 * i : 5 * i + 28, 5 * j : 5 * j + 28] for i in range(7) for j in range(7)]
    )
    assert scores.shape == (1, 10, 7, 7)
    assert np.array_equal(scores[0].reshape(10, -1).argmax(axis=0), patch(cells).argmax(axis=1))


@pytest.mark.parametrize(("name", "digits"), [("mnist", 3), ("usps", 4), ("svhn", 4)])
def test_padded_networks_read_their_own_samples(name: str, digits: int) -> None:
    sliding = fcconv.convolutionize(real_networks.ccexam(name))
    pictures = real_networks.ccexam_pictures(name)
    read = [int(sliding(picture[None]).argmax()) for picture in pictures]
    assert read == real_networks.ccexam_labels(name)
    assert len(read) == digits


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bvlc_alexnet", "zfnet512", "vgg19"])
def test_large_networks_convert(name: str) -> None:
    network = real_networks.light(name)
    sliding = fcconv.convolutionize(network)
    assert not sliding.exact
    assert sliding.window == (224, 224)
    assert [layer.order for layer in sliding.layers] == ["CHW", "C", "C"]
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    patch = fcconv.compile(network, "onnxruntime")
    one = fcconv.compile(sliding.model, "onnxruntime")
    expected, found = patch(image).ravel(), one(image).ravel()
    # probabilities of a softmax: what the logits' rounding leaves of them
    assert np.abs(found - expected).max() <= 1e-3 * expected.max()
    assert found.argmax() == expected.argmax()
