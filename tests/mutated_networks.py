"""Networks damaged at random, in what they say or in their bytes: number for number the same."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

import graph_mutations
import node_mutations
import weight_mutations
from bases_to_mutate import bases
from mutation_choices import Draw

MUTATIONS = {
    function.__name__.replace("_", " "): function
    for part in (node_mutations, weight_mutations, graph_mutations)
    for function in part.MUTATIONS
}

TIMES = (1, 1, 1, 2, 3)
"""How many mutations a network has."""


@dataclass(frozen=True)
class Mutant:
    """A damaged network: what was done to it, and the bytes of its file."""

    names: tuple[str, ...]
    content: bytes


def mutant(number: int) -> Mutant:
    """Make the mutant of a number."""
    draw = random.Random(number)
    model = onnx.ModelProto()
    base = draw.randrange(len(_bases()))
    model.CopyFrom(_bases()[base])
    names = [f"base {base}"]
    for _ in range(draw.choice(TIMES)):
        name = draw.choice(list(MUTATIONS))
        names.append(name)
        try:
            MUTATIONS[name](draw, model)
        except (IndexError, OverflowError, TypeError, ValueError):  # it fits nothing that is left
            names[-1] += " (nothing to do)"
    content = model.SerializeToString()
    if draw.random() < 0.1:
        name = draw.choice(list(DAMAGES))
        names.append(name)
        content = DAMAGES[name](draw, content)
    return Mutant(tuple(names), content)


@functools.cache
def _bases() -> list[onnx.ModelProto]:
    return bases()


def write(damaged: Mutant, folder: Path) -> Path:
    """Write a mutant, and the files that it may refer to."""
    path = folder / "model.onnx"
    path.write_bytes(damaged.content)
    (folder / "weights").write_bytes(bytes(range(256)) * 16)
    (folder / "folder").mkdir(exist_ok=True)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/etc/passwd")
    return path


def bytes_cut(draw: Draw, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def bit_flipped(draw: Draw, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 4))):
        place = draw.randrange(min(len(changed), draw.choice((200, 2000, 2**30))))
        changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed)


def bytes_inserted(draw: Draw, content: bytes) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + draw.randbytes(draw.choice((1, 10, 100))) + content[place:]


def bytes_dropped(draw: Draw, content: bytes) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + content[place + draw.choice((1, 10, 100)) :]


DAMAGES: dict[str, Callable[[Draw, bytes], bytes]] = {
    "bytes cut off": bytes_cut,
    "bits flipped": bit_flipped,
    "bytes inserted": bytes_inserted,
    "bytes dropped": bytes_dropped,
}
