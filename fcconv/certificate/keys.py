"""Keys, as many as it takes until a wrong rewriting is hardly certified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MAX_FALSE_PASS = 1e-12
"""The probability to come below."""

MAX_KEYS = 16
"""Most keys, for networks of so many operations that each key tells little."""


@dataclass(eq=False)
class Keys:
    """Independent keys, drawn until a false agreement is unlikely enough.

    Attributes
    ----------
    rng : numpy.random.Generator
        Draws them.
    false_pass : float
        A bound on the probability that a wrong rewriting agrees under all keys so far.

    Examples
    --------
    >>> keys = Keys(np.random.default_rng(0))
    >>> for _ in keys:
    ...     keys.agreed(1e-5)
    >>> keys.false_pass < 1e-12
    True
    """

    rng: np.random.Generator
    false_pass: float = 1.0

    def __iter__(self) -> Iterator[int]:
        """Yield keys, each of which is to be followed by :meth:`agreed`."""
        for _ in range(MAX_KEYS):
            yield int(self.rng.integers(2**63))
            if self.false_pass < MAX_FALSE_PASS:
                return

    def agreed(self, chance: float) -> None:
        """Count an agreement that a wrong rewriting reaches with a chance."""
        self.false_pass *= min(chance, 1.0)
