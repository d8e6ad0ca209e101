"""The main job, end to end: deploy, call, lose a cloud, recover; each test is one claim of the README."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
import requests
from openai import OpenAI

from tests.end_to_end.fleet import CHECKOUT, Fleet, closed_loop, clouds, failures, steady

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1"), pytest.mark.timeout(600)]

CLOUDS = ("aws", "azure", "gcp")
FAULTS = ("kill", "refuse", "error:100%", "blackhole")
# A fault is the same code for all clouds, so six pairs suffice; the others run with `--long`.
PAIRS = {
    ("aws", "kill"),
    ("aws", "blackhole"),
    ("azure", "refuse"),
    ("azure", "kill"),
    ("gcp", "error:100%"),
    ("gcp", "blackhole"),
}


def test_calls_are_shared_in_the_exact_ratio_of_the_weights(healed: Fleet) -> None:
    """600 calls at weights 3, 2 and 1 are 300, 200 and 100 calls, all answered."""
    calls = asyncio.run(closed_loop(healed.url, calls=600, clients=3))
    assert failures(calls) == []
    assert clouds(calls) == {"aws": 300, "azure": 200, "gcp": 100}


def test_the_four_lines_of_the_readme_end_with_200(healed: Fleet) -> None:
    """As they stand there, on the stack that `make up` has deployed."""
    script = (CHECKOUT / "README.md").read_text().partition("```sh\n")[2].partition("```")[0]
    deploy, *rest = script.splitlines()
    assert deploy.startswith("make up; ")
    printed = healed.shell("\n".join([deploy.removeprefix("make up; "), *rest]))
    assert "12 * (3 + 4) = 84." in printed
    assert printed.strip().endswith("200")


def test_pulumi_tells_the_clouds_form_of_a_url_and_the_command_line_the_plain_one(healed: Fleet) -> None:
    """The first has the vendor's host name and works with curl, the second works with every client."""
    told = json.loads(healed.shell("pulumi stack output --json"))
    urls = {str(agent["cloud"]): str(agent["url"]) for agent in told["agents"]}
    shapes = {
        "aws": r"http://[a-z0-9]{32}\.lambda-url\.[a-z0-9-]+\.on\.aws\.localhost:\d+",
        "azure": r"http://[a-z0-9-]+\.azurewebsites\.net\.localhost:\d+",
        "gcp": r"http://[a-z0-9-]+-[a-z0-9]{10}-[a-z]{2}\.a\.run\.app\.localhost:\d+",
    }
    assert all(re.fullmatch(shapes[cloud], url) for cloud, url in urls.items()), urls
    assert '"status"' in healed.shell(f"curl -s --noproxy '*' {told['routerUrl']}/health")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", healed.url)
    assert ".localhost" not in healed.run("status", "--json")


@pytest.mark.parametrize(
    ("cloud", "fault"),
    [
        pytest.param(cloud, fault, marks=() if (cloud, fault) in PAIRS else pytest.mark.long)
        for cloud in CLOUDS
        for fault in FAULTS
    ],
)
def test_losing_a_cloud_loses_no_call(healed: Fleet, cloud: str, fault: str) -> None:
    """Under load, a lost cloud's calls are answered by another within the request; it comes back healed."""
    url = healed.url
    calls = asyncio.run(steady(url, rate=40, seconds=3, events={0.5: lambda: healed.inject(cloud, fault)}))
    assert failures(calls) == []
    assert any(call.headers["x-skyfleet-attempts"] == "2" for call in calls)
    assert max(call.seconds for call in calls) < 12
    assert healed.wait_for(lambda states: states[cloud] in {"down", "ejected"})
    healed.heal()
    # By way of slow start, which lasts a second here: a poll may come after it.
    healed.wait_for(lambda states: states[cloud] == "healthy", seconds=90)


def test_calls_wait_for_a_cloud_and_what_is_not_served_is_told_in_json(healed: Fleet) -> None:
    """All agents are out for 6 s: each call is served after that. When they stay out, the router says so with
    Retry-After before any platform ends the call."""

    def all_out() -> None:
        for cloud in CLOUDS:
            healed.inject(cloud, "refuse")

    calls = asyncio.run(steady(healed.url, rate=4, seconds=8, events={1: all_out, 7: healed.heal}))
    assert failures(calls) == []
    assert max(call.seconds for call in calls) > 4
    all_out()
    reply = requests.post(f"{healed.url}/invoke", json={"input": "2 + 2"}, timeout=60)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
    assert int(reply.headers["retry-after"]) >= 1


def test_a_target_that_dies_without_traffic_is_found_by_the_schedule_alone(healed: Fleet) -> None:
    """No call is made: the scheduled checkers see the fault and tell every router.

    `skyfleet status` shows it, and `skyfleet chaos azure heal` brings the target back.
    """
    healed.run("chaos", "azure", "kill")
    healed.wait_for(lambda states: states["azure"] == "down", seconds=60)
    told = {t["cloud"]: t["state"] for t in healed.facts("status")["targets"]}
    assert told["azure"] == "down"
    healed.run("chaos", "azure", "heal")
    healed.wait_for(lambda states: states["azure"] == "healthy", seconds=90)


def test_with_the_first_router_lost_the_next_one_answers(healed: Fleet) -> None:
    """A cloud lost as a whole takes its router along; `skyfleet invoke` goes on through the next."""
    healed.run("chaos", "gcp", "refuse", "--scope", "all")
    for _ in range(3):
        assert "84" in healed.run("invoke", "what is 12 * (3 + 4)?")


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_stream_arrives_as_it_is_made_from_each_cloud(healed: Fleet, cloud: str) -> None:
    """Through the router the first chunk comes long before the last, whichever cloud answers.

    A stalled client reads both at once, so it asks again: a stream that is held back fails each time.
    """
    body = {"model": "skyfleet", "stream": True, "messages": [{"role": "user", "content": "wait 1 second"}]}
    url = f"{healed.url}/v1/chat/completions"
    moments: list[float] = []
    for _ in range(12):
        with requests.post(url, json=body, stream=True, timeout=30) as reply:
            assert reply.status_code == 200
            if not reply.headers["x-skyfleet-target"].startswith(cloud):
                continue
            moments = [time.monotonic() for line in reply.iter_lines() if line.startswith(b"data:")]
        assert len(moments) > 3
        if moments[-1] - moments[0] > 0.2:
            return
    pytest.fail(f"of twelve streams none came in time from {cloud}; the last one's chunks: {moments}")


def test_the_official_openai_client_works_plain_and_streaming(healed: Fleet) -> None:
    """Any OpenAI client needs only the base URL."""
    with OpenAI(base_url=f"{healed.url}/v1", api_key="unused", max_retries=0) as client:
        question = "what is 12 * (3 + 4)?"
        plain = client.chat.completions.create(
            model="skyfleet", messages=[{"role": "user", "content": question}]
        )
        assert "84" in (plain.choices[0].message.content or "")
        stream = client.chat.completions.create(
            model="skyfleet", messages=[{"role": "user", "content": question}], stream=True
        )
        assert "84" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert [model.id for model in client.models.list()]


def test_a_stream_that_its_cloud_breaks_off_is_whole_for_the_caller(healed: Fleet) -> None:
    """The next cloud's reply begins with the same bytes, so it goes on where the first one stopped."""
    healed.inject("aws", "cut:100%")
    targets: set[str] = set()
    with OpenAI(base_url=f"{healed.url}/v1", api_key="unused", max_retries=0) as client:
        for number in range(12):
            asked = client.chat.completions.with_streaming_response.create(
                model="skyfleet",
                messages=[{"role": "user", "content": f"what is {number} * (3 + 4)?"}],
                stream=True,
            )
            with asked as reply:
                targets.add(reply.headers["x-skyfleet-target"].partition("/")[0])
                said = [chunk for chunk in reply.parse() if chunk.choices]
            assert str(number * 7) in "".join(chunk.choices[0].delta.content or "" for chunk in said)
            assert said[-1].choices[0].finish_reason == "stop"
            assert len({chunk.id for chunk in said}) == 1
    # It had begun to answer before it broke off, and was then left alone.
    assert "aws" in targets


def test_a_second_up_changes_nothing_and_starts_a_killed_daemon_again(healed: Fleet) -> None:
    """The same sources give the same packages, so there is nothing to deploy. After kill -9 the daemon is
    started again with the same URLs."""
    url, pid = healed.url, int(healed.emulator["pid"])
    healed.shell(f"kill -9 {pid}")
    assert "no changes" in healed.run("up")
    assert int(healed.emulator["pid"]) != pid
    assert healed.url == url
    assert requests.post(f"{url}/invoke", json={"input": "reverse abc"}, timeout=30).status_code == 200


def test_preview_lists_real_types_and_a_changed_weight_changes_only_what_depends_on_it(healed: Fleet) -> None:
    """With `skyfleet env` the plain Pulumi CLI works; a weight is in the routers' environment alone."""
    config = healed.root / "Pulumi.local.yaml"
    before = config.read_text()
    try:
        config.write_text(before.replace("weight: 3", "weight: 4"))
        changed = json.loads(healed.shell("pulumi preview --json 2>/dev/null"))
    finally:
        config.write_text(before)
    steps: list[dict[str, str]] = changed["steps"]
    kinds = {step["urn"].split("::")[-2].rpartition("$")[2] for step in steps}
    assert {"aws:lambda/function:Function", "azure-native:web:WebApp"} <= kinds
    assert "gcp:cloudfunctionsv2/function:Function" in kinds
    touched = {step["urn"].split("::")[-1] for step in steps if step["op"] != "same"}
    assert touched
    assert not any("agent" in name for name in touched), touched
