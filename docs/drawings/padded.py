"""Samples of padded windows: heads and tails of their own, and bodies that they share."""

from __future__ import annotations

from cells import PALE, PIXEL, RESULT, WEIGHT, canvas, grid, outline, say

figure, axes = canvas(20, 8.8)
LENGTH, WINDOW, BEFORE = 12, 8, 1

say(axes, 2.3, 0.9, "the picture", bold=True)
grid(axes, [range(LENGTH)], 6.5, 0.4, PIXEL)
for number, start in enumerate((0, 2, 4)):
    top = 2.2 + 1.6 * number
    say(axes, 2.3, top + 0.5, f"window at {start}", bold=True)
    colours = [WEIGHT] + [RESULT] * (WINDOW - 2) + [WEIGHT]
    grid(axes, [["" for _ in range(WINDOW)]], 6.5 + start, top, [colours])
    grid(axes, [["0"]], 5.5 + start, top, PALE)
    grid(axes, [["0"]], 6.5 + start + WINDOW, top, PALE)
    outline(axes, 6.5 + start, top, WINDOW, 1)
grid(axes, [[""]], 6.5, 7.4, RESULT)
axes.text(7.8, 7.9, "body: the same for all windows that see it", va="center")
grid(axes, [[""]], 17.5, 7.4, WEIGHT)
axes.text(18.8, 7.9, "head, tail", va="center")
