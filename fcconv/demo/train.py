"""Train the face classifier of the demo: ``python -m fcconv.demo.train``.

Faces come from scikit-image's ``lfw_subset`` (25x25 grey), windows without faces from the other
half of that set and from photos without people. After each round the network slides over these
photos, and the windows that it takes for faces join the training set. The last 20 pictures of
each half of ``lfw_subset`` are held out for the final figure; ``astronaut.png``, the demo's photo,
is never seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import click
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
import skimage as ski
from rich.progress import track

from fcconv.demo.network import WINDOW, convolutionize, crops, face_network, run, stride
from fcconv.demo.photos import grey, pyramid

Windows: TypeAlias = npt.NDArray[np.float32]
"""Windows ``(N, 1, WINDOW, WINDOW)`` with values from 0 to 1."""

Parameters: TypeAlias = dict[str, jax.Array]

SHAPES = {
    "conv1.weight": (16, 1, 5, 5),
    "conv2.weight": (32, 16, 3, 3),
    "dense1.weight": (64, 32 * 5 * 5),
    "dense2.weight": (1, 64),
}
PHOTOS = (
    "brick", "cell", "chelsea", "coffee", "colorwheel", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "microaneurysms", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
HELD_OUT = 20
ROUNDS = 5
BATCH = 64
MINED_PER_IMAGE = 60


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(out: Path, steps: int, seed: int) -> None:
    """Train the face classifier for --steps a round and write its arrays to --out."""
    parameters = train([grey(getattr(ski.data, name)()) for name in PHOTOS], steps, seed)
    faces, others = held_out_accuracy(parameters)
    click.echo(f"held out: {faces} of {HELD_OUT} faces, {others} of {HELD_OUT} others right")
    np.savez(out, **{name: np.asarray(array) for name, array in parameters.items()})


def train(photos: Iterable[npt.NDArray[np.float32]], steps: int, seed: int) -> Parameters:
    """Train in rounds; after each, mine the photos for false alarms."""
    rng = np.random.default_rng(seed)
    images = [image for photo in photos for _, image in pyramid(photo, WINDOW)]
    faces, others = lfw_subset()
    faces = np.stack([distort(face[0], rng) for face in faces for _ in range(60)])[:, None]
    others = np.concatenate([*[others] * 5, random_windows(images, 15_000, rng)])
    false_alarms = others[:0]
    parameters = initial_parameters(seed)
    step, state = optimizer(parameters, steps * ROUNDS)
    for number in range(1, ROUNDS + 1):
        for _ in track(range(steps), f"round {number} of {ROUNDS}"):
            mined = min(len(false_alarms), BATCH)
            negative = [draw(others, 2 * BATCH - mined, rng), draw(false_alarms, mined, rng)]
            batch = np.concatenate([draw(faces, BATCH, rng), *negative])
            labels = np.arange(len(batch)) < BATCH
            parameters, state = step(parameters, state, vary(batch, rng), labels)
        found = list(mine(parameters, images))
        click.echo(f"{sum(map(len, found))} windows without a face that look like one")
        false_alarms = np.concatenate([false_alarms, *found])
    return parameters


def lfw_subset(held_out: bool = False) -> tuple[Windows, Windows]:
    """Load the faces and the other windows to train with, or those that are held out."""
    pictures = ski.data.lfw_subset().astype(np.float32)[:, None]
    part = slice(100 - HELD_OUT, None) if held_out else slice(100 - HELD_OUT)
    return pictures[:100][part], pictures[100:][part]


def distort(face: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Turn, scale and shift a face a little."""
    similarity = ski.transform.SimilarityTransform
    centre = (WINDOW - 1) / 2
    to_origin = similarity(translation=(-centre, -centre))
    turn = similarity(scale=rng.uniform(0.85, 1.12), rotation=rng.uniform(-0.25, 0.25))
    back = similarity(translation=centre + rng.uniform(-1.2, 1.2, 2))
    warped = ski.transform.warp(face, (to_origin + turn + back).inverse, mode="reflect", order=1)
    return np.asarray(warped, np.float32)


def random_windows(
    images: list[npt.NDArray[np.float32]], count: int, rng: np.random.Generator
) -> Windows:
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
    return np.clip(x + rng.normal(0, 0.02, x.shape), 0, 1).astype(np.float32)


def initial_parameters(seed: int) -> Parameters:
    """Draw weights by He's rule (He et al., *Delving deep into rectifiers*, 2015, section 2.2)."""
    keys = jax.random.split(jax.random.key(seed), len(SHAPES))
    parameters: Parameters = {}
    for key, (name, shape) in zip(keys, SHAPES.items(), strict=True):
        spread = math.sqrt(2 / math.prod(shape[1:]))
        parameters[name] = spread * jax.random.normal(key, shape, jnp.float32)
        parameters[name.replace("weight", "bias")] = jnp.zeros(shape[0], jnp.float32)
    return parameters


def optimizer(parameters: Parameters, steps: int) -> tuple[Callable[..., Any], Any]:
    """Return a compiled training step and the optimizer's first state."""
    rule = optax.adamw(optax.cosine_decay_schedule(2e-3, steps), weight_decay=1e-2)

    def loss(parameters: Parameters, windows: jax.Array, labels: jax.Array) -> jax.Array:
        scores = run(face_network(parameters), windows)[:, 0]
        return optax.sigmoid_binary_cross_entropy(scores, labels.astype(jnp.float32)).mean()

    @jax.jit
    def step(
        parameters: Parameters, state: optax.OptState, windows: jax.Array, labels: jax.Array
    ) -> tuple[Parameters, optax.OptState]:
        updates, state = rule.update(jax.grad(loss)(parameters, windows, labels), state, parameters)
        return optax.apply_updates(parameters, updates), state

    return step, rule.init(parameters)


def mine(parameters: Parameters, images: Iterable[npt.NDArray[np.float32]]) -> Iterator[Windows]:
    """Yield, an image, the windows with the highest scores above -1."""
    network = face_network({name: np.asarray(array) for name, array in parameters.items()})
    sliding = convolutionize(network, (1, WINDOW, WINDOW))
    for image in images:
        scores = run(sliding, image[None, None])[0, 0]
        best = np.argsort(-scores, axis=None)[:MINED_PER_IMAGE]
        rows, columns = np.unravel_index(best[scores.flat[best] > -1], scores.shape)
        yield crops(image, stride(network))[rows, columns]


def held_out_accuracy(parameters: Parameters) -> tuple[int, int]:
    """Count the held out faces and others that are scored right."""
    network = face_network(parameters)
    faces, others = (run(network, jnp.asarray(part)) for part in lfw_subset(held_out=True))
    return int((faces > 0).sum()), int((others <= 0).sum())


if __name__ == "__main__":
    main()
