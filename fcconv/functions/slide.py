"""A function of a patch becomes the function of the image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jax

from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.functions.arguments import (
    check_axes,
    check_image,
    check_size,
    check_window,
    find_position,
)
from fcconv.functions.exact import ExactFunction, exact_function
from fcconv.functions.sharing import FOLLOWS, Sharing, known_values, sharing_of
from fcconv.functions.trace import traced
from fcconv.geometry import MAX_PIXELS, Ints, integer, per_axis
from fcconv.graph.rewriting.exact.cost import Cost

WINDOWS = ("exact", "shared")


def slide(
    f: Callable[..., Any],
    window: Sequence[int],
    *,
    stride: Ints = 1,
    argnum: int = -1,
    spatial_axes: Sequence[int] | None = None,
    windows: str = "exact",
) -> SlidFunction:
    """Turn a function of one patch into a function of a whole image: of each of its windows.

    What windows have in common is computed once: convolutions, pools, dense layers and elementwise
    functions slide over the image, as in :func:`convolutionize`. From where windows differ, such as
    padding or attention, each goes on by itself, under ``vmap``. So the result is that of ``vmap``
    over all windows. A network whose first convolution pads shares little of it; see `windows`.

    Parameters
    ----------
    f : callable
        Takes arrays, or pytrees of arrays, one of them a patch, and returns a pytree of arrays.
        Other arguments are the caller's own, such as parameters; pass what is not an array through
        ``functools.partial``.
    window : sequence of int
        Shape of a patch, in any layout: ``(64, 64, 3)`` or ``(3, 64, 64)``.
    stride : int or sequence of int
        Pixels from one window to the next, for all spatial axes or each.
    argnum : int
        Which argument is the patch, counted from the end if negative: the last one, left out, so
        that parameters come first.
    spatial_axes : sequence of int, optional
        The axes of a patch along which windows lie; left out, those along which `f` convolves.
    windows : {"exact", "shared"}
        Whether padding sees the window's border, as `f` does, or that of the image, which shares
        more and is another function.

    Returns
    -------
    SlidFunction
        Takes the same arguments, an image in place of the patch, and returns the same pytree with
        an axis of windows in front for each spatial axis. It can be differentiated, compiled and
        batched; `describe` says what windows share.

    Raises
    ------
    ArgumentError
        If an argument does not fit.
    ShapeError
        From the function returned, if an image does not fit.
    UnsupportedError
        From the function returned, if `f` has effects beside its result.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> def mean(patch):
    ...     return patch.mean()
    >>> slide(mean, (2, 2), stride=2, spatial_axes=(0, 1))(jnp.arange(16.0).reshape(4, 4)).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    if not callable(f):
        raise ArgumentError(f"f needs to be a function of a patch, got {f!r}")
    shape = check_window(window)
    argnum = integer(argnum, "argnum", -MAX_PIXELS, MAX_PIXELS)
    axes = None if spatial_axes is None else check_axes(spatial_axes, len(shape))
    if windows not in WINDOWS:
        raise ArgumentError(f"windows needs 'exact' or 'shared', got {windows!r}")
    return SlidFunction(f, shape, stride, argnum, axes, windows == "exact")


@dataclass(frozen=True, eq=False)
class SlidFunction:
    """A function of a patch as a function of the image, see :func:`slide`.

    Attributes
    ----------
    function : callable
        The function of a patch.
    window : tuple of int
        Shape of a patch.
    stride : int or sequence of int
        Pixels from one window to the next.
    argnum : int
        Which argument is the image.
    spatial_axes : tuple of int, optional
        The axes of a patch along which windows lie.
    exact : bool
        Whether what reads padding is each window's own.
    """

    function: Callable[..., Any]
    window: tuple[int, ...]
    stride: Ints
    argnum: int
    spatial_axes: tuple[int, ...] | None
    exact: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function to all windows of an image."""
        sharing, image, structure = self._shared(args, kwargs)
        return jax.tree.unflatten(structure, sharing.apply(image))

    def describe(self, *args: Any, **kwargs: Any) -> Description:
        """Say what windows share, for arguments of these shapes; nothing is computed.

        Examples
        --------
        >>> import jax
        >>> def spread(patch):
        ...     return (patch * patch).sum() - patch.sum()
        >>> slid = slide(spread, (5, 5), stride=2, spatial_axes=(0, 1))
        >>> print(slid.describe(jax.ShapeDtypeStruct((25, 35), "float32")))
        windows of (5, 5) along the axes (0, 1), 2 and 2 apart: 11 x 16
        all 4 equations are shared
        """
        found = []

        def follow(*args: Any) -> None:
            found.append(self._shared(args, kwargs)[:2])

        jax.eval_shape(follow, *args)
        ((sharing, image),) = found
        return Description(
            self.window,
            sharing.axes,
            sharing.stride,
            sharing.cells(image.shape),
            len(sharing.trace.equations),
            tuple(sharing.reasons),
            sharing.cost if isinstance(sharing, ExactFunction) else None,
        )

    def _shared(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sharing | ExactFunction, Any, Any]:
        """Slide the function for some arguments; return the image, and how the result is built."""
        position = find_position(self.argnum, len(args))
        before, after = args[:position], args[position + 1 :]
        image = check_image(args[position], len(self.window))
        patch = jax.ShapeDtypeStruct(self.window, image.dtype)
        function = functools.partial(self.function, **kwargs)
        try:
            trace, returned = traced(function, [*before, patch, *after])
        except Exception as error:
            error.add_note(f"fcconv.slide called the function on a patch of shape {self.window}")
            raise
        numbers, arrays = [*trace.inputs], jax.tree.leaves([*before, *after])
        number = numbers.pop(len(jax.tree.leaves(before)))
        known = known_values(trace, dict(zip(numbers, arrays, strict=True)))
        share = functools.partial(sharing_of, trace, known, patch, number)
        axes = self.spatial_axes or _found_axes(share, self.window)
        check_size(image.shape, self.window, axes)
        steps = per_axis(self.stride, len(axes), "stride")
        structure = jax.tree.structure(returned)
        sharing = share(axes=axes, stride=steps, exact=self.exact)
        if self.exact and sharing.pads:
            with suppress(UnsupportedError):  # else windows share what comes before the padding
                slid = exact_function(trace, known, patch, number, axes=axes, stride=steps)
                return slid, image, structure
        return sharing, image, structure


@dataclass(frozen=True)
class Description:
    """What windows share of a function.

    Attributes
    ----------
    window, axes, stride, cells : tuple of int
        Shape of a patch; its spatial axes; along each, pixels from one window to the next, and how
        many windows the image holds.
    equations : int
        Primitive operations of the function.
    own : tuple of str
        Those that each window computes for itself, and why; it holds where they begin.
    cost : Cost, optional
        Multiplications for each window, of a function that pads: at the ends of a window it is
        each window's own what padding has a part in.
    """

    window: tuple[int, ...]
    axes: tuple[int, ...]
    stride: tuple[int, ...]
    cells: tuple[int, ...]
    equations: int
    own: tuple[str, ...]
    cost: Cost | None = None

    def __str__(self) -> str:
        """Say it in a few lines."""
        first = (
            f"windows of {self.window} along the axes {self.axes}, "
            f"{' and '.join(map(str, self.stride))} apart: {' x '.join(map(str, self.cells))}"
        )
        if self.cost is not None:
            said = [f"each window by itself from {node}" for node in self.own]
            return "\n".join([first, f"multiplications: {self.cost.told()}", *said])
        if not self.own:
            return f"{first}\nall {self.equations} equations are shared"
        reasons = [reason for reason in dict.fromkeys(self.own) if reason != FOLLOWS]
        shared = self.equations - len(self.own)
        return "\n".join([first, f"{shared} of {self.equations} equations are shared", *reasons])


def _found_axes(share: Callable[..., Sharing], window: tuple[int, ...]) -> tuple[int, ...]:
    """Find out along which axes of a patch a function slides: where windows share most."""
    rank = len(window)
    likely = [tuple(range(1, rank)), tuple(range(rank - 1)), tuple(range(rank))]
    own = {
        axes: len(share(axes=axes, stride=(1,) * len(axes), exact=False).own)
        for axes in likely
        if 1 <= len(axes) <= 3
    }
    best = [axes for axes, count in own.items() if count == min(own.values())]
    if len(best) > 1:  # one channel is not a further axis of the image
        best = [axes for axes in best if len(axes) < rank]
    if len(best) != 1:
        raise ArgumentError(
            f"the function does not tell which axes of a patch of shape {window} are spatial: say "
            f"spatial_axes, such as (0, 1) of (H, W, C)"
        )
    return best[0]
