"""What a user writes to score every window: with fcconv, and with what else there is.

Each function takes a network in the form of its library, the window and the stride, and returns the
function of an image; all that it holds is what a script would hold, imports included, and is
counted. Scores come as a map, an axis of outputs before or behind those of the cells.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeAlias

Scores: TypeAlias = Callable[[Any], Any]


def lines_of(code: Callable[..., Any]) -> int:
    """Count the lines that the body of a function has, without docstring, comments and gaps."""
    source = textwrap.dedent(inspect.getsource(code))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    first, *_, last = function.body[ast.get_docstring(function) is not None :]
    lines = source.splitlines()[first.lineno - 1 : last.end_lineno]
    return sum(bool(line.partition("#")[0].strip()) for line in lines)


def fcconv_scan(network: str, _window: tuple[int, ...], stride: int) -> Scores:
    """Scan, which cuts an image into tiles; the network is a file of ONNX."""
    import fcconv

    def scores(image: Any) -> Any:
        found = fcconv.scan(network, image, stride=stride, windows="exact", engine="onnxruntime")
        return found.scores

    return scores


def monai_images(network: Any, window: tuple[int, ...], stride: int) -> Scores:
    """Slide windows by MONAI, and blend none: the first cell of a window holds its score."""
    import torch
    from monai.inferers import sliding_window_inference  # pyright: ignore[reportMissingImports]

    cells = window[0] // stride
    first = torch.zeros(window)
    first[:stride, :stride] = 1

    def predictor(patches: Any) -> Any:
        made = network(patches)[:, :, None, None]
        return torch.nn.functional.pad(made, (0, cells - 1, 0, cells - 1))

    def scores(image: Any) -> Any:
        with torch.inference_mode():
            maps = sliding_window_inference(
                image[None], window, 128, predictor, 1 - 1 / cells, roi_weight_map=first
            )
        return maps[0, :, : maps.shape[2] - cells + 1, : maps.shape[3] - cells + 1]

    return scores


def torch_images(network: Any, window: tuple[int, ...], stride: int) -> Scores:
    """Unfold an image, and score a row of windows at a time."""
    import torch

    def scores(image: Any) -> Any:
        rows = image.unfold(1, window[0], stride).unfold(2, window[1], stride)
        with torch.inference_mode():
            made = [network(row.transpose(0, 1)) for row in rows.unbind(1)]
        return torch.stack(made)

    return scores


def torch_sound(network: Any, window: tuple[int, ...], stride: int) -> Scores:
    """Unfold a recording, and score 256 windows at a time."""
    import torch

    def scores(sound: Any) -> Any:
        windows = sound.unfold(1, window[0], stride).transpose(0, 1)
        with torch.inference_mode():
            return torch.cat([network(batch) for batch in windows.split(256)])

    return scores


def jax_images(network: Any, window: tuple[int, ...], stride: int) -> Scores:
    """Slice windows under vmap, a row at a time: all at once would not fit into memory."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def scores(image: Any) -> Any:
        size = (*window, image.shape[2])
        tops = jnp.arange(0, image.shape[0] - window[0] + 1, stride)
        lefts = jnp.arange(0, image.shape[1] - window[1] + 1, stride)

        def score(top: Any, left: Any) -> Any:
            return network(jax.lax.dynamic_slice(image, (top, left, 0), size))

        return jax.lax.map(lambda top: jax.vmap(score, (None, 0))(top, lefts), tops)

    return scores


def jax_sound(network: Any, window: tuple[int, ...], stride: int) -> Scores:
    """Slice windows under vmap, 256 at a time: all at once would not fit into memory."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def scores(sound: Any) -> Any:
        def score(start: Any) -> Any:
            return network(jax.lax.dynamic_slice_in_dim(sound, start, window[0]))

        starts = jnp.arange(0, sound.shape[0] - window[0] + 1, stride)
        return jax.lax.map(score, starts, batch_size=256)

    return scores


def sklearn_images(network: Any, window: tuple[int, ...], _stride: int) -> Scores:
    """View all windows of a grey image by scikit-image, and predict them by scikit-learn."""
    from skimage.util import view_as_windows

    def scores(image: Any) -> Any:
        windows = view_as_windows(image, window)
        made = network.predict(windows.reshape(-1, window[0] * window[1]))
        return made.reshape(*windows.shape[:2], -1)

    return scores


def onnxruntime_images(network: str, window: tuple[int, ...], stride: int) -> Scores:
    """Crop windows, and score a row of them at a time; the network is a file of ONNX."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(network)
    name = session.get_inputs()[0].name

    def scores(image: Any) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(image, window, (1, 2))
        rows = windows[:, ::stride, ::stride].transpose(1, 2, 0, 3, 4)
        made = [session.run(None, {name: np.ascontiguousarray(row)})[0] for row in rows]
        return np.stack(made)  # pyright: ignore[reportCallIssue, reportArgumentType]

    return scores


def onnxruntime_sound(network: str, window: tuple[int, ...], stride: int) -> Scores:
    """Crop windows, and score 256 of them at a time; the network is a file of ONNX."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(network)
    name = session.get_inputs()[0].name

    def scores(sound: Any) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(sound, window, 1)
        windows = windows[:, ::stride].transpose(1, 0, 2)
        batches = [windows[k : k + 256] for k in range(0, len(windows), 256)]
        made = [session.run(None, {name: np.ascontiguousarray(batch)})[0] for batch in batches]
        return np.concatenate(made)  # pyright: ignore[reportCallIssue, reportArgumentType]

    return scores
