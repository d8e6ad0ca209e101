"""Amazon's policy documents, as small as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi


def statement(effect: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Effect": effect, "Action": list(actions), "Resource": list(resources)}


def policy(*statements: pulumi.Input[Mapping[str, object]]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def assumed_by(service: str) -> pulumi.Output[str]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [trust]})
