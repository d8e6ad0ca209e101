"""Tests of names and labels: within the limits of every cloud for any stack name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.model import CLOUDS
from infra.config.regions import REGIONS
from infra.names import fit, labels, regional_name, slug, stack_prefix, unique_name

pytestmark = pytest.mark.pure

# Valid names of a stack in Pulumi.
STACKS = st.text("abcXYZ019-_.", min_size=1, max_size=100)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", fullmatch=True)
ROLES = st.sampled_from(["agent", "router", "checker", "scheduler", "builder", "signing-keys"])
REGION = st.sampled_from([region for cloud in CLOUDS for region in REGIONS[cloud]])
SUFFIX = "0a1b2c3d"


@given(NAMES, STACKS, ROLES, REGION)
def test_regional_names_fit_a_service_account_and_a_role(
    name: str, stack: str, role: str, region: str
) -> None:
    """The strictest limit is Google's: 6 to 30 lower-case letters, digits and dashes, a letter first."""
    made = regional_name(stack_prefix(name, stack), role, region, 30)
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", made), made


@given(NAMES, STACKS, ROLES, REGION)
def test_unique_names_fit_a_storage_account(name: str, stack: str, role: str, region: str) -> None:
    """Azure's storage accounts have 3 to 24 lower-case letters and digits."""
    base = f"{stack_prefix(name, stack)}-{role}-{region}"
    made = unique_name(base, SUFFIX, 24, dashes=False)
    assert re.fullmatch(r"[a-z][a-z0-9]{2,23}", made), made
    assert made.endswith(SUFFIX)


@given(NAMES, STACKS, REGION)
def test_unique_names_fit_a_vault_and_a_bucket(name: str, stack: str, region: str) -> None:
    """Vaults have 3 to 24 characters, a letter first and no two dashes in a row; buckets allow more."""
    for limit in (24, 63):
        made = unique_name(f"{stack_prefix(name, stack)}-{region}", SUFFIX, limit)
        assert len(made) <= limit
        assert re.fullmatch(r"[a-z](-?[a-z0-9])+", made), made


@given(STACKS, STACKS)
def test_shortened_prefixes_of_two_stacks_differ(one: str, other: str) -> None:
    """A shortened prefix ends with a hash of the name."""
    if slug(one) != slug(other):
        assert stack_prefix("skyfleet", one) != stack_prefix("skyfleet", other)


@given(STACKS)
def test_label_values_are_valid_on_google(stack: str) -> None:
    """A value has at most 63 lower-case letters, digits, dashes and underscores."""
    for value in labels(stack, "agent").values():
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", value), value


@given(st.text(min_size=8, max_size=80), st.integers(8, 80))
def test_a_text_within_the_limit_is_not_changed(text: str, limit: int) -> None:
    """Short names have no hash."""
    made = fit(text, limit)
    assert len(made) <= limit
    assert len(text) > limit or made == text
