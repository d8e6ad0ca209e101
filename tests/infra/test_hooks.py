"""Known errors of a cloud: the advice is said, or the operation is tried again; others are left alone."""

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
def test_an_error_is_tried_again_as_often_as_time_may_mend_it(
    known: KnownError, errors: list[str], expected: bool | None
) -> None:
    """An organisation's refusal never; an unknown metric for ten minutes; another error is not touched."""
    assert should_retry(known, errors) is expected


@pytest.mark.pure
def test_a_refusal_of_all_users_says_both_ways_out() -> None:
    """The exception to ask for, and the setting that needs none."""
    assert "constraints/iam.allowedPolicyMemberDomains" in PUBLIC_REFUSED.then
    assert "public: false" in PUBLIC_REFUSED.then
