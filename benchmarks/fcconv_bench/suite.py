"""What a suite is: cases, and contenders that compute them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

Call: TypeAlias = Callable[[], Any]
"""Computes a case once and returns when the result is there."""

CPU = "cpu"


@dataclass(frozen=True)
class Facts:
    """What is known of a call without timing it; None where nothing says.

    Attributes
    ----------
    multiplications : int, optional
        Multiplications that the case needs; those with padding count.
    output_bytes : int, optional
        Size of the result.
    compile_seconds : float, optional
        Time to compile, before the first call.
    peak_bytes : int, optional
        Most memory beyond the operands, the result included, as a compiler says.
    calls : float
        How many such calls make the case: of one that takes long, a part is called.
    lines : int, optional
        Lines that a user writes for it.
    """

    multiplications: int | None = None
    output_bytes: int | None = None
    compile_seconds: float | None = None
    peak_bytes: int | None = None
    calls: float = 1.0
    lines: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A call whose operands are ready, and the facts of it.

    Attributes
    ----------
    call : callable
        Computes the case.
    facts : Facts
        What is known of it.
    check : callable, optional
        Takes what a call returns, before anything is timed, and raises if that is wrong.
    """

    call: Call
    facts: Facts
    check: Callable[[Any], None] | None = None


class TimedCase(Protocol):
    """Something to compute; `name` is unique in its suite, `group` says what it is part of."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def group(self) -> str:
        """What the summary tells apart."""
        ...

    def small(self) -> Self:
        """Shrink the case so that it runs in no time and still means the same."""
        ...


CaseT = TypeVar("CaseT", bound=TimedCase)
CaseInT = TypeVar("CaseInT", bound=TimedCase, contravariant=True)


class Contender(Hashable, Protocol[CaseInT]):
    """A way to compute cases on a platform; contenders on one platform are comparable."""

    @property
    def name(self) -> str:
        """Name, unique on its platform."""
        ...

    @property
    def platform(self) -> str:
        """What it runs on: a device as JAX calls it, or an engine of networks."""
        ...

    @property
    def is_resident(self) -> bool:
        """Whether the peak of its memory is to be measured as resident memory."""
        ...

    def can(self, case: CaseInT, /) -> bool:
        """Whether it computes a case in reasonable time."""
        ...

    def prepare(self, case: CaseInT, /) -> Prepared:
        """Make the operands of a case."""
        ...


@dataclass(frozen=True)
class Suite(Generic[CaseT]):
    """Cases, and who computes them.

    Attributes
    ----------
    name, title : str
        Name on the command line; heading of the table.
    reference : str
        The contender that all others are divided by.
    ours : tuple of str
        The contenders that are judged.
    cases : tuple
        What is computed.
    contenders : callable
        Takes the platforms that JAX sees, and lists who can run here, the reference first.
    notes : tuple of str
        What is said below the tables.
    """

    name: str
    title: str
    reference: str
    ours: tuple[str, ...]
    cases: tuple[CaseT, ...]
    contenders: Callable[[Iterable[str]], Sequence[Contender[CaseT]]]
    notes: tuple[str, ...] = ()


def full_name(contender: str, platform: str) -> str:
    """Name a contender and its platform, unless that is the CPU."""
    return contender if platform == CPU else f"{contender} on {platform}"
