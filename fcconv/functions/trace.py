"""A function of a patch as a flat list of equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.extend import core

from fcconv.errors import UnsupportedError
from fcconv.functions.entries import called, compute, is_entrywise


@dataclass(frozen=True)
class Equation:
    """One primitive operation.

    Attributes
    ----------
    eqn : jax.extend.core.JaxprEqn
        The operation, with its parameters.
    inputs, outputs : tuple of int
        Numbers of the values that it reads and makes.
    is_entrywise : bool
        Whether it works entry by entry.
    """

    eqn: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_entrywise: bool

    @property
    def op(self) -> str:
        """Name of the primitive."""
        return str(self.eqn.primitive.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first result."""
        return tuple(self.eqn.outvars[0].aval.shape)

    def __str__(self) -> str:
        """Name the primitive, and the line of the user's code that it comes from."""
        frame = next(_frames(self.eqn.source_info), None)
        return self.op if frame is None else f"{self.op} ({frame.file_name}:{frame.start_line})"

    def unsupported(self, reason: str) -> UnsupportedError:
        """Make the error that leaves the operation to each window, or refuses it."""
        return UnsupportedError(f"{self} {reason}")

    def compute(self, *values: Any) -> list[Any]:
        """Compute the operation on arrays of the shapes that it was traced with."""
        return compute(self.eqn, values)


@dataclass
class Trace:
    """The equations of a function, whose values have numbers.

    Attributes
    ----------
    equations : list of Equation
        In order.
    inputs, outputs : list of int
        The values that the function takes and returns.
    constants : dict of int to array
        The values that it closes over, and literals.
    """

    equations: list[Equation] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    _count: int = 0

    def number(self) -> int:
        """Return a number that no value has yet."""
        self._count += 1
        return self._count

    def add(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[int]) -> list[int]:
        """Add the equations of a jaxpr, and return the numbers of its results."""
        values = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, const in zip(jaxpr.constvars, consts, strict=True):
            values[variable] = self._constant(const)

        def read(atom: Any) -> int:
            return self._constant(atom.val) if isinstance(atom, core.Literal) else values[atom]

        for eqn in jaxpr.eqns:
            given = tuple(map(read, eqn.invars))
            if not eqn.outvars:
                raise Equation(eqn, given, (), is_entrywise=False).unsupported(
                    "makes no value: windows share what they compute, so that it would not run "
                    "for each; take it out, such as a jax.debug.print"
                )
            entrywise = is_entrywise(eqn)
            # functions entry by entry with a derivative of their own stay whole
            inner = None if entrywise else called(eqn)
            if inner is None:
                made = [self.number() for _ in eqn.outvars]
                self.equations.append(Equation(eqn, given, tuple(made), entrywise))
            else:
                made = self.add(*inner, given)
            values.update(zip(eqn.outvars, made, strict=True))
        return list(map(read, jaxpr.outvars))

    def _constant(self, value: Any) -> int:
        name = self.number()
        self.constants[name] = value
        return name


def traced(f: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Trace, Any]:
    """Trace a function on arrays or their shapes and dtypes, and say what it returns."""
    closed, made = jax.make_jaxpr(f, return_shape=True)(*arguments)
    trace = Trace()
    trace.inputs = [trace.number() for _ in closed.jaxpr.invars]
    trace.outputs = trace.add(closed.jaxpr, closed.consts, trace.inputs)
    return trace, made


def _frames(source_info: Any) -> Iterator[Any]:
    from jax._src import source_info_util

    return iter(source_info_util.user_frames(source_info.traceback))
