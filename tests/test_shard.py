"""Several devices score one image as one device does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv import ArgumentError, ShapeError
from fcconv.functions.parts import Parts

HERE = Path(__file__).parent


def test_on_eight_devices() -> None:
    """The CPU plays them, which it needs to be told before JAX is imported."""
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    devices = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}  # compiled in less than half the time
    options = ["-x", "-q", "-p", "no:cacheprovider", str(HERE / "several_devices.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        env={**os.environ, **devices},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def mean(patch: Any) -> Any:
    return patch.mean()


@pytest.mark.parametrize("spatial_axes", [(0, 1), (1,)])
def test_one_device(spatial_axes: tuple[int, ...]) -> None:
    slid = fcconv.slide(mean, (4, 2), stride=2, spatial_axes=spatial_axes)
    sharded = fcconv.shard(slid, jax.make_mesh((1,), ("rows",)), "rows")
    image = jnp.arange(28.0).reshape(4, 7)
    assert sharded(image).tolist() == slid(image).tolist()


def parts() -> st.SearchStrategy[Parts]:
    few = st.integers(1, 9)
    return st.builds(
        lambda window, more, stride, devices: Parts(window + more, window, stride, devices),
        few,
        st.integers(0, 50),
        few,
        few,
    )


@given(cut=parts())
def test_windows_lie_in_their_part_and_the_next(cut: Parts) -> None:
    firsts = [
        (k * cut.pixels, k * cut.pixels + i * cut.stride)
        for k, count in enumerate(cut.counts)
        for i in range(count)
    ]
    assert [start for _, start in firsts] == [i * cut.stride for i in range(cut.cells)]
    assert all(start + cut.window <= part + cut.pixels + cut.halo for part, start in firsts)
    assert cut.devices * cut.pixels >= cut.size


@given(cut=parts())
def test_the_most_devices_are_named(cut: Parts) -> None:
    def fits(devices: int) -> bool:
        try:
            Parts(cut.size, cut.window, cut.stride, devices).check()
        except ShapeError:
            return False
        return True

    if fits(cut.devices):
        assert cut.devices == 1 or min(cut.cells / cut.devices, cut.pixels / (cut.halo or 1)) >= 1
    else:
        most = max(filter(fits, range(1, cut.devices)))
        with pytest.raises(ShapeError, match=f"at most {most} devices fit"):
            cut.check()


def test_arguments_that_do_not_fit() -> None:
    mesh = jax.make_mesh((1,), ("rows",))
    slid = fcconv.slide(mean, (2, 2), spatial_axes=(0, 1))
    shared = fcconv.slide(mean, (2, 2), spatial_axes=(0, 1), windows="shared")
    wrong: list[tuple[tuple[Any, ...], str]] = [
        ((mean, mesh, "rows"), r"^slid needs to be what fcconv\.slide returns, got <function mean"),
        ((shared, mesh, "rows"), "^slid needs windows='exact', got 'shared'"),
        ((slid, jax.devices(), "rows"), r"^mesh needs to be a jax\.sharding\.Mesh, got \["),
        ((slid, mesh, "columns"), r"^axis needs to be one of the mesh, \('rows',\), got 'columns'"),
    ]
    for arguments, said in wrong:
        with pytest.raises(ArgumentError, match=said):
            fcconv.shard(*arguments)
    with pytest.raises(ShapeError, match="holds no window"):
        fcconv.shard(slid, mesh, "rows")(jnp.ones((1, 5)))
