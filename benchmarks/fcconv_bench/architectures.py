"""The convolutions of known networks on pictures of 224x224, in order, repeated ones too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fcconv_bench.cases import Case

VGG16 = "VGG16"
RESNET50 = "ResNet-50"
MOBILENET = "MobileNet-V1"
DEPTHWISE = "depthwise"
"""The group of convolutions of each channel by itself, which memory bounds."""

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels, and convolutions up to the next pool (Simonyan & Zisserman 2014, table 1, D)."""

RESNET50_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, blocks, and stride of the first block (He et al. 2015, table 1)."""

MOBILENET_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), *[(512, 1)] * 5),
    *((1024, 2), (1024, 1)),
)
"""Channels after a block, and its stride (Howard et al. 2017, table 1)."""


def vgg16() -> Iterator[Case]:
    """Yield the convolutions of VGG16."""
    channels, size = 3, 224
    for outputs, layers in VGG16_STAGES:
        for _ in range(layers):
            yield _case(VGG16, channels, size, outputs, 3)
            channels = outputs
        size //= 2


def resnet50() -> Iterator[Case]:
    """Yield the convolutions of ResNet-50 in the form of torchvision: the 3x3 has the stride."""
    yield _case(RESNET50, 3, 224, 64, 7, stride=2)
    channels, size = 64, 56
    for width, blocks, first_stride in RESNET50_STAGES:
        for stride in (first_stride, *[1] * (blocks - 1)):
            yield _case(RESNET50, channels, size, width, 1)
            yield _case(RESNET50, width, size, width, 3, stride=stride)
            yield _case(RESNET50, width, size // stride, 4 * width, 1)
            if channels != 4 * width:
                yield _case(RESNET50, channels, size, 4 * width, 1, stride=stride)
            channels, size = 4 * width, size // stride


def mobilenet() -> Iterator[Case]:
    """Yield the convolutions of MobileNet-V1 of full width."""
    yield _case(MOBILENET, 3, 224, 32, 3, stride=2)
    channels, size = 32, 112
    for outputs, stride in MOBILENET_BLOCKS:
        yield _case(DEPTHWISE, channels, size, channels, 3, stride=stride, groups=channels)
        size //= stride
        yield _case(MOBILENET, channels, size, outputs, 1)
        channels = outputs


NETWORKS: tuple[Callable[[], Iterator[Case]], ...] = (vgg16, resnet50, mobilenet)


def _case(
    group: str,
    channels: int,
    size: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
) -> Case:
    """Make a padded convolution, and name it; a stride stands behind a slash."""
    move = f"/{stride}" if stride > 1 else ""
    sizes = f"{channels}" if groups > 1 else f"{channels} to {outputs}"
    name = f"{group} {kernel}x{kernel}{move}, {sizes}, {size}x{size}"
    padding = (kernel - 1) // 2
    return Case(
        *(name, group, channels, size, outputs, kernel),
        stride=stride,
        padding=padding,
        groups=groups,
        has_bias=group == VGG16,  # in the others a normalisation follows
    )
