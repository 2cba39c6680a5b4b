"""One image on several devices: each has a part of it, and the windows that start there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, auto_axes

from fcconv.errors import ArgumentError
from fcconv.functions.arguments import find_position
from fcconv.functions.parts import Parts
from fcconv.functions.slide import SlidFunction


def shard(slid: SlidFunction, mesh: Mesh, axis: str) -> ShardedFunction:
    """Let several devices score the windows of one image, each those of its part.

    Parts are cut along the first spatial axis. What the windows of a part read of the next one is
    exchanged once, before the network, however deep that is; then each device works by itself.

    Parameters
    ----------
    slid : SlidFunction
        What :func:`slide` returns, with ``windows="exact"``.
    mesh : jax.sharding.Mesh
        The devices.
    axis : str
        The axis of the mesh along which the image is cut. Other arguments, such as parameters, are
        whole on each device.

    Returns
    -------
    ShardedFunction
        Takes the arguments of `slid` and returns what that returns. It can be differentiated,
        compiled and batched.

    Raises
    ------
    ArgumentError
        If an argument does not fit.
    ShapeError
        From the function returned, if an image does not fit, or is too small for the devices.

    Notes
    -----
    An image that is cut already stays where it is if its parts are whole strides; otherwise it is
    filled up at its end. Where the devices can't share out the windows evenly, the result is whole
    on each when it leaves ``jax.jit``, since arrays of JAX have even parts.

    Examples
    --------
    >>> import jax
    >>> from fcconv import slide
    >>> def mean(patch):
    ...     return patch.mean()
    >>> slid = slide(mean, (2, 2), stride=2, spatial_axes=(0, 1))
    >>> sharded = shard(slid, jax.make_mesh((1,), ("rows",)), "rows")
    >>> jax.jit(sharded)(jax.numpy.arange(16.0).reshape(4, 4)).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    if not isinstance(slid, SlidFunction):
        raise ArgumentError(f"slid needs to be what fcconv.slide returns, got {slid!r}")
    if not slid.exact:
        raise ArgumentError(
            "slid needs windows='exact', got 'shared': padding would be that of the image's "
            "border, which only the first and the last part have"
        )
    if not isinstance(mesh, Mesh):
        raise ArgumentError(f"mesh needs to be a jax.sharding.Mesh, got {mesh!r}")
    if axis not in mesh.axis_names:
        raise ArgumentError(f"axis needs to be one of the mesh, {mesh.axis_names}, got {axis!r}")
    return ShardedFunction(slid, mesh, axis)


@dataclass(frozen=True, eq=False)
class ShardedFunction:
    """A slid function on several devices, see :func:`shard`.

    Attributes
    ----------
    function : SlidFunction
        The function of the image.
    mesh : jax.sharding.Mesh
        The devices.
    axis : str
        The axis of the mesh along which the image is cut.
    """

    function: SlidFunction
    mesh: Mesh
    axis: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function to all windows of an image."""
        described = self.function.describe(*args, **kwargs)
        along, stride = described.axes[0], described.stride[0]
        position = find_position(self.function.argnum, len(args))
        others, image = [*args[:position], *args[position + 1 :]], jnp.asarray(args[position])
        devices = self.mesh.shape[self.axis]
        parts = Parts(image.shape[along], described.window[along], stride, devices)
        parts.check()

        def slid(image: Any, *others: Any) -> Any:
            return self.function(*others[:position], image, *others[position:], **kwargs)

        compute = functools.partial(self._compute, slid, parts, along)
        kinds = dict(zip(self.mesh.axis_names, self.mesh.axis_types, strict=True))
        if AxisType.Explicit in kinds.values():  # types say even parts, which a cut may not leave
            even = kinds[self.axis] is AxisType.Explicit and parts.cells % devices == 0
            sharding = NamedSharding(self.mesh, PartitionSpec(self.axis if even else None))
            compute = auto_axes(compute, out_sharding=sharding)
        return compute(image, *others)

    def _compute(
        self, slid: Callable[..., Any], parts: Parts, along: int, image: Any, *others: Any
    ) -> Any:
        """Cut the image, compute its parts, and keep what are windows of the image."""
        cut, whole = PartitionSpec(*[None] * along, self.axis), PartitionSpec()
        sharded = jax.shard_map(
            functools.partial(_of_part, slid, parts, along, self.axis),
            mesh=Mesh(self.mesh.devices, self.mesh.axis_names),
            in_specs=(cut, *[whole] * len(others)),
            out_specs=PartitionSpec(self.axis),
            check_vma=False,  # equations are bound as they were traced, without casts to varying
        )
        filled = _filled(image, parts.devices * parts.pixels, along)
        return jax.tree.map(lambda x: x[: parts.cells], sharded(filled, *others))


def _of_part(
    slid: Callable[..., Any], parts: Parts, along: int, axis: str, part: Any, *others: Any
) -> Any:
    """Compute the windows that start in a device's part of the image."""
    if parts.halo:
        first = lax.slice_in_dim(part, 0, parts.halo, axis=along)
        to_the_one_before = [(k + 1, k) for k in range(parts.devices - 1)]
        halo = lax.ppermute(first, axis, to_the_one_before)
        part = jnp.concatenate([part, halo], along)

    def first_windows(count: int, part: Any, *others: Any) -> Any:
        pixels = (count - 1) * parts.stride + parts.window
        made = slid(lax.slice_in_dim(part, 0, pixels, axis=along), *others)
        return jax.tree.map(lambda x: _filled(x, parts.starts, 0), made)

    def no_windows(*given: Any) -> Any:
        made = jax.eval_shape(functools.partial(first_windows, parts.starts), *given)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), made)

    # beyond the image, windows would be of zeros, whose derivative may be no number: cutting their
    # scores would leave it in the gradient of the parameters, so that they are not computed at all
    counts = sorted({*parts.counts})
    computed = [functools.partial(first_windows, n) if n else no_windows for n in counts]
    which = jnp.asarray([counts.index(n) for n in parts.counts])[lax.axis_index(axis)]
    return lax.switch(which, computed, part, *others)


def _filled(x: Any, size: int, axis: int) -> Any:
    """Add zeros at the end of an axis."""
    return jnp.pad(x, [(0, size - n if k == axis else 0) for k, n in enumerate(x.shape)])
