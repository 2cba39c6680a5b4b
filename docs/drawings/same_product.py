"""The seed's four numbers: weights as a row, as a kernel, as channels; the same product."""

from __future__ import annotations

import numpy as np

from cells import PIXEL, RESULT, WEIGHT, canvas, grid, say

x = np.array([[1, 2], [3, 4]])
w = np.array([[1.1, 1.2], [1.3, 1.4]])
score = f"{(x * w).sum() + 1.9:g}"

figure, axes = canvas(17, 11.8)
rows = {"dense": 1, "convolution": 4.2, "1x1 convolution": 7.4}
for (name, top), middle in zip(rows.items(), (0.5, 1, 1.6), strict=True):
    say(axes, 1.6, top + middle, name, bold=True)

top = rows["dense"]
grid(axes, w.reshape(1, 4), 4, top, WEIGHT)
say(axes, 8.6, top + 0.5, "·")
grid(axes, x.reshape(1, 4), 9.2, top, PIXEL)
say(axes, 13.9, top + 0.5, "+ 1.9  =")
grid(axes, [[score]], 15.2, top, RESULT)
say(axes, 6, top + 1.5, "a row of weights")
say(axes, 11.2, top + 1.5, "the picture, flattened")

top = rows["convolution"]
grid(axes, w, 5, top, WEIGHT)
say(axes, 8.6, top + 1, "·")
grid(axes, x, 10.2, top, PIXEL)
say(axes, 13.9, top + 1, "+ 1.9  =")
grid(axes, [[score]], 15.2, top + 0.5, RESULT)
say(axes, 6, top + 2.5, "a kernel as large as the picture")
say(axes, 11.6, top + 2.5, "the picture")

top = rows["1x1 convolution"]
for k, (weight, pixel) in enumerate(zip(w.ravel(), x.ravel(), strict=True)):
    shift = 0.75 * k
    grid(axes, [[weight]], 4.4 + shift, top + shift, WEIGHT)
    grid(axes, [[pixel]], 9.9 + shift, top + shift, PIXEL)
say(axes, 8.8, top + 1.6, "·")
say(axes, 13.9, top + 1.6, "+ 1.9  =")
grid(axes, [[score]], 15.2, top + 1.1, RESULT)
say(axes, 6, top + 3.8, "a kernel of one pixel, four channels deep")
say(axes, 11.8, top + 3.8, "one pixel, four channels")
