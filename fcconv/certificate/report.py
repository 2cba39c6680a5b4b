"""What is proved and measured of a rewritten network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rounding:
    """What rounding adds in one engine.

    Attributes
    ----------
    engine : str
        What computes.
    original, rewritten : float
        The largest error of either network against float64, on ordinary pixels.
    bound : float
        How far two right implementations can differ on these, derived a priori
        (:mod:`fcconv.certificate.bounds`).
    beyond : str, optional
        Where, on pixels of any size, the two differ by more, or a NaN or an infinity is new.
    """

    engine: str
    original: float
    rewritten: float
    bound: float
    beyond: str | None = None

    def joined(self, other: Rounding) -> Rounding:
        """Show the larger errors of two parts of a network."""
        return Rounding(
            self.engine,
            _larger(self.original, other.original),
            _larger(self.rewritten, other.rewritten),
            _larger(self.bound, other.bound),
            self.beyond or other.beyond,
        )


def _larger(a: float, b: float) -> float:
    return float(np.maximum(a, b))  # NaN stays


@dataclass(frozen=True)
class Certificate:
    """What is proved of a rewritten network.

    Attributes
    ----------
    form : str
        "sliding" or "pointwise".
    window : tuple of int
        Pixels of the patch, for each axis that slides; empty for the pointwise form.
    stride : tuple of int
        Pixels from one window to the next; empty for the pointwise form.
    exact : bool
        Whether every window gets the scores of its crop, in real arithmetic and for all images.
    native_exact : bool
        Whether the scores agree at the original's own input size.
    holds : bool
        Whether the rewriting is right: it is exact, or padding in the original forbids that.
    windows, equal : int
        Windows that were compared, and those that agree; for the pointwise form layers.
    false_pass_probability : float
        A bound on the chance that a wrong rewriting passes.
    difference : str, optional
        The layer where a wrong rewriting first differs.
    unproved : str, optional
        Why nothing follows for other sizes, where the networks agree at those that were run.
    reasons : tuple of str
        Why a right rewriting is not exact.
    weights : dict of str to bool
        For each rewritten layer, whether its kernel holds the old weights bit for bit.
    errors : tuple of Rounding
        Rounding errors, original and rewritten side by side; one that is beyond its bound makes
        the rewriting wrong.
    seed : int
        What the keys and the images were drawn with; repeats the run.

    Examples
    --------
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> certificate = fcconv.certify(load_faces(), fcconv.pointwise(load_faces()))
    >>> certificate.holds, certificate.weights, certificate.false_pass_probability < 1e-12
    (True, {'conv1': True, 'conv2': True, 'dense1': True, 'score': True}, True)
    """

    form: str
    window: tuple[int, ...]
    stride: tuple[int, ...]
    exact: bool
    native_exact: bool
    holds: bool
    windows: int
    equal: int
    false_pass_probability: float
    difference: str | None
    unproved: str | None
    reasons: tuple[str, ...]
    weights: dict[str, bool]
    errors: tuple[Rounding, ...]
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain numbers, strings, lists and dicts.

        Returns
        -------
        dict
            The attributes by name; `errors` is a list of dicts.
        """
        return asdict(self)

    def to_json(self) -> str:
        """Return the certificate as JSON, null for what is infinite.

        Returns
        -------
        str
            What `fcconv verify --json` prints.
        """
        return json_text(self.to_dict())

    def __repr__(self) -> str:
        """Give the verdict; :func:`str` gives all that is proved and measured."""
        found = f"form={self.form!r}, holds={self.holds}, exact={self.exact}"
        where = f", difference={self.difference!r}" if self.difference else ""
        return f"<Certificate {found}{where}>"

    def __str__(self) -> str:
        """Print the certificate, a line a statement."""
        return "\n".join(f"{name:<22}{value}" for name, value in self.lines())

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each statement as a name and what is found.

        Yields
        ------
        (str, str)
            A line of what is printed.
        """
        geometry = (
            f", {name} {' x '.join(map(str, numbers))}"
            for name, numbers in (("window", self.window), ("stride", self.stride))
            if numbers
        )
        yield "form", self.form + "".join(geometry)
        verdict = "NOT PROVED: equal at the sizes that were run" if self.unproved else "IS WRONG"
        yield "the rewriting", "is right" if self.holds else verdict
        if self.unproved:
            yield "not proved for", f"others, because of {self.unproved}"
        if self.difference:
            yield "first differs at", self.difference
        yield "native size", "proved equal" if self.native_exact else "NOT EQUAL"
        if self.form == "sliding":
            unlike = "not proved" if self.unproved else "not equal"
            yield "every window", "proved equal" if self.exact else unlike
            yield "windows compared", f"{self.equal} of {self.windows} equal"
        if self.holds:
            yield "a wrong one passes", f"with probability below {self.false_pass_probability:.1e}"
        yield "seed", str(self.seed)
        for reason in self.reasons:
            yield "because", reason
        if self.weights:
            moved = sum(self.weights.values())
            yield "weights", f"{moved} of {len(self.weights)} layers hold the old ones, bit for bit"
        for layer, same in self.weights.items():
            if not same:
                yield "weights", f"{layer}: CHANGED"
        for row in self.errors:
            yield (
                f"rounding, {row.engine}",
                f"original {row.original:.1e}, rewritten {row.rewritten:.1e}, right ones differ by "
                f"{row.bound:.1e} at most",
            )
            if row.beyond is not None:
                yield f"rounding, {row.engine}", f"BEYOND THE BOUND: {row.beyond}"


def json_text(record: Any, indent: int | None = None) -> str:
    """Write a record of plain values as JSON, which has no infinite numbers: these become null.

    Examples
    --------
    >>> json_text({"score": float("inf"), "box": (0.0, 25.0)})
    '{"score": null, "box": [0.0, 25.0]}'
    """
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return a plain value with None for each number in it that is infinite or NaN."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
