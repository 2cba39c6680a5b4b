"""The suite of peers: what a user would pick instead, beside fcconv on the same work.

Each contender is what a user writes (:mod:`fcconv_bench.user_code`). What it sets up at first is in
its memory, and in no time.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fcconv_bench import layered, user_code, works
from fcconv_bench.layered import Dense
from fcconv_bench.suite import CPU, Facts, Prepared, Suite
from fcconv_bench.user_code import Scores
from fcconv_bench.works import Work

Array = npt.NDArray[Any]
Code = Callable[[Any, tuple[int, ...], int], Scores]

SCAN = "fcconv"


class Form(NamedTuple):
    """In what form a library takes networks and images."""

    network: Callable[[Work], Any]
    image: Callable[[Array], Any]


def _tensor(image: Array) -> Any:
    import torch

    return torch.from_numpy(image)


def _channels_last(image: Array) -> Any:
    import jax

    return jax.numpy.asarray(np.moveaxis(image, 0, -1))


FORMS = {
    "file": Form(Work.saved, np.asarray),
    "torch": Form(lambda work: layered.torch_module(work.network), _tensor),
    "jax": Form(lambda work: layered.jax_function(work.network), _channels_last),
    "sklearn": Form(lambda work: layered.sklearn_model(work.network), lambda image: image[0]),
}


@dataclass(frozen=True)
class Peer:
    """A way to score windows.

    Attributes
    ----------
    name : str
        What it is called.
    libraries : tuple of str
        What it needs.
    form : str
        How it takes networks and images: one of `FORMS`.
    images, sound : callable, optional
        What a user writes, for images and for recordings.
    outputs_first : bool
        Whether outputs are the first axis of its scores, or the last.
    platform : str
        What it runs on.
    is_resident : bool
        Its peak is that of resident memory.
    """

    name: str
    libraries: tuple[str, ...]
    form: str
    images: Code
    sound: Code | None = None
    outputs_first: bool = False
    platform: str = CPU
    is_resident: bool = True

    def __str__(self) -> str:
        """Name it."""
        return self.name

    def can(self, work: Work) -> bool:
        """Whether a user can write it; scikit-learn knows dense layers only."""
        are_dense = all(isinstance(layer, Dense) for layer in work.network.layers)
        is_written = len(work.size) > 1 or self.sound is not None
        return is_written and (are_dense or self.form != "sklearn")

    def prepare(self, work: Work) -> Prepared:
        """Make network and image; the first call sets up what a user's script does."""
        whole, form = work.windows, FORMS[self.form]
        work = work if self.name == SCAN else work.part()
        code = self.code(work)
        network, image = form.network(work), form.image(work.image())
        begun = functools.cache(lambda: code(network, work.network.window, work.stride))

        def call() -> Array:
            made = np.asarray(begun()(image))
            return made if self.outputs_first else np.moveaxis(made, -1, 0)

        facts = Facts(output_bytes=0, calls=whole / work.windows, lines=user_code.lines_of(code))
        return Prepared(
            call, facts, None if self.name == SCAN else functools.partial(self.check, work)
        )

    def code(self, work: Work) -> Code:
        """Return what a user writes."""
        return self.images if self.sound is None or len(work.size) > 1 else self.sound

    def check(self, work: Work, made: Array) -> None:
        """Check that scores are those of fcconv, bit for bit.

        Raises
        ------
        RuntimeError
            If they are not.
        """
        expected = PEERS[0].prepare(work).call()
        if not np.array_equal(made, expected):
            raise RuntimeError(f"{self} scores {work.name} otherwise than {SCAN}")


PEERS = (
    Peer(
        SCAN, ("onnxruntime",), "file", user_code.fcconv_scan, user_code.fcconv_scan,
        outputs_first=True,
    ),
    Peer("MONAI", ("torch", "monai"), "torch", user_code.monai_images, outputs_first=True),
    Peer("torch unfold", ("torch",), "torch", user_code.torch_images, user_code.torch_sound),
    Peer("jit(vmap)", ("jax",), "jax", user_code.jax_images, user_code.jax_sound),
    Peer("scikit-learn", ("skimage", "sklearn"), "sklearn", user_code.sklearn_images),
    Peer(
        "onnxruntime crops", ("onnxruntime",), "file",
        user_code.onnxruntime_images, user_code.onnxruntime_sound,
    ),
)  # fmt: skip


def suite() -> Suite[Work]:
    """Return works, and what users would pick of what is installed."""
    missing = {
        peer: [name for name in peer.libraries if not importlib.util.find_spec(name)]
        for peer in PEERS
    }
    here = [peer for peer in PEERS if not missing[peer]]
    notes = [
        f"{peer} is left out, without {', '.join(names)}"
        for peer, names in missing.items()
        if names
    ]
    title = "What a user would pick instead"
    return Suite("peers", title, SCAN, (SCAN,), works.works(), lambda _: here, tuple(notes))
