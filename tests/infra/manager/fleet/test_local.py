"""The stack config as the picture of the fleet needs it."""

from __future__ import annotations

from pathlib import Path

from infra.manager.desired.stack_file import StackFile
from infra.manager.fleet.local import read_desired

CONFIG = """\
config:
  skyfleet:clouds:
    aws: {regions: [eu-west-1: {maxInstances: 20}, us-east-1]}
    azure: {regions: [westeurope: {minInstances: 2}]}
    gcp: {regions: [europe-west1], project: my-project-123}
"""


def test_the_least_and_most_instances_are_those_that_are_deployed(tmp_path: Path) -> None:
    """Defaults count; without a reservation Lambda has no bound but the account's quota."""
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(CONFIG)
    assert read_desired(StackFile(path), "dev").limits == {
        "aws/eu-west-1": (0, 20),
        "aws/us-east-1": (0, None),
        "azure/westeurope": (2, 100),
        "gcp/europe-west1": (0, 10),
    }
