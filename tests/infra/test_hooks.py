"""Tests of the hooks for known errors of a cloud, which add an advice or repeat the operation."""

from __future__ import annotations

import pytest

from infra.clouds.gcp.region import METRIC_UNKNOWN, PUBLIC_REFUSED
from infra.hooks import KnownError, should_retry

REFUSED = (
    "Error setting IAM policy for cloudrunv2 service: googleapi: Error 400: One or more users named in the "
    "policy do not belong to a permitted customer, perhaps due to an organization policy."
)
UNKNOWN = "Error creating AlertPolicy: googleapi: Error 404: Cannot find metric(s) that match type = x"


@pytest.mark.pure
@pytest.mark.parametrize(
    ("known", "errors", "expected"),
    [
        (PUBLIC_REFUSED, [REFUSED], False),
        (PUBLIC_REFUSED, ["googleapi: Error 503: backend error"], None),
        (METRIC_UNKNOWN, [UNKNOWN], True),
        (METRIC_UNKNOWN, [UNKNOWN] * 20, True),
        (METRIC_UNKNOWN, [UNKNOWN] * 21, False),
        (METRIC_UNKNOWN, [], None),
    ],
)
def test_an_operation_is_repeated_while_time_may_remove_its_error(
    known: KnownError, errors: list[str], expected: bool | None
) -> None:
    """An unknown metric is retried for ten minutes; an organisation's refusal and other errors are not."""
    assert should_retry(known, errors) is expected


@pytest.mark.pure
def test_a_refusal_of_all_users_has_both_solutions() -> None:
    """The advice names the exception to request and the setting that needs none."""
    assert "constraints/iam.allowedPolicyMemberDomains" in PUBLIC_REFUSED.then
    assert "public: false" in PUBLIC_REFUSED.then
