"""Small classifiers of eight kinds, as PyTorch modules for windows of 32 by 32 pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

WINDOW = (3, 32, 32)


class Joined(nn.Module):
    """Parts side by side: their results are added, multiplied or put one behind the other."""

    def __init__(self, join: Callable[..., torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.join, self.parts = join, nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(*(part(x) for part in self.parts))


class Moved(nn.Module):
    """Axes in another order."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(*self.axes)


class Tokens(nn.Module):
    """Patches of a picture, with a token for the class before them, and where each lies."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + count, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = x.flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1) + self.places


class Attention(nn.Module):
    """Every token reads from every other one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.mixed(x).chunk(3, dim=-1)
        shares = torch.softmax(query @ key.transpose(1, 2) / x.shape[-1] ** 0.5, dim=-1)
        made: torch.Tensor = self.out(shares @ value)
        return made


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


def multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


def beside(*values: torch.Tensor) -> torch.Tensor:
    return torch.cat(values, 1)


def conv(c: int, o: int, k: int = 3, **options: Any) -> nn.Sequential:
    convolution = nn.Conv2d(c, o, k, padding=k // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(o), nn.ReLU())


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4)]


def vgg() -> nn.Module:
    parts = [conv(3, 8), conv(8, 8), nn.MaxPool2d(2), conv(8, 12), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(12 * 64, 10), nn.ReLU(), nn.Linear(10, 4))


def resnet() -> nn.Module:
    block = Joined(add, nn.Sequential(conv(8, 8), conv(8, 8)), nn.Identity())
    down = Joined(add, nn.Sequential(conv(8, 12, stride=2), conv(12, 12)), conv(8, 12, 1, stride=2))
    first = [conv(3, 8, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
    return nn.Sequential(*first, block, nn.ReLU(), down, nn.ReLU(), *head(12))


def gated_mobilenet() -> nn.Module:
    gate = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1)]
    squeezed = Joined(multiply, nn.Identity(), nn.Sequential(*gate, nn.Sigmoid()))
    wide = nn.Sequential(conv(8, 16, 1), conv(16, 16, 5, groups=16), squeezed, conv(16, 8, 1))
    return nn.Sequential(conv(3, 8, stride=2), Joined(add, wide, nn.Identity()), *head(8))


def convnext() -> nn.Module:
    last = [nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)]
    mixed = nn.Sequential(nn.Conv2d(8, 8, 7, padding=3, groups=8), Moved(0, 2, 3, 1), *last)
    block = Joined(add, nn.Sequential(mixed, Moved(0, 3, 1, 2)), nn.Identity())
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), block, nn.Conv2d(8, 6, 2, 2), *head(6))


def densenet() -> nn.Module:
    layers = [Joined(beside, nn.Identity(), conv(c, 4)) for c in (8, 12, 16)]
    return nn.Sequential(conv(3, 8), layers[0], layers[1], nn.AvgPool2d(2), layers[2], *head(20))


def inception() -> nn.Module:
    pooled = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), conv(8, 4, 1))
    block = Joined(beside, conv(8, 4, 1), conv(8, 4), nn.Sequential(conv(8, 4), conv(4, 4)), pooled)
    return nn.Sequential(conv(3, 8, stride=2), block, nn.MaxPool2d(3, 2, ceil_mode=True), *head(16))


def vit() -> nn.Module:
    layer = Joined(add, nn.Identity(), nn.Sequential(nn.LayerNorm(8), Attention(8)))
    return nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), Tokens(8, 16), layer, nn.LayerNorm(8), Mean(), nn.Linear(8, 4)
    )


def mixer() -> nn.Module:
    spatial = nn.Sequential(nn.LayerNorm(8), Moved(0, 2, 1), nn.Linear(16, 16), Moved(0, 2, 1))
    channels = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
    blocks = [Joined(add, nn.Identity(), part) for part in (spatial, channels)]
    patches = [nn.Conv2d(3, 8, 8, stride=8), nn.Flatten(2), Moved(0, 2, 1)]
    return nn.Sequential(*patches, *blocks, Mean(), nn.Linear(8, 4))


ARCHITECTURES = (vgg, resnet, gated_mobilenet, convnext, densenet, inception, vit, mixer)


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """Make a classifier with random weights, and statistics as if it were trained."""
    torch.manual_seed(0)
    module = build().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for statistic in (part.running_mean, part.running_var):
                assert statistic is not None
                statistic.uniform_(0.3, 1.5)
    return module
