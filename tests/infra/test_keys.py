"""Tests of the generations of signing keys: a rotation causes no outage."""

from __future__ import annotations

import pytest

from infra.keys import key_ids

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("generation", "ids"), [(1, ("k1", "k2")), (2, ("k2", "k3", "k1")), (7, ("k7", "k8", "k6"))]
)
def test_every_function_knows_the_next_key_before_it_signs(generation: int, ids: tuple[str, ...]) -> None:
    """The signing key is first; the next and the previous key are accepted too."""
    assert key_ids(generation) == ids
    assert key_ids(generation)[0] in key_ids(generation + 1)
    assert key_ids(generation + 1)[0] in key_ids(generation)


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_three_rotations_revoke_a_stolen_set_of_keys(generation: int) -> None:
    """A set contains the next generation too, so two rotations do not suffice (docs/security.md)."""
    stolen = {*key_ids(generation)}
    assert [bool(stolen & {*key_ids(generation + more)}) for more in (1, 2, 3)] == [True, True, False]
