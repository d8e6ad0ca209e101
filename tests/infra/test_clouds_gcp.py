"""What is deployed to Google, as the engine gets it: what a new project, its quotas and its reviewers ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import pytest

from router.settings import checker_settings, router_settings
from tests.infra.recorded import Resource, of_type, recorded, settings_for

FUNCTION = "gcp:cloudfunctionsv2/function:Function"
JOB = "gcp:cloudscheduler/job:Job"
KEYS = json.dumps({"k1": "a-made-up-signing-key-of-32-bytes"})


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on Google alone."""
    return recorded(settings_for("gcp"), tmp_path_factory.mktemp("packages"))


def function(fleet: list[Resource], role: str) -> Resource:
    (found,) = (each for each in of_type(fleet, FUNCTION) if each.labels["skyfleet-role"] == role)
    return found


def environment(fleet: list[Resource], role: str) -> Mapping[str, str]:
    service = function(fleet, role).inputs["serviceConfig"]
    return cast("Mapping[str, str]", service["environmentVariables"])


def test_routers_and_checkers_start_with_the_urls_they_are_given(google: list[Resource]) -> None:
    """Each URL is the origin of a Cloud Run service, without the path of a cloudfunctions.net URL."""
    router = router_settings({**environment(google, "router"), "SKYFLEET_ROOT_KEYS": KEYS}, "build")
    checker = checker_settings({**environment(google, "checker"), "SKYFLEET_SIGNING_KEYS": KEYS}, "build")
    assert [target.origin.host for target in router.targets] == ["gcp-europe-west1-agent.run.app"]
    assert [target.origin.host for target in checker.targets] == ["gcp-europe-west1-agent.run.app"]
    assert [origin.host for origin in checker.routers] == ["gcp-europe-west1-router.run.app"]


def test_the_scheduler_calls_the_service_and_means_its_token_for_it(google: list[Resource]) -> None:
    """Target and audience are the URI of the checker's Cloud Run service."""
    (job,) = of_type(google, JOB)
    target = job.inputs["httpTarget"]
    uri = "https://gcp-europe-west1-checker.run.app"
    assert (target["uri"], target["oidcToken"]["audience"]) == (uri, uri)
