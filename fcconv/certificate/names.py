"""Values that compute the same get the same names: names only help to say where networks meet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from fcconv.errors import FcconvError
from fcconv.graph.node import Node
from fcconv.graph.rules.writer import free_name, names_in
from fcconv.graph.running.run import program_of
from fcconv_modular import Field
from fcconv_modular.residues import Residues


def name_alike(
    original: ir.Model, rewritten: ir.Model, field: Field, inputs: Sequence[Residues]
) -> bool:
    """Name the values of a network as those of another one that they equal in a field.

    It is for networks of which the batch alone is free. Nothing is believed for it: a wrong name
    leads to a comparison that fails.

    Returns
    -------
    bool
        Whether both networks could be run.
    """
    try:
        wanted, found = (_contents(model, field, inputs) for model in (original, rewritten))
    except FcconvError:
        return False
    fixed = {v.name for v in (*rewritten.graph.inputs, *rewritten.graph.initializers.values())}
    names: dict[bytes, list[str]] = {}
    for value, content in wanted.items():
        if value.name not in fixed:
            names.setdefault(content, []).append(str(value.name))
    taken = names_in(original) | names_in(rewritten)
    values = [value for node in rewritten.graph for value in node.outputs]
    for value in values:
        if not value.is_graph_output():
            alike = names.get(found.get(value, b""))
            value.name = alike.pop(0) if alike else free_name(str(value.name), taken)
    return True


def _contents(model: ir.Model, field: Field, inputs: Sequence[Residues]) -> dict[ir.Value, bytes]:
    """Hash what each node makes, but for shapes; one of unknown shape gets that of the run."""
    made: dict[ir.Value, bytes] = {}

    def keep(node: Node, outputs: tuple[Residues, ...]) -> None:
        for value, output in zip(node.ir.outputs, outputs, strict=False):
            content = hashlib.blake2b(f"{output.dtype} {output.shape}".encode())
            content.update(np.ascontiguousarray(output.numbers, np.int64).data)
            if not value.is_graph_output():
                made[value] = content.digest()
            if value.shape is None:
                value.shape = ir.Shape([None, *output.shape[1:]])

    program = program_of(model)
    program.run_batches(field, program.parameters(field), inputs, keep)
    return made
