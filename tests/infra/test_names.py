"""Names and labels stay within the limits of every cloud, for any stack name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.config.model import CLOUDS
from infra.config.regions import REGIONS
from infra.names import fit, labels, regional_name, slug, stack_prefix, unique_name

pytestmark = pytest.mark.pure

# What Pulumi lets a stack be called.
STACKS = st.text("abcXYZ019-_.", min_size=1, max_size=100)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", fullmatch=True)
ROLES = st.sampled_from(["agent", "router", "checker", "scheduler", "builder", "signing-keys"])
REGION = st.sampled_from([region for cloud in CLOUDS for region in REGIONS[cloud]])
SUFFIX = "0a1b2c3d"


@given(NAMES, STACKS, ROLES, REGION)
def test_regional_names_fit_a_service_account_and_a_role(
    name: str, stack: str, role: str, region: str
) -> None:
    """Google's account ids are the tightest: 6 to 30 of lower case, digits and dashes, a letter first."""
    made = regional_name(stack_prefix(name, stack), role, region, 30)
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", made), made


@given(NAMES, STACKS, ROLES, REGION)
def test_unique_names_fit_a_storage_account(name: str, stack: str, role: str, region: str) -> None:
    """Azure's storage accounts take 3 to 24 lower-case letters and digits and nothing else."""
    base = f"{stack_prefix(name, stack)}-{role}-{region}"
    made = unique_name(base, SUFFIX, 24, dashes=False)
    assert re.fullmatch(r"[a-z][a-z0-9]{2,23}", made), made
    assert made.endswith(SUFFIX)


@given(NAMES, STACKS, REGION)
def test_unique_names_fit_a_vault_and_a_bucket(name: str, stack: str, region: str) -> None:
    """Key Vault: 3 to 24, a letter first, no two dashes in a row; buckets allow all of that."""
    for limit in (24, 63):
        made = unique_name(f"{stack_prefix(name, stack)}-{region}", SUFFIX, limit)
        assert len(made) <= limit
        assert re.fullmatch(r"[a-z](-?[a-z0-9])+", made), made


@given(STACKS, STACKS)
def test_two_stacks_never_share_a_prefix_by_being_cut(one: str, other: str) -> None:
    """What is cut off leaves its hash behind."""
    if slug(one) != slug(other):
        assert stack_prefix("skyfleet", one) != stack_prefix("skyfleet", other)


@given(STACKS)
def test_label_values_are_what_google_takes(stack: str) -> None:
    """At most 63 of lower case, digits, dashes and underscores."""
    for value in labels(stack, "agent").values():
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", value), value


@given(st.text(min_size=8, max_size=80), st.integers(8, 80))
def test_a_text_that_fits_is_left_alone(text: str, limit: int) -> None:
    """Short names stay readable."""
    made = fit(text, limit)
    assert len(made) <= limit
    assert len(text) > limit or made == text
