"""The kernel slid over a larger picture: each place is a window, and each window has its score."""

from __future__ import annotations

import numpy as np

from cells import PALE, PIXEL, RESULT, canvas, grid, outline, say

x = np.arange(1, 17).reshape(4, 4)
kernel = np.array([[1, 0], [0, 2]])
made = np.array([[(x[i : i + 2, j : j + 2] * kernel).sum() for j in range(3)] for i in range(3)])

figure, axes = canvas(19, 6)
for step, (i, j) in enumerate([(0, 0), (0, 1), (2, 2)]):
    left = 6.5 * step
    rows, columns = range(i, i + 2), range(j, j + 2)
    seen = [[PIXEL if a in rows and b in columns else PALE for b in range(4)] for a in range(4)]
    grid(axes, x, left, 0.2, seen)
    outline(axes, left + j, 0.2 + i, 2, 2)
    factors = x[i : i + 2, j : j + 2].ravel()
    product = " + ".join(f"{k}·{n}" for k, n in zip(kernel.ravel(), factors, strict=True) if k)
    say(axes, left + 2, 4.9, f"cell ({i}, {j}):  {product} = {made[i, j]}")
    grid(axes, [[made[i, j]]], left + 4.4, 1.7, RESULT)
