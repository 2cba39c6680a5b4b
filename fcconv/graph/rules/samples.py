"""Where the samples of sliding windows lie in a shared tensor: the sliding rule, integers only.

Along one axis, a value of the patch network has ``block`` samples, ``jump`` pixels from one to the
next. In the sliding network one tensor holds the samples of all windows, ``step`` pixels from one
to the next; windows start every ``stride`` pixels. Sample ``a`` of window ``i`` is entry
``(i * stride + a * jump) / step`` of the tensor. An operator that strides by ``r`` makes

    jump' = jump * r        step' = gcd(jump', stride)

and slides with stride ``step' / step``, its dilation and padding times ``jump / step``. With
``stride`` = the product of all strides this is the fully convolutional network of Shelhamer, Long &
Darrell (*Fully convolutional networks for semantic segmentation*, 2017, section 3.1), with 1 the
filter dilation of their section 3.2. With 0 there is a single window, the patch itself: nothing is
rescaled, and ``jump`` comes out as the product of all strides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class AxisWindow:
    """How an operator slides along one axis of the tensor.

    Attributes
    ----------
    kernel, stride, dilation : int
        Those of the sliding operator.
    before, after : int
        Its padding; below zero, entries to cut off.
    """

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    def padding_only(self) -> AxisWindow:
        """Return the same without what is cut off."""
        return replace(self, before=max(self.before, 0), after=max(self.after, 0))


@dataclass(frozen=True)
class Samples:
    """The samples of a value along one axis.

    Attributes
    ----------
    block : int
        Samples of one window.
    jump : int
        Pixels from one sample of a window to the next.
    step : int
        Pixels from one entry of the tensor to the next; divides `jump` and the window stride.
    first, last : int
        The pixels that sample 0 reads, both included, from the window's first pixel on.
    pad_margin : tuple of int
        Pixels at each end of the image within which samples are affected by padding: one at pixel
        ``p`` is free of it if ``pad_margin[0] <= p <= last sample's pixel - pad_margin[1]``.
    """

    block: int
    jump: int = 1
    step: int = 1
    first: int = 0
    last: int = 0
    pad_margin: tuple[int, int] = (0, 0)

    @property
    def scale(self) -> int:
        """Entries of the tensor from one sample of a window to the next."""
        return self.jump // self.step

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels that the block reads, from the first to one past the last."""
        return self.first, self.last + (self.block - 1) * self.jump + 1

    def windowed(
        self, stride: int, kernel: int, r: int, dilation: int, before: int, after: int
    ) -> tuple[Samples, AxisWindow]:
        """Move a kernel over the block with stride `r`; windows start `stride` pixels apart.

        What no window reads at the end is taken off the padding, or, where that becomes negative,
        cut off. So an image of ``X`` pixels gives ``(X - window) // step`` entries more than the
        patch itself, whatever the way to a value: values of one grid have one length.

        Examples
        --------
        >>> made, slide = Samples(block=8, jump=2, step=2).windowed(4, 3, 2, 1, 0, 0)
        >>> made.block, made.jump, made.step, slide.stride
        (3, 4, 4, 2)
        """
        extent = dilation * (kernel - 1)
        moves, unread = divmod(self.block + before + after - extent - 1, r)
        after -= unread
        jump = self.jump * r
        step = math.gcd(jump, stride)
        made = Samples(
            block=moves + 1,
            jump=jump,
            step=step,
            first=self.first - before * self.jump,
            last=self.last + (extent - before) * self.jump,
            # negative padding cuts samples off at that end: those affected by padding go first
            pad_margin=(
                max(self.pad_margin[0] + before * self.jump, 0),
                max(self.pad_margin[1] + after * self.jump, 0),
            ),
        )
        slide = AxisWindow(
            kernel=kernel,
            stride=step // self.step,
            dilation=dilation * self.scale,
            before=before * self.scale,
            after=after * self.scale,
        )
        return made, slide

    def covered(self, stride: int) -> tuple[Samples, AxisWindow]:
        """Cover the whole block with one window: one sample per window is left."""
        # by this stride the new jump is a multiple of the window stride: one entry per window
        return self.windowed(stride, self.block, stride // self.step or 1, 1, 0, 0)

    def sliced(self, stride: int, start: int, count: int, every: int) -> tuple[Samples, AxisWindow]:
        """Keep `count` samples from `start` on, one in `every`."""
        cut = self.block - 1 - (start + (count - 1) * every)
        return self.windowed(stride, 1, every, 1, -start, -cut)

    def merged(self, others: Iterable[Samples]) -> Samples:
        """Describe what reads the samples of values on one grid: all that any of them reads."""
        same = [self, *others]
        return replace(
            self,
            first=min(a.first for a in same),
            last=max(a.last for a in same),
            pad_margin=(max(a.pad_margin[0] for a in same), max(a.pad_margin[1] for a in same)),
        )
