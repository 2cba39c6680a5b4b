"""Resize and Upsample to the nearest entry, by whole factors: entries are moved, none is made.

Entries that are read twice are not a map any more: windows may read them one by one, but not move
over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import ShapeError
from fcconv.graph.lengths import copies, lengths
from fcconv.graph.local import Local
from fcconv.graph.operator import Operator
from fcconv.graph.operators.moves import affordable
from fcconv.graph.receptive import of_first
from fcconv.graph.rules.features import move_entries
from fcconv.graph.rules.values import Constant, SlidingValue

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T


OF_OTHER_MODES = ("antialias", "cubic_coeff_a", "exclude_outside", "extrapolation_value")
"""What has no part in taking the nearest entry."""

PLACED = ("axes", "coordinate_transformation_mode", "keep_aspect_ratio_policy", "nearest_mode")


def _resize(backend: Backend[Any], node: Call, x: Any, *options: Any) -> Any:
    if node.attribute("mode", "nearest") != "nearest":
        raise node.unsupported("it makes new pixels between others: only the nearest are taken")
    for axis, size in _sizes(node, x, options).items():
        if size != x.shape[axis]:
            x = backend.namespace.take(x, _nearest(node, x.shape[axis], size), axis=axis)
    return x


def _sizes(node: Call, x: Any, options: tuple[Any, ...]) -> dict[int, int]:
    """Return the new length of each axis that is named."""
    if node.op == "Resize" and node.opset >= 11:
        _, scales, sizes, *_ = (*options, None, None, None)
    else:
        scales, sizes = (*options, node.attribute("scales"))[0], None
    axes = node.attribute("axes", tuple(range(x.ndim)))
    given = sizes if scales is None or not np.size(scales) else scales
    if given is None or len(given) != len(axes):
        raise ShapeError(f"it needs a scale or a size for each of the axes {axes}")
    if given is sizes and node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("it keeps the aspect ratio: give the sizes that this makes")
    wanted = {
        axis: int(number) if given is sizes else float(number) * x.shape[axis]
        for axis, number in zip(node.axes(axes, x.ndim), given, strict=True)
    }
    if any(size <= 0 or size % x.shape[axis] for axis, size in wanted.items()):
        raise node.unsupported("only whole factors are computed")
    affordable(node, [wanted.get(axis, n) for axis, n in enumerate(x.shape)])
    return {axis: int(size) for axis, size in wanted.items()}


def _nearest(node: Call, length: int, size: int) -> npt.NDArray[np.int64]:
    """Say which entry of `length` lies nearest to each of `size`."""
    old = node.op == "Upsample" or node.opset < 11
    places, factor = np.arange(size), size // length
    mode = "asymmetric" if old else "half_pixel"
    mode = node.attribute("coordinate_transformation_mode", mode)
    if mode == "asymmetric":
        exact = places / factor
    elif mode == "align_corners":
        exact = places * (length - 1) / max(size - 1, 1)
    elif mode in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        exact = (places + 0.5) / factor - 0.5
    else:
        raise node.unsupported(f"it places pixels by {mode}, which is not computed")
    rounding = node.attribute("nearest_mode", "floor" if old else "round_prefer_floor")
    nearest = {
        "round_prefer_floor": lambda: np.ceil(exact - 0.5),
        "round_prefer_ceil": lambda: np.floor(exact + 0.5),
        "floor": lambda: np.floor(exact),
        "ceil": lambda: np.ceil(exact),
    }.get(rounding)
    if nearest is None:
        raise node.unsupported(f"it rounds by {rounding}, which ONNX does not have")
    return np.clip(nearest(), 0, length - 1).astype(np.int64)


@of_first
def _spread(node: Call, x: Local, *options: npt.NDArray[Any] | None) -> Local | None:
    """Resize axes that are not of the image, of any mode."""
    sizes = options[2] if len(options) > 2 else None
    scales = options[1] if len(options) > 1 and sizes is None else None
    if node.op == "Upsample" or node.opset < 11:
        scales = options[0] if options else np.array(node.attribute("scales"))
    axes = node.axes(node.attribute("axes", tuple(range(x.rank))), x.rank)
    given = scales if sizes is None else lengths(sizes)
    if given is None or len(given) != len(axes) or not x.avoids(*range(1, x.rank)):
        return None
    for axis, n in zip(axes, given, strict=True):
        if axis in x.along and not (n == 1 if sizes is None else copies(x, axis, n)):
            return None
    return x


def _slide(
    context: Context[T], node: Call, x: SlidingValue[T], *options: Constant | None
) -> tuple[SlidingValue[T], ...]:
    return move_entries(context, node, _resize, x, options)


OPERATORS = {
    "Resize": Operator(
        _resize,
        _slide,
        frozenset([1, 2, 3]),
        attributes=("mode", *PLACED, *OF_OTHER_MODES),
        spread=_spread,
    ),
    "Upsample": Operator(
        _resize, _slide, frozenset([1]), attributes=("mode", "scales"), spread=_spread
    ),
}
