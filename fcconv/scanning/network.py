"""The network of a scan: what scores its windows, how its classes are named, told from others."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.arguments import check_sequence
from fcconv.backend import ONNXRUNTIME
from fcconv.errors import ArgumentError, ImageError, UnsupportedError
from fcconv.geometry import Ints, per_axis
from fcconv.graph.engines.compiled import Compiled
from fcconv.graph.engines.compiling import Engine
from fcconv.graph.files.load import Source, load
from fcconv.graph.node import attribute_bytes
from fcconv.graph.rewriting.shared import EXACT_INSTEAD, Stuck, slide
from fcconv.graph.rewriting.sliding import Sliding, from_metadata
from fcconv.graph.rules.layer import Layer
from fcconv.graph.running.run import data_inputs, fixed_batch
from fcconv.scanning.exactly import exact_at, why_cut_out
from fcconv.scanning.memory import seen
from fcconv.scanning.network_layout import NetworkLayout

CUT_OUT = (
    "Each window can be cut out and scored by itself: windows='crops' (--windows crops), with a "
    "stride"
)


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and where the windows stand that it scores.

    Attributes
    ----------
    patch : onnx_ir.Model
        What scores windows that are cut out; a sliding network without one does, too.
    layout : NetworkLayout
        How it wants its images.
    window, stride : tuple of int
        Pixels of a window, and from one to the next.
    outputs : mapping of str to (int, dtype)
        Channels and type of each output.
    slid : Sliding or Stuck
        The network that scores windows in one pass, or why there is none.
    cut_out : str
        Why windows are cut out that were to share a pass exactly; nothing if they do.
    """

    patch: ir.Model
    layout: NetworkLayout
    window: tuple[int, ...]
    stride: tuple[int, ...]
    outputs: Mapping[str, tuple[int, np.dtype[Any]]]
    slid: Sliding | Stuck
    cut_out: str = ""

    @property
    def sliding(self) -> Sliding:
        """The network that scores windows in one pass.

        Raises
        ------
        UnsupportedError
            If there is none.
        """
        if isinstance(self.slid, Stuck):
            raise self.slid.error
        return self.slid

    @property
    def exact(self) -> bool:
        """Whether windows that share a pass score as when they are cut out."""
        return isinstance(self.slid, Sliding) and self.slid.exact

    @property
    def reasons(self) -> tuple[str, ...]:
        """The nodes that forbid it, and why."""
        return (str(self.slid.error),) if isinstance(self.slid, Stuck) else self.slid.reasons

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The dense layers that became convolutions."""
        return () if isinstance(self.slid, Stuck) else self.slid.layers

    @property
    def model(self) -> ir.Model:
        """What tells the network from others: the sliding one, where there is one."""
        return self.patch if isinstance(self.slid, Stuck) else self.slid.model

    def patch_compiled(self, engine: Engine) -> Compiled:
        """Return what scores windows that are cut out, on an engine; compiled once for each."""
        if isinstance(self.slid, Sliding):
            return self.slid.compiled(engine, patch=True)
        if engine not in self._engines:
            self._engines[engine] = engine.compile(self.patch)
        return self._engines[engine]

    @functools.cached_property
    def _engines(self) -> dict[Engine, Compiled]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle it without what was compiled, which each process does for itself."""
        return {name: value for name, value in vars(self).items() if name != "_engines"}


def as_network(
    network: Network | Sliding | Source,
    stride: Ints | None = None,
    window: Sequence[int] | None = None,
    windows: str | None = None,
) -> Network:
    """Make a network slide, unless it does already, or each window is to be cut out and it can't.

    Raises
    ------
    UnsupportedError
        If it can't slide, and windows are to share all of it; if windows are to share a pass
        exactly, and it can't be computed for many at a time.
    ArgumentError
        If it slides at another stride, or windows are to be cut out for it and it has none.
    """
    if isinstance(network, Network):
        return network
    found: Sliding | Stuck
    if isinstance(network, Sliding):
        found = network
    else:
        model = load(network, window)
        found = from_metadata(model) or slide(model, stride)
    if windows != "exact":
        return _of(found, stride, windows)
    cut_out = why_cut_out(found.patch if isinstance(found, Stuck) else found.cropping)
    if cut_out:
        return replace(_of(found, stride, "crops"), cut_out=cut_out)
    try:
        sliding, wanted = exact_at(found, stride)
    except UnsupportedError as error:
        error.add_note(CUT_OUT)
        raise
    return _of_sliding(sliding, wanted, windows)


def _of(found: Sliding | Stuck, stride: Ints | None, windows: str | None) -> Network:
    if isinstance(found, Stuck):
        return _of_patches(found, stride, windows)
    return _of_sliding(found, stride, windows)


def _of_sliding(sliding: Sliding, stride: Ints | None, windows: str | None) -> Network:
    """Keep every so many of the windows of a sliding network; cut out, they stand anywhere."""
    rank = len(sliding.window)
    wanted = sliding.stride if stride is None else per_axis(stride, rank, "stride")
    apart = any(n % m for n, m in zip(wanted, sliding.stride, strict=True))
    if apart and windows not in ("exact", "crops"):
        raise ArgumentError(
            f"the network slides by {sliding.stride}, and a scan of it by multiples of that, not "
            f"by {stride}: make it from the patch network again, with this stride"
        )
    layout = NetworkLayout.of(sliding.model)
    return Network(sliding.cropping, layout, sliding.window, wanted, sliding.outputs, sliding)


def _of_patches(stuck: Stuck, stride: Ints | None, windows: str | None) -> Network:
    """Take a network that can't slide for windows that are cut out."""
    if windows != "crops":
        stuck.error.add_note(EXACT_INSTEAD)
        raise stuck.error
    if stride is None:
        raise ArgumentError(
            f"the network can't slide, and so has no stride of its own ({stuck.error}): give "
            f"stride (--stride), the pixels from one window to the next"
        )
    model = stuck.patch
    layout = NetworkLayout.of(model, stuck.axes)
    shape = data_inputs(model.graph)[0].shape
    sizes = () if shape is None else shape.dims
    window = tuple(int(str(sizes[axis])) for axis in stuck.axes)
    apart = per_axis(stride, len(window), "stride")
    return Network(model, layout, window, apart, _outputs(model, layout, window), stuck)


def _outputs(
    model: ir.Model, layout: NetworkLayout, window: tuple[int, ...]
) -> dict[str, tuple[int, np.dtype[Any]]]:
    """Run a patch network once, and see how many scores of a window each output has."""
    count = fixed_batch(data_inputs(model.graph)) or 1
    made = seen(model, layout.shape(window, count), ONNXRUNTIME)
    outputs = {}
    for output in model.graph.outputs:
        shape, dtype = made[output]
        if not shape or shape[0] != count:
            raise UnsupportedError(
                f"the output {output.name!r} of {count} windows has the shape {shape}: to score "
                f"windows, the batch needs to be its first axis"
            )
        outputs[str(output.name)] = (math.prod(shape[1:]), dtype)
    return outputs


def shared_if_exact(network: Network) -> str:
    """Let windows share a pass, if each then scores as when it is cut out.

    Raises
    ------
    UnsupportedError
        If that is for the user to choose.
    """
    if network.exact:
        return "shared"
    raise UnsupportedError(
        f"{'; '.join(network.reasons)}: at the border of a window the network sees zeros, inside "
        f"an image real pixels, so that scores of one pass are not those of the windows. Choose: "
        f"windows='shared' (--windows shared), fast, the fully convolutional convention, or "
        f"windows='exact' (--windows exact), each window scored as when it is cut out, slower"
    )


def labels_of(network: Network, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Name the channels of the first output; by numbers, if no names are given.

    Raises
    ------
    ArgumentError
        If there are not as many names, each another.
    """
    first, (count, _) = next(iter(network.outputs.items()))
    if labels is None:
        return (first,) if count == 1 else tuple(map(str, range(count)))
    names = check_sequence(labels, str, "labels")
    if len(names) != count or len(set(names)) != count:
        raise ArgumentError(
            f"the output {first!r} needs {count} labels, no two the same, got {len(names)}: "
            f"{', '.join(names)}"
        )
    return names


@contextmanager
def explained(network: Network) -> Iterator[None]:
    """Say, where an image does not fit, that the network takes no more than rows of numbers."""
    try:
        yield
    except ImageError as error:
        if len(network.window) == 1 and network.layout.channel is None:
            error.add_note(
                f"The network takes rows of {network.window[0]} numbers, no channels and no second "
                f"axis: it slides along one row, an array (W,). To slide over pictures it needs an "
                f"input (N, C, H, W): export it with what flattens them"
            )
        raise


def digest(model: ir.Model) -> str:
    """Hash a network: its nodes and its weights."""
    found = hashlib.blake2b(repr(sorted(model.opset_imports.items())).encode())
    for node in model.graph:
        values = [None if v is None else v.name for v in (*node.inputs, *node.outputs)]
        described = (node.domain, node.op_type, values, attribute_bytes(node))
        found.update(repr(described).encode())
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            array = np.ascontiguousarray(value.const_value.numpy())
            found.update(repr((name, array.dtype.name, array.shape)).encode())
            found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()
