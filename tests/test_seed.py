"""The example that the project began with, and the README's first code block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from fcconv import rounding
from fcconv.backend import ArrayBackend

X = [[1, 2], [3, 4]]
WEIGHT = [[1.1, 1.2, 1.3, 1.4], [1.5, 1.6, 1.7, 1.8]]
BIAS = [1.9, 2.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_three_forms_of_the_seed(xp: ArrayBackend[Any], dtype: str) -> None:
    x, weight, bias = (xp.asarray(np.array(values, dtype)) for values in (X, WEIGHT, BIAS))
    kernel, pixel = fcconv.dense_to_conv(weight, (1, 2, 2)), fcconv.dense_to_conv1x1(weight)
    assert kernel.shape == (2, 1, 2, 2)
    assert pixel.shape == (2, 4, 1, 1)
    forms = {
        (2,): fcconv.dense(x.reshape(4), weight, bias),
        (1, 2, 1, 1): fcconv.conv(x.reshape(1, 1, 2, 2), kernel, bias),
        (1, 2, 1, 1, "1x1"): fcconv.conv1x1(x.reshape(1, 4, 1, 1), pixel, bias),
    }
    for shape, scores in forms.items():
        assert scores.shape == tuple(n for n in shape if isinstance(n, int))
        relu = np.asarray(scores.clip(0), np.float64).ravel()
        # four products and a bias; their decimal operands were rounded before, twice a product
        bound = rounding.dot_bound([14.9, 19.0], 5 + 2, dtype)
        assert (np.abs(relu - [14.9, 19.0]) <= bound).all()


def test_readme_code_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert block
    expected = re.findall(r"# -> (.*)", block[1])
    exec(compile(block[1], "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == expected
    assert len(expected) == 3
