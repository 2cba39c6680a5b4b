"""The certificate: a rewritten network computes what the original computes, proved and measured."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from fcconv.certificate.layerwise import certify_layers
from fcconv.certificate.report import Certificate
from fcconv.certificate.runs import refusal
from fcconv.certificate.sliding import prove_sliding
from fcconv.certificate.weights import share_weights
from fcconv.errors import ArgumentError, ModelError, ShapeError
from fcconv.geometry import integer
from fcconv.graph.files.load import Source, load
from fcconv.graph.files.save import save
from fcconv.graph.rewriting.pointwise import FORM, Pointwise
from fcconv.graph.rewriting.sliding import SLIDING, WINDOW, Sliding, from_metadata, read_metadata
from fcconv.graph.running.run import data_inputs, fixed_batch, of_one_image

SEED_BITS = 64
"""Bits of a seed that the system draws; short enough to be typed again."""

LARGEST_SEED = 2**128 - 1


def certify(
    original: Source,
    rewritten: Source | Sliding | Pointwise,
    *,
    seed: int | None = None,
    window: Sequence[int] | None = None,
) -> Certificate:
    """Prove that a rewritten network computes what the original computes, or say where not.

    Parameters
    ----------
    original : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The patch network.
    rewritten : Sliding, Pointwise, path, onnx.ModelProto or onnx_ir.Model
        Its sliding or pointwise form, from whatever tool. Of a path the file itself is checked,
        too: whether runtimes take it that take the original.
    seed : int, optional
        Chooses the keys and the images. Left out, it is drawn from the system's random source, and
        the certificate tells it, so that a run can be repeated. A seed that is known in advance
        does not protect against somebody who forges a network for it.
    window : sequence of int, optional
        Shape of one input without the batch, where neither network tells it.

    Returns
    -------
    Certificate
        What is proved and measured.

    Raises
    ------
    ModelError
        If one of the two is not a valid network, or they do not fit each other.
    UnsupportedError
        If an operator is not known.
    ArgumentError
        If `seed` makes no sense, or the two are in the wrong order: the first is a rewriting by its
        metadata, the second is not, and they differ.

    Examples
    --------
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> certificate = certify(load_faces(), fcconv.convolutionize(load_faces(), stride=2))
    >>> certificate.exact, certificate.windows, certificate.equal
    (True, 9, 9)
    """
    seed = integer(secrets.randbits(SEED_BITS) if seed is None else seed, "seed", 0, LARGEST_SEED)
    second = load(rewritten)
    if window is not None and FORM in second.metadata_props:
        second = load(rewritten, window)  # its sizes are as free as the original's
    try:
        first = load(original, _patch_shape(second) if window is None else window)
    except ShapeError as error:
        raise ModelError(f"the two networks do not fit each other: {error}") from error
    share_weights(first, second)
    try:
        made = _proved(first, second, seed)
    except ShapeError:  # the original takes one image only, though it says that its batch is free
        if fixed_batch(data_inputs(first.graph)) is not None:
            raise
        slides = bool(_freed_axes(first, second))
        made = _proved(of_one_image(first), second if slides else of_one_image(second), seed)
    if not made.holds and _is_marked(first) and not _is_marked(second):
        raise ArgumentError(
            "the networks look exchanged: by its metadata the first is a rewriting by fcconv, and "
            "the second is not: give the original first, certify(original, rewritten), or "
            "fcconv verify ORIGINAL REWRITTEN"
        )
    if made.holds and isinstance(rewritten, str | Path):
        made = _with_runs(made, original, Path(rewritten), first, second)
    return replace(made, seed=seed)


def _proved(first: ir.Model, second: ir.Model, seed: int) -> Certificate:
    """Compare two networks."""
    rng = np.random.default_rng(seed)
    axes = _freed_axes(first, second)
    if axes:
        return _with_metadata(prove_sliding(first, second, axes, rng), second)
    return certify_layers(first, second, rng)


def _is_marked(model: ir.Model) -> bool:
    """Whether a network says that fcconv rewrote it."""
    return SLIDING in model.metadata_props or FORM in model.metadata_props


def _with_runs(
    certificate: Certificate, original: Source, file: Path, first: ir.Model, second: ir.Model
) -> Certificate:
    """Refuse a file that runtimes do not take, though they take the original."""
    inputs = data_inputs(first.graph), data_inputs(second.graph)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "original.onnx"
        if isinstance(original, str | Path):
            source = Path(original)
        else:
            save(first, source)
        refused = refusal(source, file, *inputs)
    if refused is None:
        return certificate
    return replace(certificate, exact=False, holds=False, difference=refused)


def _with_metadata(certificate: Certificate, rewritten: ir.Model) -> Certificate:
    """Refuse a network that says of itself what its nodes do not show."""
    if not certificate.holds:
        return certificate
    try:
        from_metadata(rewritten)
    except ModelError as error:
        return replace(certificate, exact=False, holds=False, difference=str(error))
    return certificate


def _patch_shape(rewritten: ir.Model) -> list[int] | None:
    """Read the shape of one patch, without the batch, off a network that fixes or tells it."""
    shape = rewritten.graph.inputs[0].shape if len(rewritten.graph.inputs) == 1 else None
    if shape is None:
        return None
    free = [n for n in shape.dims[1:] if not isinstance(n, int)]
    window = read_metadata(rewritten, WINDOW, len(free)) if free else ()
    if window is None:
        return None
    sizes = iter(window)
    return [n if isinstance(n, int) else next(sizes) for n in shape.dims[1:]]


def _freed_axes(original: ir.Model, rewritten: ir.Model) -> tuple[int, ...]:
    """Find the input axes that the original fixes and the rewritten network leaves free."""
    shapes = []
    for model in (original, rewritten):
        inputs = data_inputs(model.graph)
        if len(inputs) != 1 or inputs[0].shape is None:
            return ()
        shapes.append(inputs[0].shape.dims)
    first, second = shapes
    if len(first) != len(second):
        raise ModelError(f"the inputs of shape {first} and {second} do not fit each other")
    pairs = list(enumerate(zip(first, second, strict=True)))[1:]
    for _, (n, m) in pairs:
        if isinstance(n, int) and isinstance(m, int) and n != m:
            raise ModelError(f"the inputs of shape {first} and {second} do not fit each other")
    return tuple(a for a, (n, m) in pairs if isinstance(n, int) and not isinstance(m, int))
