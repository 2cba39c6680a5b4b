"""The cluster that a command computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from fcconv.images.libraries import needed

CONNECTING_SECONDS = 30


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Connect to a cluster of Dask, or start one of a process for each core; None for no address.

    Raises
    ------
    click.BadParameter
        If there is none at the address.
    BackendError
        If distributed is not installed.
    """
    if address is None:
        yield None
        return
    distributed = needed("distributed", "dask")
    if address == "local":
        # the dashboard would take a port that another cluster may have
        given: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": ":0"}
    else:
        given = {"address": address, "timeout": CONNECTING_SECONDS}
    try:
        client = distributed.Client(**given)
    except (OSError, ValueError) as error:
        raise click.BadParameter(
            f"there is no cluster at {address}: give the address that its scheduler tells, such "
            f"as tcp://10.0.0.1:8786, or local",
            param_hint="--dask",
        ) from error
    with client:
        yield client
