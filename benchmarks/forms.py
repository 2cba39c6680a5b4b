"""What the forms of the JAX backend take, on each row of two suites, as a part of lax.

``python -m benchmarks.forms`` measures every form that can compute a row, whatever the rules of
``fcconv_jax.forms`` say, and prints the tables that the rules were read off; with ``gpu`` behind it
on a GPU, else on the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Console

from fcconv import geometry
from fcconv_bench.cases import Case
from fcconv_bench.environment import environment, in_words
from fcconv_bench.measure import measure
from fcconv_bench.suite import CPU, Call, Facts, Prepared
from fcconv_bench.suites import convolutions, layers
from fcconv_bench.tables import suite_table

LAX = "lax"
FORMS = (LAX, "product", "padded", "shifted")
ROUNDS = 3


@dataclass(frozen=True)
class FormContender:
    """A form, compiled for a device that JAX calls "cpu", "gpu" or "tpu"."""

    name: str
    platform: str
    is_resident: bool = False

    def can(self, case: Case) -> bool:
        """Whether the form computes the case."""
        dense, depthwise = case.groups == 1, case.groups == case.channels
        can = {LAX: True, "product": dense, "padded": dense, "shifted": depthwise}
        return can[self.name]

    def prepare(self, case: Case) -> Prepared:
        """Compile the form."""
        return Prepared(
            compiled(self.name, self.platform, case), Facts(case.multiplications, case.output_bytes)
        )


def compiled(name: str, platform: str, case: Case) -> Call:
    """Compile a form for a platform, and return a call of it."""
    import jax

    from fcconv_jax.convolution import FORMS
    from fcconv_jax.forms import Form

    size, kernel = [case.size] * 2, [case.kernel] * 2
    window = geometry.window(size, kernel, case.stride, case.padding)
    form = FORMS[Form(name)]

    def program(x: Any, weight: Any) -> Any:
        return form(x, weight, window, case.groups, jax.lax.Precision.HIGHEST)

    operands = jax.device_put(case.arrays()[:2], jax.devices(platform)[0])
    call = jax.jit(program).lower(*operands).compile()
    return lambda: call(*operands).block_until_ready()


def contenders(platforms: Iterable[str]) -> list[FormContender]:
    """List the forms on each platform, lax first."""
    return [FormContender(name, platform) for platform in platforms for name in FORMS]


if __name__ == "__main__":
    console, platforms = Console(width=120), sys.argv[1:] or [CPU]
    for suite in (layers(), convolutions()):
        forms = replace(suite, reference=LAX, ours=FORMS[1:], contenders=contenders)
        rows = measure(forms, platforms, ROUNDS, partial(console.print, style="dim"))
        console.print(suite_table(forms, rows))
    for line in in_words(environment()):
        console.print(line, highlight=False)
