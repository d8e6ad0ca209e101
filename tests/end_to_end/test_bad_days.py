"""Days on which a cloud's management API fails, and changes behind the stack's back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("bad-days"), pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of its own for these tests, deployed or not."""
    fleet = Fleet.copy(tmp_path_factory.mktemp("bad-days"))
    try:
        yield fleet
    finally:
        fleet.run("down", code=None)


@pytest.fixture
def bare(checkout: Fleet) -> Fleet:
    """A checkout in which nothing is deployed."""
    checkout.run("down", code=None)
    return checkout


@pytest.fixture
def deployed(checkout: Fleet) -> Fleet:
    """All three clouds are deployed and every target is healthy."""
    deploy(checkout)
    return checkout


def deploy(checkout: Fleet) -> None:
    """Deploy unless something is deployed, and wait until every target is healthy."""
    if "nothing is up" in checkout.run("outputs", code=None):
        checkout.run("up", seconds=500)
    checkout.wait_until_healthy()


def up_on_a_bad_day(fleet: Fleet, *clouds: str) -> str:
    """`skyfleet up`, during which the API of each of `clouds` begins to answer 503 as soon as it exists."""
    process = fleet.start("up")
    note = fleet.root / ".skyfleet" / "emulator.json"
    end = time.monotonic() + 120
    while not note.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    for cloud in clouds:
        fleet.run("chaos", cloud, "api:503")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 1, printed
    return printed


def answering(fleet: Fleet) -> set[str]:
    """The clouds that answer twelve requests through the first router."""
    url = fleet.url
    replies = [requests.post(f"{url}/invoke", json={"input": "reverse abc"}, timeout=30) for _ in range(12)]
    assert {reply.status_code for reply in replies} == {200}
    return {reply.headers["x-skyfleet-target"].partition("/")[0] for reply in replies}


def test_clouds_that_answer_are_deployed_and_the_next_up_completes(bare: Fleet) -> None:
    """A first `up` with two of three management APIs down ends with a router and a target on the third.

    The failure says which clouds are missing, why, and what to do; once they answer, `up` adds them.
    """
    printed = up_on_a_bad_day(bare, "aws", "azure")
    alone = answering(bare)
    for cloud in ("aws", "azure"):
        bare.run("chaos", cloud, "heal")
    bare.run("up", seconds=500)
    bare.wait_until_healthy()
    assert "azure: the cloud's management API answered 503" in printed
    assert "aws: the cloud's management API answered 503" in printed
    assert "Once the API answers, `make up` deploys the rest" in printed
    assert alone == {"gcp"}
    assert answering(bare) == {"aws", "azure", "gcp"}


def test_an_update_on_a_bad_day_keeps_what_ran(deployed: Fleet) -> None:
    """The cloud whose API is down keeps its function and its place among the targets.

    That the next update deploys the rest is the claim of the test above; here the mending below does it.
    """
    config = deployed.root / "Pulumi.local.yaml"
    config.write_text(config.read_text().replace("weight: 3", "weight: 4"))
    deployed.run("chaos", "gcp", "api:429")
    printed = deployed.run("up", code=1, seconds=400)
    clouds = answering(deployed)
    deployed.run("chaos", "gcp", "heal")
    assert "not deployed: gcp: the cloud's management API answered 429" in printed
    assert clouds == {"aws", "azure", "gcp"}


@dataclass(frozen=True, slots=True)
class Mending:
    """What Pulumi printed: a preview with the changes by hand, the update, and a preview after it."""

    seen: str
    mended: str
    again: str


@pytest.fixture(scope="module")
def mending(checkout: Fleet) -> Mending:
    """A changed property, a deleted grant and a deleted function of each cloud; one update mends them all."""
    deploy(checkout)
    checkout.run("chaos", "aws", "set:aws/function/eu-west-1/skyfleet-local-agent:memorySize=1024")
    checkout.run("chaos", "gcp", "delete:gcp-europe-west1-router-public")
    for cloud, what in (
        ("aws", "aws/function/eu-west-1/skyfleet-local-router"),
        ("azure", site_key(checkout)),
        ("gcp", "gcp/function/skyfleet-local/europe-west1/skyfleet-local-agent"),
    ):
        checkout.run("chaos", cloud, f"delete:{what}")
    plain = "--non-interactive --color never"
    return Mending(
        checkout.shell(f"pulumi preview --refresh --diff {plain}"),
        checkout.shell(f"pulumi up --refresh --yes --skip-preview {plain}"),
        checkout.shell(f"pulumi preview --refresh {plain} --expect-no-changes"),
    )


def test_a_change_by_hand_is_shown_and_mended(mending: Mending) -> None:
    """`preview --refresh` names the property and the deleted resource; `up --refresh` puts both right."""
    assert "memorySize: 1024 => 512" in mending.seen
    assert "gcp-europe-west1-router-public" in mending.seen
    assert "aws:lambda:Function aws-eu-west-1-agent updated" in mending.mended
    assert "unchanged" in mending.again


def test_functions_that_were_deleted_by_hand_come_back_in_every_cloud(
    mending: Mending, deployed: Fleet
) -> None:
    """With what a cloud deletes along: a URL and its policy, a service's policy, a site's package."""
    url = r"aws:lambda/functionUrl:FunctionUrl: \(create\)\s+\[urn=\S+::aws-eu-west-1-router\]"
    assert re.search(url, mending.seen)
    assert "unchanged" in mending.again
    assert answering(deployed) == {"aws", "azure", "gcp"}


def site_key(fleet: Fleet) -> str:
    """The agent's site on Azure; its name has the stack's random suffix."""
    said = fleet.run("chaos", "azure", "delete:azure-westeurope-agent", code=1)
    return next(key for key in re.split(r"[\s;]+", said) if key.startswith("azure/microsoft.web/sites/"))


def test_an_unknown_resource_is_no_change_by_hand(deployed: Fleet) -> None:
    """A name that several resources bear lists their keys; one that none bears says so."""
    several = deployed.run("chaos", "aws", "delete:aws-eu-west-1-agent", code=1)
    none = deployed.run("chaos", "aws", "delete:nothing-like-it", code=1)
    assert "take a key: " in several
    assert "no resource has the key, id, URN or name" in none


def test_destroy_leaves_nothing_that_costs_but_what_the_docs_name(deployed: Fleet) -> None:
    """After `pulumi destroy` no resource is deployed, and only two buckets are kept and billed.

    Cloud Functions makes them for the sources of builds; the page on deploying to Google names them.
    """
    deployed.shell("pulumi destroy --yes --skip-preview --non-interactive --color never")
    found = deployed.admin("GET", "/v1/leftovers").json()
    billed = sorted(each["what"] for each in found["leftovers"] if each["costs"])
    named = (deployed.root / "docs" / "deploy-gcp.md").read_text()
    assert found["deployed"] == []
    assert len(billed) == 2
    for what, bucket in zip(billed, ("gcf-v2-sources", "gcf-v2-uploads"), strict=True):
        assert bucket in what
        assert bucket in named
    deployed.run("down")
