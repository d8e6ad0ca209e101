"""The examples on three clouds: deployed by one `skyfleet up`, called through the router.

test_protocols.py has those of MCP and A2A.
"""

from __future__ import annotations

from collections.abc import Callable

import openai
import pytest
import requests

from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1"), pytest.mark.timeout(600)]

CLOUDS = {"aws", "azure", "gcp"}


def on_each_cloud(call: Callable[[], requests.Response]) -> dict[str, requests.Response]:
    """One reply of each cloud; the router takes them in turn."""
    found: dict[str, requests.Response] = {}
    for _ in range(12):
        reply = call()
        assert reply.status_code < 500, reply.text
        found[reply.headers["x-skyfleet-target"].partition("/")[0]] = reply
        if set(found) == CLOUDS:
            return found
    raise AssertionError(f"12 requests reached only {sorted(found)}")


def sender(method: str, url: str, body: object = None) -> Callable[[], requests.Response]:
    """A request that asks for the clouds in turn and follows no redirect."""
    headers = {"x-skyfleet-strategy": "round-robin"}

    def send() -> requests.Response:
        return requests.request(method, url, json=body, headers=headers, allow_redirects=False, timeout=60)

    return send


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/sync_function", "tea please", {"output": "You said: tea please"}),
        ("/async_function", "tea please", {"output": "TEA PLEASE", "messages": 1}),
        ("/chain", "tea please", {"output": "I was asked 'Answer briefly: tea please'."}),
        ("/numpy_agent", "1 2 3 6", {"mean": 3.0}),
        ("", "tea please", {"output": "Tea Please"}),
    ],
)
def test_each_example_answers_on_each_cloud(
    examples: Fleet, path: str, text: str, expected: dict[str, object]
) -> None:
    """The same reply: functions plain and async, a chain that blocks, numpy, FastAPI."""
    replies = on_each_cloud(sender("POST", f"{examples.url}{path}/invoke", {"input": text}))
    for cloud, reply in replies.items():
        assert reply.status_code == 200, (cloud, reply.text)
        assert reply.json().items() >= expected.items(), cloud


def test_what_an_example_logs_is_shown_of_each_cloud(examples: Fleet) -> None:
    """`skyfleet logs` leaves out health checks, and nothing that an agent says."""
    on_each_cloud(sender("POST", f"{examples.url}/sync_function/invoke", {"input": "for the log"}))
    logged: set[str] = set()
    for _ in range(20):
        said = examples.run("logs", "--role", "agent", "-n", "500").splitlines()
        assert not any('"GET /health' in line for line in said)
        logged = {line.partition("/")[0] for line in said if "asked: for the log" in line}
        if logged == CLOUDS:
            break
    assert logged == CLOUDS


def test_the_lifespan_and_the_redirect_on_each_cloud(examples: Fleet) -> None:
    """What the lifespan loaded is in each request; a missing slash is a redirect to the router's own URL."""
    found = on_each_cloud(sender("GET", f"{examples.url}/items/"))
    assert [reply.json() for reply in found.values()] == [{"items": ["tea", "rice"], "currency": "EUR"}] * 3
    for reply in on_each_cloud(sender("GET", f"{examples.url}/items")).values():
        assert reply.status_code == 307
        assert reply.headers["location"] == f"{examples.url}/items/"


def test_an_openai_client_streams_on_each_cloud(examples: Fleet) -> None:
    """The official client reads words as they are made."""
    seen: set[str] = set()
    with openai.OpenAI(
        base_url=f"{examples.url}/openai_stream/v1",
        api_key="none",
        default_headers={"x-skyfleet-strategy": "round-robin"},
    ) as client:
        for _ in range(12):
            raw = client.chat.completions.with_raw_response.create(
                model="skyfleet", stream=True, messages=[{"role": "user", "content": "one two three"}]
            )
            seen.add(raw.headers["x-skyfleet-target"].partition("/")[0])
            words = [chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices]
            assert "".join(words) == "three two one"
            assert len([word for word in words if word]) == 3
    assert seen == CLOUDS
