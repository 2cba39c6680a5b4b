"""The tests fail when the code breaks."""

from __future__ import annotations

import pytest

from mutations import MUTATIONS, Mutation, survives, unchanged_passes

pytestmark = pytest.mark.slow


def test_an_unchanged_copy_passes() -> None:
    assert unchanged_passes()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_is_killed(mutation: Mutation) -> None:
    assert not survives(mutation)
