"""PyTorch modules go in as they are, and come out sliding, with the scores that PyTorch gives."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import fcconv
from torch_architectures import ARCHITECTURES, WINDOW, made

# PyTorch's exporter calls what PyTorch itself deprecates
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def integers(module: nn.Module) -> nn.Module:
    """Give a module small integers as weights, in float64, so that nothing is rounded."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        whole = torch.randint(-3, 4, parameter.shape, generator=generator)
        parameter.data = whole.to(torch.float64)
    return module.double()


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "two dense layers": (
        nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 3, 3, dilation=2),
            nn.LeakyReLU(0.5),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(3 * 2 * 3, 5),
            nn.ReLU(),
            nn.Linear(5, 2),
        ),
        (1, 14, 16),
    ),
    "a recording": (
        nn.Sequential(nn.Conv1d(2, 3, 4, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6, 2)),
        (2, 20),
    ),
    "a recording, pooled": (
        nn.Sequential(
            nn.Conv1d(2, 3, 4, stride=3), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(3, 2)
        ),
        (2, 20),
    ),
    "a volume": (
        nn.Sequential(
            nn.Conv3d(1, 2, 2), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(2 * 2 * 2 * 3, 2)
        ),
        (1, 5, 6, 7),
    ),
    "a global pool": (
        nn.Sequential(
            nn.Conv2d(1, 3, 3, groups=1), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 2)
        ),
        (1, 6, 7),
    ),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("stride", [None, 1, 3])
def test_one_pass_scores_what_pytorch_scores(name: str, stride: int | None) -> None:
    module, window = MODULES[name]
    module = integers(module).train()
    sliding = fcconv.convolutionize(module, window=window, stride=stride)
    assert sliding.exact
    assert module.training  # as it was given
    certificate = fcconv.certify(module, sliding)
    assert certificate.exact
    assert certificate.holds
    module.eval()
    rng = np.random.default_rng(0)
    sizes = [n + 2 * s + 1 for n, s in zip(window[1:], sliding.stride, strict=True)]
    image = rng.integers(-4, 5, (1, window[0], *sizes)).astype(np.float64)
    scores = sliding(image)
    cells = tuple(
        (size - n) // s + 1 for size, n, s in zip(sizes, window[1:], sliding.stride, strict=True)
    )
    assert scores.shape == (1, 2, *cells)
    for cell in np.ndindex(cells):
        place: list[Any] = [slice(None), slice(None)]
        place += [
            slice(i * s, i * s + n)
            for i, s, n in zip(cell, sliding.stride, window[1:], strict=True)
        ]
        with torch.no_grad():
            expected = module(torch.from_numpy(image[tuple(place)].copy())).numpy()
        assert np.array_equal(scores[(slice(None), slice(None), *cell)], expected)


def test_a_module_needs_a_window() -> None:
    with pytest.raises(fcconv.FcconvError, match=r"window=\(C, H, W\)"):
        fcconv.convolutionize(nn.Linear(4, 2))


def test_a_module_that_wraps_another() -> None:
    module = torch.nn.DataParallel(torch.nn.Conv2d(1, 2, 3))
    with pytest.raises(fcconv.UnsupportedError, match=r"a DataParallel .* give its \.module"):
        fcconv.convolutionize(module, window=(1, 3, 3))
    assert fcconv.convolutionize(module.module, window=(1, 3, 3)).window == (3, 3)


def test_batch_norm_and_padding() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
        nn.Softmax(dim=1),
    )
    sliding = fcconv.convolutionize(module, window=(3, 16, 16))
    assert not sliding.exact
    assert len(sliding.reasons) == 2
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    native = sliding(x.numpy())
    assert native.shape == (2, 4, 1, 1)
    # probabilities: a few hundred roundings of numbers below one
    assert np.abs(native[..., 0, 0] - expected).max() < 500 * 2**-24


def test_a_mean_over_a_recording_slides() -> None:
    module = nn.Sequential(
        nn.Conv1d(2, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    sliding = fcconv.convolutionize(module, window=(2, 20))
    assert sliding.exact
    assert fcconv.certify(module, sliding).exact


def test_pointwise_keeps_what_pytorch_computes() -> None:
    module, window = MODULES["two dense layers"]
    module = integers(module).eval()
    rewritten = fcconv.pointwise(module, window=window)
    x = np.random.default_rng(0).integers(-4, 5, (3, *window)).astype(np.float64)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert np.array_equal(rewritten(x), expected)
    assert [layer.method for layer in rewritten.layers] == ["1x1", "1x1"]


class Standardised(nn.Conv2d):
    """A convolution whose weight gets mean 0 and deviation 1."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch calls it so
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = nn.functional.batch_norm(rows, None, None, training=True, eps=1e-6)
        return nn.functional.conv2d(input, weight.reshape_as(self.weight), self.bias)


def test_standardised_weights_and_norms_of_groups() -> None:
    module = nn.Sequential(
        Standardised(2, 4, 3), nn.ReLU(), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 3)
    )
    sliding = fcconv.convolutionize(module, window=(2, 6, 6))
    assert fcconv.certify(module, sliding, window=(2, 6, 6)).exact


@pytest.mark.parametrize("exporter", ["dynamo", "old"])
@pytest.mark.parametrize("build", ARCHITECTURES)
def test_every_window_of_each_kind_of_architecture_is_its_crop(
    build: Callable[[], nn.Module], exporter: str
) -> None:
    module = made(build)
    source: Any = module if exporter == "dynamo" else exported(module)
    sliding = fcconv.convolutionize(source, window=WINDOW, stride=8, windows="exact")
    image = torch.randn(1, 3, 32 + 8, 32 + 19, generator=torch.Generator().manual_seed(0))
    scores = fcconv.compile(sliding, "onnxruntime")(image.numpy())
    assert scores.shape == (1, 4, 2, 3)
    for row, column in np.ndindex(2, 3):
        part = image[:, :, 8 * row : 8 * row + 32, 8 * column : 8 * column + 32]
        with torch.no_grad():
            expected = module(part).numpy()
        # sums of some hundred products of numbers about one, a few layers deep
        assert np.abs(scores[:, :, row, column] - expected).max() < 2**-15 * np.abs(expected).max()


def exported(module: nn.Module) -> onnx.ModelProto:
    """Export by tracing one image, whose number is not free."""
    written = io.BytesIO()
    export: Any = torch.onnx.export
    export(module, (torch.zeros(1, *WINDOW),), written, dynamo=False, opset_version=17)
    return onnx.load_from_string(written.getvalue())
