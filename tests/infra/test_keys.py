"""Signing keys by generation: a rotation causes no outage."""

from __future__ import annotations

import pytest

from infra.keys import key_ids

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("generation", "ids"), [(1, ("k1", "k2")), (2, ("k2", "k3", "k1")), (7, ("k7", "k8", "k6"))]
)
def test_a_rotation_meets_no_function_that_lacks_the_key(generation: int, ids: tuple[str, ...]) -> None:
    """The key that signs is first, the next is known before it signs, the previous still counts."""
    assert key_ids(generation) == ids
    assert key_ids(generation)[0] in key_ids(generation + 1)
    assert key_ids(generation + 1)[0] in key_ids(generation)


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_three_rotations_shut_a_stolen_set_of_keys_out(generation: int) -> None:
    """Not fewer: a set holds the next generation too (docs/security.md)."""
    stolen = {*key_ids(generation)}
    assert [bool(stolen & {*key_ids(generation + more)}) for more in (1, 2, 3)] == [True, True, False]
