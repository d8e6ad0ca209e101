"""Whether an organisation refuses that a function is open to all.

The provider reads what is set on the project itself only (projects.getOrgPolicy), and such a policy is mostly
inherited, so the vendor's command is asked for the effective one: `gcloud resource-manager org-policies
describe --effective`. cloud.google.com/resource-manager/docs/organization-policy/domain-restricted-sharing

The rule of this file: pure. The command is run by the caller.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import cast

from infra.preflight.findings import CloudError, Finding, words

CONSTRAINT = "iam.allowedPolicyMemberDomains"


def question(project: str) -> list[str]:
    """The command."""
    command = f"gcloud resource-manager org-policies describe {CONSTRAINT} --project {project}"
    return shlex.split(f"{command} --effective --format json")


def check(project: str, run: Callable[[Sequence[str]], str]) -> Finding | None:
    """None where nothing is restricted. run: gives what the command prints, or raises CloudError."""
    command = question(project)
    try:
        restricted = is_restricted(run(command))
    except CloudError as refused:
        what = f"whether its organisation lets functions be open to all was not told: {words(str(refused))}"
        return Finding("gcp", what, f"To see it: `{shlex.join(command)}`", stops=False)
    if not restricted:
        return None
    return Finding(
        "gcp",
        f"the organisation of {project} lets no function be open to all (domain restricted sharing)",
        f"Ask for an exception of {project} from constraints/{CONSTRAINT}, or set `public: false` in "
        "skyfleet:clouds.gcp and follow docs/deploy-gcp.md",
    )


def is_restricted(printed: str) -> bool:
    """Whether a list of domains is all that is allowed."""
    try:
        told: object = json.loads(printed)
    except ValueError:
        raise CloudError("gcloud printed no JSON") from None
    policy = cast("dict[str, object]", told).get("listPolicy") if isinstance(told, dict) else None
    if not isinstance(policy, dict):
        return False
    found = cast("dict[str, object]", policy)
    return bool(found.get("allowedValues")) or found.get("allValues") == "DENY"
