"""Two windows of a network with stride 2: what they share, at window strides 2 and 1."""

from __future__ import annotations

from cells import PALE, PIXEL, RESULT, canvas, grid, say

figure, axes = canvas(19, 9.6)
LENGTH, WINDOW = 12, 6

for name, stride, top in (("windows 2 apart", 2, 0.6), ("windows 1 apart", 1, 5.6)):
    say(axes, 2.2, top + 0.5, name, bold=True)
    say(axes, 2.2, top + 1.5, "pixels")
    say(axes, 2.2, top + 2.9, "after a stride of 2")
    colours = [PIXEL if stride <= k < stride + WINDOW else PALE for k in range(LENGTH)]
    grid(axes, [range(LENGTH)], 5.5, top + 1, [colours])
    step = min(2, stride)
    entries = range((LENGTH - 2) // step + 1)
    in_window = {(stride + 2 * k) // step for k in range(3)}
    for k in entries:
        colour = RESULT if k in in_window else PALE
        grid(axes, [[k]], 5.5 + k * step + 0.5, top + 2.4, colour)
    what = "neighbours" if stride == 2 else "every second: dilation 2"
    say(axes, 15, top + 3.8, f"the second window's samples: {what}")
