"""Which samples of a window are the same for all windows that see them, along one axis.

Where a network pads, the samples of a window fall into three parts: a *head* and a *tail*, which
depend on the window's own padding, and a *body* between them, which depends on pixels alone. The
body lies in one tensor that all windows share, as in :mod:`fcconv.graph.rules.samples`: windows
start ``stride`` pixels apart, samples of one window ``apart`` (``jump`` there), entries of the
tensor ``step``. Head and tail are kept for each window, which stand in the batch. To make the next
head, an operator reads the head before it and the samples of the body beside it as it would read a
crop: with its own stride, dilation and padding. A sample that it makes is in the body if all
samples that it reads are, so that with ``head`` samples before

    head' = ceil((head + before) / r)

and likewise at the end. Where nothing is left of the body all samples are the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

HEAD, BODY, TAIL = "head", "body", "tail"


class Moves(NamedTuple):
    """How a window moves over samples: its kernel, stride and dilation, and the padding."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def extent(self) -> int:
        """Samples from the first that a window reads to the last."""
        return self.dilation * (self.kernel - 1)


class Reading(NamedTuple):
    """What an operator reads to make one part, and how it moves there.

    Attributes
    ----------
    start, stop : int
        Of the body: entries of the shared tensor to cut off at either end. Of another part: the
        samples of a window, from the first to one past the last.
    moves : Moves
        The window, and the padding beside what is read.
    """

    start: int
    stop: int
    moves: Moves


@dataclass(frozen=True)
class Axis:
    """The samples of every window along one axis of the image.

    Attributes
    ----------
    stride : int
        Pixels from one window to the next.
    block : int
        Samples of one window.
    apart, step : int
        Pixels from one sample of a window to the next, and from one entry of the shared tensor.
    head, tail : int
        Samples at both ends that are each window's own.
    moves : Moves, optional
        The window that was moved over other samples to make these.
    """

    stride: int
    block: int
    apart: int = 1
    step: int = 1
    head: int = 0
    tail: int = 0
    moves: Moves | None = None

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """The samples of each part that has some, from the first to one past the last."""
        ends = {
            HEAD: (0, self.head),
            BODY: (self.head, self.block - self.tail),
            TAIL: (self.block - self.tail, self.block),
        }
        return {part: (start, stop) for part, (start, stop) in ends.items() if start < stop}

    @property
    def body(self) -> int:
        """Samples that windows share."""
        return self.block - self.head - self.tail

    def entries(self, samples: int) -> int:
        """Count the entries of the shared tensor from one sample of a window to a later one."""
        return samples * self.apart // self.step

    def windowed(
        self, kernel: int, stride: int = 1, dilation: int = 1, before: int = 0, after: int = 0
    ) -> Axis:
        """Move a window over the samples; padding below zero cuts samples off.

        Examples
        --------
        >>> made = Axis(stride=4, block=8).windowed(kernel=3, before=1, after=1)
        >>> made.spans
        {'head': (0, 1), 'body': (1, 7), 'tail': (7, 8)}
        """
        moves = Moves(kernel, stride, dilation, before, after)
        block = (self.block + before + after - moves.extent - 1) // stride + 1
        apart = self.apart * stride
        made = Axis(self.stride, block, apart, math.gcd(apart, self.stride), moves=moves)
        if self.body <= 0 or block <= 0:
            return made.parted(block, 0)
        head, tail = ceil_div(self.head + before, stride), 0
        if head > 0:  # engines refuse windows of padding alone: the last of the head reads a sample
            head = max(head, ceil_div(before - moves.extent, stride) + 1)
        # the windows over samples that end before the tail
        shared = (self.block - self.tail - 1 - moves.extent + before) // stride + 1
        if shared < block:
            # the first of the tail reads a sample, too
            tail = block - min(shared, (self.block - 1 + before) // stride)
        return made.parted(max(head, 0), tail)

    def parted(self, head: int, tail: int) -> Axis:
        """Keep more samples at the ends for each window; all of them if none are left between."""
        if head + tail >= self.block:
            head, tail = self.block, 0
        return replace(self, head=head, tail=tail)

    def merged(self, other: Axis) -> Axis | None:
        """Join the samples of the same places of another value; None if places differ."""
        mine = self.stride, self.block, self.apart, self.step
        if mine != (other.stride, other.block, other.apart, other.step):
            return None
        head, tail = max(self.head, other.head), max(self.tail, other.tail)
        return replace(self.parted(head, tail), moves=None)

    def reading(self, made: Axis, part: str, moves: Moves) -> Reading:
        """Say what is read to make a part of `made` by a window."""
        first, last = made.spans[part][0], made.spans[part][1] - 1
        start = first * moves.stride - moves.before
        stop = last * moves.stride - moves.before + moves.extent + 1
        if part == BODY:
            # entries of the shared tensor, over which the window moves as in `samples`
            cuts = self.entries(start - self.head), self.entries(self.block - self.tail - stop)
            stride, scale = made.step // self.step, self.apart // self.step
            return Reading(*cuts, Moves(moves.kernel, stride, moves.dilation * scale))
        ends = max(-start, 0), max(stop - self.block, 0)
        # one sample at least, even where the window reads padding alone
        within = max(start, 0), min(max(stop, 1), self.block)
        return Reading(*within, Moves(moves.kernel, moves.stride, moves.dilation, *ends))


def ceil_div(a: int, b: int) -> int:
    """Divide, and round up."""
    return -(-a // b)
