"""The real engine: two stacks in one project of Google's, each with all services that it needs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from emulator.providers.gcp.project import ENABLED
from tests.end_to_end.stack import Stack

pytestmark = pytest.mark.emulator

PROGRAM = """
import pulumi, pulumi_gcp as gcp
from infra.clouds.gcp.region import RESOURCE_MANAGER, SERVICES
on = [gcp.projects.Service(name, service=f"{name}.googleapis.com", disable_on_destroy=False)
    for name in (RESOURCE_MANAGER, *SERVICES)]
gcp.serviceaccount.Account("agent", account_id=f"agent-of-{pulumi.get_stack()}",
    opts=pulumi.ResourceOptions(depends_on=on))
"""


@pytest.fixture
def stack(tmp_path: Path, pulumi_path: str) -> Generator[Stack]:
    stack = Stack(tmp_path, pulumi_path)
    stack.init()
    try:
        yield stack
    finally:
        stack.stop()


def test_two_stacks_share_the_services_of_a_project(stack: Stack) -> None:
    """That a service is on is nothing a stack owns: the second deploys, and outlives the first."""
    stack.program(PROGRAM)
    first = stack.up()
    assert first.code == 0, first.text
    assert stack.run("stack", "init", "other").code == 0
    assert stack.run("config", "set", "gcp:project", "my-project").code == 0
    second = stack.up()
    assert second.code == 0, second.text
    gone = stack.run("destroy", "--yes", "--stack", "dev")
    assert gone.code == 0, gone.text
    assert [resource for resource in stack.resource_store.resources.values() if resource.token == ENABLED]
    again = stack.run("up", "--yes", "--expect-no-changes")
    assert again.code == 0, again.text
