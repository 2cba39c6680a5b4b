"""Train the face classifier of the demo: ``python -m fcconv.demo.train --out faces.onnx``.

Faces come from scikit-image's ``lfw_subset`` (25x25 grey), windows without faces from the other
half of that set, from photos without people, and from the faces themselves, badly framed. After
each round the network slides over the photos, and the windows that it takes for faces join the
training set. The last 20 pictures of each half of ``lfw_subset`` are held out for the final
figure; ``astronaut.png``, the demo's photo, is never seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnx
import optax
import skimage as ski
from rich.progress import track
from skimage.transform import SimilarityTransform

import fcconv
from fcconv.demo.network import WINDOW, crops, face_network
from fcconv.demo.photos import Image, grey, pyramid

Windows: TypeAlias = npt.NDArray[np.float32]
"""Windows ``(N, 1, WINDOW, WINDOW)`` with values from 0 to 1."""

Parameters: TypeAlias = dict[str, jax.Array]
Step: TypeAlias = Callable[..., tuple[Parameters, Parameters, Any]]

SHAPES = {
    "conv1.weight": (16, 1, 5, 5),
    "conv2.weight": (32, 16, 3, 3),
    "dense1.weight": (64, 32 * 5 * 5),
    "score.weight": (1, 64),
}
PHOTOS = (
    "brick", "cell", "chelsea", "clock", "coffee", "colorwheel", "grass", "gravel",
    "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page", "retina",
    "rocket", "text",
)  # fmt: skip
HELD_OUT = 20
ROUNDS = 5
BATCH = 64
MINED_PER_IMAGE = 60
AVERAGED_STEPS = 500


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--steps", type=click.IntRange(min=1), default=600, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(out: Path, steps: int, seed: int) -> None:
    """Train the face classifier for --steps a round and write its arrays to --out."""
    parameters = train(photos(), steps, seed)
    faces, others = held_out_accuracy(parameters)
    click.echo(f"held out: {faces} of {HELD_OUT} faces, {others} of {HELD_OUT} others right")
    onnx.save(to_onnx(parameters), out)


def to_onnx(parameters: Parameters) -> onnx.ModelProto:
    """Build the network that has these parameters."""
    return face_network({name: np.asarray(array) for name, array in parameters.items()})


def photos() -> list[Image]:
    """Load the photos without people."""
    loaded = [getattr(ski.data, name)() for name in PHOTOS]
    return [grey(photo) for photo in (*loaded, *ski.data.stereo_motorcycle()[:2])]


def train(photos: Sequence[Image], steps: int, seed: int) -> Parameters:
    """Train in rounds; after each, mine the photos for false alarms."""
    rng = np.random.default_rng(seed)
    upright = [image for photo in photos for _, image in pyramid(photo, WINDOW)]
    images = upright + [np.ascontiguousarray(image[::-1, ::-1]) for image in upright]
    lfw_faces, lfw_others = lfw_subset()
    faces = np.concatenate([distort(lfw_faces, rng) for _ in range(60)])
    misframed = np.concatenate([misframe(lfw_faces, rng) for _ in range(20)])
    others = np.concatenate([*[lfw_others] * 5, misframed, random_windows(images, 15_000, rng)])
    false_alarms = others[:0]
    parameters = average = initial_parameters(seed)
    step, state = optimizer(parameters, steps * ROUNDS)
    for number in range(1, ROUNDS + 1):
        for _ in track(range(steps), f"round {number} of {ROUNDS}"):
            mined = min(len(false_alarms), BATCH)
            negative = [draw(others, 2 * BATCH - mined, rng), draw(false_alarms, mined, rng)]
            batch = vary(np.concatenate([draw(faces, BATCH, rng), *negative]), rng)
            labels = np.float32(np.arange(len(batch)) < BATCH)
            parameters, average, state = step(parameters, state, batch, labels)
        found = list(mine(average, images))
        click.echo(f"{sum(map(len, found))} windows without a face look like one")
        false_alarms = np.concatenate([false_alarms, *found])
    return average


def lfw_subset(held_out: bool = False) -> tuple[Windows, Windows]:
    """Load the faces and the other windows to train with, or those that are held out."""
    pictures = ski.data.lfw_subset().astype(np.float32)[:, None]
    part = slice(100 - HELD_OUT, None) if held_out else slice(100 - HELD_OUT)
    return pictures[:100][part], pictures[100:][part]


def distort(faces: Windows, rng: np.random.Generator) -> Windows:
    """Turn, scale and shift each face a little."""
    return np.stack(
        [
            warp(face, rng.uniform(0.85, 1.12), rng.uniform(-0.25, 0.25), rng.uniform(-1.2, 1.2, 2))
            for face in faces
        ]
    )


def misframe(faces: Windows, rng: np.random.Generator) -> Windows:
    """Make each face far too small or far too large, or shift it by half a window."""
    windows = []
    for face in faces:
        if rng.random() < 0.5:
            scale = rng.uniform(*[(0.45, 0.6), (1.6, 2.2)][rng.integers(2)])
            windows.append(warp(face, scale, 0, np.zeros(2)))
        else:
            direction = rng.uniform(0, 2 * math.pi)
            far = rng.uniform(8, 14) * np.array([math.cos(direction), math.sin(direction)])
            windows.append(warp(face, 1, 0, far))
    return np.stack(windows)


def warp(
    window: npt.NDArray[np.float32], scale: float, angle: float, shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Scale and turn a window ``(1, H, W)`` about its centre, and shift it."""
    centre = np.full(2, (WINDOW - 1) / 2)
    to_origin = SimilarityTransform(translation=-centre)
    turn = SimilarityTransform(scale=scale, rotation=angle)
    back = SimilarityTransform(translation=centre + shift)
    inverse = np.linalg.inv(back.params @ turn.params @ to_origin.params)
    warped = ski.transform.warp(window[0], inverse, mode="reflect", order=1)
    return np.asarray(warped, np.float32)[None]


def random_windows(images: Sequence[Image], count: int, rng: np.random.Generator) -> Windows:
    """Cut windows at random; large images give more."""
    sides = np.sqrt([image.size for image in images])
    windows = np.empty((count, 1, WINDOW, WINDOW), np.float32)
    for target, number in zip(
        windows, rng.choice(len(images), count, p=sides / sides.sum()), strict=True
    ):
        image = images[number]
        top, left = (rng.integers(n - WINDOW + 1) for n in image.shape)
        target[0] = image[top : top + WINDOW, left : left + WINDOW]
    return windows


def draw(windows: Windows, count: int, rng: np.random.Generator) -> Windows:
    """Draw `count` windows, with repetition."""
    return windows[rng.integers(len(windows), size=count)] if count else windows[:0]


def vary(windows: Windows, rng: np.random.Generator) -> Windows:
    """Mirror half of the windows, and change brightness, contrast, gamma and noise."""
    shape = (len(windows), 1, 1, 1)
    x = np.where(rng.random(shape) < 0.5, windows, windows[..., ::-1])
    x = x ** np.exp(rng.uniform(-0.5, 0.5, shape))
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    x = (x - mean) * rng.uniform(0.5, 1.4, shape) + mean + rng.uniform(-0.2, 0.2, shape)
    noisy = np.clip(x + rng.normal(0, 0.02, x.shape), 0, 1)
    return np.asarray(noisy, np.float32)


def initial_parameters(seed: int) -> Parameters:
    """Draw weights by He's rule (He et al., *Delving deep into rectifiers*, 2015, section 2.2)."""
    keys = jax.random.split(jax.random.key(seed), len(SHAPES))
    parameters: Parameters = {}
    for key, (name, shape) in zip(keys, SHAPES.items(), strict=True):
        spread = math.sqrt(2 / math.prod(shape[1:]))
        parameters[name] = spread * jax.random.normal(key, shape, jnp.float32)
        parameters[name.replace("weight", "bias")] = jnp.zeros(shape[0], jnp.float32)
    return parameters


def optimizer(parameters: Parameters, steps: int) -> tuple[Step, Any]:
    """Return a compiled training step and its first state.

    The step also returns a running mean of the parameters, which varies less from run to run.
    """
    network = fcconv.compile(to_onnx(parameters), "jax")
    rule = optax.adamw(optax.cosine_decay_schedule(2e-3, steps), weight_decay=1e-2)
    averaging = optax.ema(1 - 1 / AVERAGED_STEPS)

    def loss(parameters: Parameters, windows: jax.Array, labels: jax.Array) -> jax.Array:
        scores = network.apply(parameters, windows)[:, 0]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(scores, labels))

    @jax.jit
    def step(
        parameters: Any, states: Any, windows: jax.Array, labels: jax.Array
    ) -> tuple[Any, Any, Any]:
        state, means = states
        updates, state = rule.update(jax.grad(loss)(parameters, windows, labels), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        mean, means = averaging.update(parameters, means)
        return parameters, mean, (state, means)

    return step, (rule.init(parameters), averaging.init(parameters))


def mine(parameters: Parameters, images: Sequence[Image]) -> Iterator[Windows]:
    """Yield, an image, the windows with the highest scores above -1."""
    sliding = fcconv.convolutionize(to_onnx(parameters))
    for image in images:
        scores = sliding(image[None, None])[0, 0]
        best = np.argsort(-scores, axis=None)[:MINED_PER_IMAGE]
        rows, columns = np.unravel_index(best[scores.flat[best] > -1], scores.shape)
        yield crops(image, sliding.stride[0])[rows, columns]


def held_out_accuracy(parameters: Parameters) -> tuple[int, int]:
    """Count the held out faces and others that are scored right."""
    network = fcconv.compile(to_onnx(parameters))
    faces, others = (network(part) for part in lfw_subset(held_out=True))
    return int((faces > 0).sum()), int((others <= 0).sum())


if __name__ == "__main__":
    main()
