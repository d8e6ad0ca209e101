"""`invoke`: what is sent, to whom, and how an answer or a stream is read."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.invoke_format import answer_text, body_for, event_text, stream_problem, trail
from infra.cli.json_access import Facts
from infra.cli.paths import Layout
from infra.cli.sse import Event, events
from tests.infra.cli.fakes import Reply, Request, json_reply, serving

ROUTER = {"status": "ok", "cloud": "gcp", "region": "europe-west1", "build": "b"}
CHAT = {"choices": [{"message": {"content": "84"}}]}
STREAM = (
    b'event: step\ndata: {"tool":"x"}\n\n'
    b'event: delta\ndata: {"text":"8"}\n\nevent: delta\ndata: {"text":"4"}\n\n'
)
DONE = b'event: done\ndata: {"output":"84"}\n\n'


def test_a_path_gets_the_body_it_takes() -> None:
    """OpenAI's path wants messages."""
    assert body_for("/invoke", "hi", stream=False) == {"input": "hi"}
    chat = body_for("/v1/chat/completions", "hi", stream=True)
    assert chat["messages"] == [{"role": "user", "content": "hi"}]
    assert chat["stream"] is True


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ('{"output": "84", "steps": []}', "84"),
        (json.dumps(CHAT), "84"),
        ('{"error": {"code": "no-target", "message": "all are down"}}', "no-target: all are down"),
        ("plain", "plain"),
        ("[1]", "[\n  1\n]"),
    ],
)
def test_a_person_sees_the_answer_and_not_its_wrapping(reply: str, shown: str) -> None:
    """All of it only when nothing is known about it."""
    assert answer_text(reply) == shown


def test_events_are_read_as_the_standard_says() -> None:
    """Comments and unknown fields are skipped, data lines joined, an event without its empty line is
    dropped.
    """
    lines = [
        ": hi",
        "event: a",
        "data: 1",
        "data:2",
        "id: 7",
        "",
        "data: [DONE]",
        "",
        "event: b",
        "data: cut",
    ]
    assert list(events(lines)) == [Event("a", "1\n2"), Event("message", "[DONE]")]


def test_deltas_of_both_kinds_are_text() -> None:
    """Ours and OpenAI's."""
    assert event_text(Event("delta", '{"text": "a"}')) == "a"
    assert event_text(Event("message", '{"choices": [{"delta": {"content": "b"}}]}')) == "b"
    assert event_text(Event("step", '{"text": "not shown"}')) == ""


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        (Event("done", "{}"), ""),
        (Event("message", "[DONE]"), ""),
        (Event("error", '{"error": {"message": "tool failed"}}'), "tool failed"),
        (Event("message", '{"error": {"message": "late"}}'), "late"),
        (Event("delta", '{"text": "x"}'), "cut"),
    ],
)
def test_only_a_stream_with_its_last_event_is_a_success(last: Event, problem: str) -> None:
    """A cut stream must not look whole."""
    said = stream_problem([Event("delta", '{"text": "x"}'), last])
    assert said == problem if not problem else problem in said


def test_panic_is_said() -> None:
    """The router used a target that looks down."""
    assert "panic" in trail("http://r", 200, {"x-skyfleet-target": "aws/x", "x-skyfleet-panic": "true"})


@pytest.fixture
def deployed(tmp_path: Path) -> Layout:
    """A checkout whose stack was deployed; its outputs are written by `routers`."""
    layout = Layout(tmp_path)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text("{}")
    return layout


def routers(layout: Layout, *urls: str, key: str = "", places: Sequence[Facts] = ()) -> None:
    """Outputs with these routers, as kept from the last look."""
    outputs = {"routerUrl": urls[0], "routerUrls": list(urls), "apiKey": key, "routers": list(places)}
    changed = layout.checkpoint.stat().st_mtime_ns
    layout.outputs.write_text(json.dumps({"changed": changed, "secret": ["apiKey"], "outputs": outputs}))


def run(layout: Layout, *arguments: str) -> Result:
    """One `skyfleet` command in this process, in the checkout of `layout`."""
    return CliRunner().invoke(cli, arguments, obj=layout)


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL without a listener."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_a_router_that_is_gone_is_passed_over(deployed: Layout, nobody: str) -> None:
    """The next of routerUrls takes the call; the user learns which ones did not."""
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        if request.path == "/health":
            return json_reply(ROUTER)
        return json_reply({"output": "84"}, x_skyfleet_target="aws/eu-west-1", x_skyfleet_attempts="2")

    with serving(answer) as url:
        routers(deployed, nobody, url, key="secret")
        done = run(deployed, "invoke", "what is 84?")
        facts = run(deployed, "invoke", "what is 84?", "--json")
    assert done.exit_code == 0, done.output
    assert done.stdout == "84\n"
    assert f"passed over {nobody}" in done.stderr
    assert "aws/eu-west-1" in done.stderr
    assert seen[1].headers["authorization"] == "Bearer secret"
    assert json.loads(seen[1].body) == {"input": "what is 84?"}
    told = json.loads(facts.stdout)
    assert (told["target"], told["attempts"], told["reply"]) == ("aws/eu-west-1", 2, {"output": "84"})


def test_a_cloud_that_answers_for_its_dead_router_is_passed_over(deployed: Layout) -> None:
    """Its front door says 503: nobody runs behind it."""
    with (
        serving(lambda request: Reply(503, b"no")) as dead,
        serving(lambda request: json_reply(ROUTER)) as alive,
    ):
        routers(deployed, dead, alive)
        done = run(deployed, "invoke", "x")
    assert done.exit_code == 0, done.output
    assert f"passed over {dead}: HTTP 503" in done.stderr


def test_an_empty_text_is_a_usage_error(deployed: Layout) -> None:
    """Nothing is sent; the user learns what is missing."""
    routers(deployed, "http://r")
    done = run(deployed, "invoke", " ")
    assert done.exit_code == 2
    assert "TEXT is empty" in done.stderr


def test_when_no_router_answers_all_are_named(deployed: Layout, nobody: str) -> None:
    """Exit code 1 and what to look at."""
    routers(deployed, nobody)
    done = run(deployed, "invoke", "x")
    assert done.exit_code == 1
    assert nobody in done.stderr
    assert "skyfleet logs" in done.stderr


def test_a_call_that_may_have_run_is_not_sent_again(deployed: Layout) -> None:
    """A connection that breaks after the request is no reason to ask another router."""
    calls: list[str] = []

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(ROUTER)
        calls.append(request.path)
        raise ConnectionAbortedError

    with serving(answer) as first, serving(answer) as second:
        routers(deployed, first, second)
        done = run(deployed, "invoke", "x")
    assert done.exit_code == 1
    assert "may have run" in done.stderr
    assert calls == ["/invoke"]


def test_an_error_reply_is_shown_and_fails(deployed: Layout) -> None:
    """The router's own words."""

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(ROUTER)
        return json_reply({"error": {"code": "no-target", "message": "every target is down"}}, status=503)

    with serving(answer) as url:
        routers(deployed, url)
        done = run(deployed, "invoke", "x")
    assert done.exit_code == 1
    assert "no-target: every target is down" in done.stderr


@pytest.mark.parametrize(("end", "code", "said"), [(DONE, 0, ""), (b"", 1, "cut before its last event")])
def test_a_stream_is_printed_and_judged(deployed: Layout, end: bytes, code: int, said: str) -> None:
    """Text as it comes; only a stream with its last event succeeds."""

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(ROUTER)
        assert request.headers["accept"] == "text/event-stream"
        return Reply(200, STREAM + end, {"content-type": "text/event-stream"})

    with serving(answer) as url:
        routers(deployed, url)
        done = run(deployed, "invoke", "x", "--stream")
    assert done.exit_code == code, done.output
    assert done.stdout == "84\n"
    assert said in done.stderr


def test_secrets_are_hidden_unless_asked_for(deployed: Layout) -> None:
    """In both forms."""
    routers(deployed, "http://r", key="very-secret")
    assert "very-secret" not in run(deployed, "outputs").output
    assert json.loads(run(deployed, "outputs", "--json").output)["apiKey"] == "[secret]"
    assert json.loads(run(deployed, "outputs", "--json", "--show-secrets").output)["apiKey"] == "very-secret"


@pytest.mark.parametrize(
    "command", [["status"], ["outputs"], ["invoke", "x"], ["chaos", "aws", "kill"], ["env"], ["logs"]]
)
def test_with_nothing_up_every_command_says_so_in_one_line(tmp_path: Path, command: list[str]) -> None:
    """And names the command that helps."""
    done = run(Layout(tmp_path), *command)
    assert done.exit_code == 1
    assert done.stderr == "Error: nothing is up: run `make up`\n"


def test_down_with_nothing_up_is_no_error(tmp_path: Path) -> None:
    """Scripts call it to be sure."""
    (tmp_path / "infra").mkdir()
    done = run(Layout(tmp_path), "down")
    assert (done.exit_code, done.stdout) == (0, "Nothing is up.\n")


def test_status_asks_the_first_router_that_answers(deployed: Layout, nobody: str) -> None:
    """And shows which ones do not."""
    status = {"router": {"cloud": "gcp"}, "targets": [{"cloud": "aws", "state": "healthy"}], "checkers": []}

    def answer(request: Request) -> Reply:
        return json_reply(ROUTER if request.path == "/health" else status)

    with serving(answer) as url:
        routers(deployed, nobody, url)
        told = json.loads(run(deployed, "status", "--json").stdout)
    assert told["router"] == {"url": url, "cloud": "gcp"}
    assert [router["ok"] for router in told["routers"]] == [False, True]
    assert told["targets"] == status["targets"]


def test_status_asks_each_router_how_it_chooses(deployed: Layout) -> None:
    """Of what is kept, not of an instance that slept through the order."""
    asleep: Facts = {"router": {"strategy": "weighted"}, "targets": [], "checkers": []}

    def answer(request: Request) -> Reply:
        kept: Facts = {"effective": "cost"} if request.path == "/api/control" else asleep
        return json_reply(ROUTER if request.path == "/health" else kept)

    with serving(answer) as url:
        routers(deployed, url)
        told = json.loads(run(deployed, "status", "--json").stdout)
    assert [router["strategy"] for router in told["routers"]] == ["cost"]
