"""The real engine and errors of a cloud that the program knows: advice in its output, or another try."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from emulator.providers.gcp.project import Settings, settings_resource
from tests.end_to_end.stack import Stack

pytestmark = pytest.mark.emulator

# The smallest resource of Google's that is open to all, in place of a function's.
PROGRAM = """
import pulumi, pulumi_gcp as gcp
from infra.clouds.gcp.region import PUBLIC_REFUSED
from infra.hooks import KnownError, error_hook
place = {"project": "my-project", "location": "europe-west1"}
on = gcp.projects.Service("on", service="artifactregistry.googleapis.com", disable_on_destroy=False)
images = gcp.artifactregistry.Repository("images", **place, repository_id="images", format="DOCKER",
    opts=pulumi.ResourceOptions(depends_on=[on]))
again = KnownError("again", "permitted customer", "still refused", again=2, every_s=0)
for name, known in {"public": PUBLIC_REFUSED, "tried-again": again}.items():
    gcp.artifactregistry.RepositoryIamMember(name, **place, repository=images.name, member="allUsers",
        role="roles/artifactregistry.reader", opts=pulumi.ResourceOptions(hooks=error_hook(known)))
"""


@pytest.fixture
def stack(tmp_path: Path, pulumi_path: str) -> Generator[Stack]:
    stack = Stack(tmp_path, pulumi_path)
    stack.init()
    try:
        yield stack
    finally:
        stack.stop()


def test_a_domain_restricted_organisation_is_told_what_to_do(stack: Stack) -> None:
    """`pulumi up` says it beside Google's own words, and tries again only what may mend by itself."""
    stack.stop()
    stack.resource_store.change(put=[settings_resource("my-project", Settings(domain_restricted=True))])
    stack.start()
    stack.program(PROGRAM)
    said = stack.run("up", "--yes", "--skip-preview", "--continue-on-error")
    assert said.code != 0
    assert "do not belong to a permitted customer" in said.text
    assert "public: your organisation lets no function be open to all" in said.text
    assert "set `public: false` in skyfleet:clouds.gcp" in said.text
    assert "retrying create due to on-error hook request (2/" in said.text
    assert "retrying create due to on-error hook request (3/" not in said.text
    assert "tried-again: still refused" in said.text
