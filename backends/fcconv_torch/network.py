"""A network as a module of PyTorch, with its weights as parameters by their names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast, overload

import torch
from torch import nn


class Network(nn.Module):
    """A compiled network whose weights are parameters; :func:`as_module` makes it.

    Parameters
    ----------
    compiled : fcconv.Compiled
        The network as a function of its weights.
    paths : mapping of str to str
        Where the parameter lies that is a weight, by the name of the weight.
    traced : callable
        What ``torch.compile`` follows tensor by tensor: takes the weights and the inputs.
    """

    def __init__(self, compiled: Any, paths: Mapping[str, str], traced: Callable[..., Any]) -> None:
        super().__init__()
        self.engine: str = compiled.engine
        self.inputs: Sequence[Any] = compiled.inputs
        self.trainable: frozenset[str] = compiled.trainable
        self._compiled, self._paths, self._traced = compiled, paths, traced

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by the names that the weights have in the network."""
        return {name: operator.attrgetter(path)(self) for name, path in self._paths.items()}

    def forward(self, *inputs: Any) -> Any:
        """Compute on tensors, or on arrays, which are copied to where the weights are."""
        if torch.compiler.is_dynamo_compiling():
            return self._traced(*self.params.values(), *inputs)
        return self.apply(self.params, *inputs)

    @overload
    def apply(self, fn: Callable[[nn.Module], None]) -> Any: ...
    @overload
    def apply(self, fn: Mapping[str, Any], *inputs: Any) -> Any: ...
    def apply(self, fn: Any, *inputs: Any) -> Any:
        """Compute with other weights, or apply a function to each module, as any module does."""
        if callable(fn):
            return super().apply(cast("Callable[[nn.Module], None]", fn))
        with _beside([*fn.values(), *inputs]):
            return self._compiled.apply(fn, *inputs)

    def __repr__(self) -> str:
        """Name the engine and the inputs."""
        return repr(self._compiled)

    def __reduce__(self) -> Any:
        """Refuse to be pickled, and say what can be."""
        return self._compiled.__reduce__()


def as_module(compiled: Any) -> Network:
    """Make a module of a compiled network, which gives it its weights."""

    def traced(*tensors: torch.Tensor) -> Any:
        count = len(paths)
        given = dict(zip(paths, tensors[:count], strict=True))
        return made.apply(given, *tensors[count:])

    paths: dict[str, str] = {}
    made = Network(compiled, paths, cast("Any", torch.compiler).allow_in_graph(traced))
    for name, weight in compiled.params.items():
        # one and the same, where it may move to
        compiled.params[name] = nn.Parameter(weight, requires_grad=name in compiled.trainable)
        paths[name] = _register(made, name, compiled.params[name])
    return made


def _register(root: nn.Module, name: str, weight: nn.Parameter) -> str:
    """Make a weight a parameter of its name; return that, or another one if that can't be."""
    path = name
    while not _is_free(root, path):
        path = path.replace(".", "_") + "_"
    *folders, last = path.split(".")
    for folder in folders:
        if folder not in root._modules:
            root.add_module(folder, nn.Module())
        root = root.get_submodule(folder)
    root.register_parameter(last, weight)
    return path


def _is_free(root: nn.Module, path: str) -> bool:
    """Say whether there can be a parameter: modules have attributes, of which it can be none."""
    *folders, last = path.split(".")
    for folder in folders:
        found = root._modules.get(folder)
        if not folder or (found is None and hasattr(root, folder)):
            return False
        root = nn.Module() if found is None else found
    return bool(last) and not hasattr(root, last)


def _beside(tensors: Sequence[Any]) -> AbstractContextManager[Any]:
    """Let what is made of numbers lie where the first tensor is."""
    devices = (tensor.device for tensor in tensors if isinstance(tensor, torch.Tensor))
    device = next(devices, None)
    if device is None or device == torch.get_default_device():
        return nullcontext()
    return device
