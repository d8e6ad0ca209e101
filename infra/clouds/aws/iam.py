"""Amazon's policy documents, as small as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pulumi


def statement(effect: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Effect": effect, "Action": list(actions), "Resource": list(resources)}


def policy(*statements: pulumi.Input[Mapping[str, object]]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def assumed_by(service: str, only: Mapping[str, object] | None = None) -> str:
    """A trust policy. only: the condition under which the service may act as the role; see `only_for`."""
    trust: dict[str, object] = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": service},
    }
    if only:
        trust["Condition"] = only
    return json.dumps({"Version": "2012-10-17", "Statement": [trust]})


def only_for(account: str) -> dict[str, object]:
    """A service acts for many customers: as this role it acts only for the account's own resources."""
    return {"StringEquals": {"aws:SourceAccount": account}}
