"""Tests of `skyfleet invoke`: the request, the choice of a router, and the reading of replies and streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.output.invoke_format import answer_text, body_for, event_text, reply_line, stream_problem
from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout
from infra.operations.routers.sse import Event, events
from tests.infra.cli.fakes import Reply, Request, json_reply, routers, serving

ROUTER = {"status": "ok", "cloud": "gcp", "region": "europe-west1", "build": "b"}
CHAT = {"choices": [{"message": {"content": "84"}}]}
STREAM = (
    b'event: step\ndata: {"tool":"x"}\n\n'
    b'event: delta\ndata: {"text":"8"}\n\nevent: delta\ndata: {"text":"4"}\n\n'
)
DONE = b'event: done\ndata: {"output":"84"}\n\n'


def test_each_path_gets_its_form_of_the_body() -> None:
    """The path of OpenAI's API takes messages."""
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
def test_the_answer_is_printed_without_its_json_envelope(reply: str, shown: str) -> None:
    """An unknown form of reply is printed whole."""
    assert answer_text(reply) == shown


def test_events_are_parsed_as_the_standard_defines() -> None:
    """Comments and unknown fields are skipped, data lines joined, an incomplete event dropped. A U+2028
    ends no line."""
    body = ": hi\nevent: a\ndata: 1\r\ndata:2\u2028\nid: 7\n\ndata: [DONE]\n\nevent: b\ndata: cut\n".encode()
    expected = [Event("a", "1\n2\u2028"), Event("message", "[DONE]")]
    assert list(events([body])) == expected
    assert list(events(body[at : at + 1] for at in range(len(body)))) == expected


def test_deltas_of_both_apis_are_text() -> None:
    """Both /invoke and OpenAI's API stream text."""
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
    """A truncated stream must not look complete."""
    said = stream_problem([Event("delta", '{"text": "x"}'), last])
    assert said == problem if not problem else problem in said


def test_panic_is_reported() -> None:
    """The output says that the router used a target although none serves."""
    assert "panic" in reply_line("http://r", 200, {"x-skyfleet-target": "aws/x", "x-skyfleet-panic": "true"})


def run(layout: Layout, *arguments: str) -> Result:
    """Run one `skyfleet` command in this process, in the checkout of `layout`."""
    return CliRunner().invoke(cli, arguments, obj=layout)


def test_an_unreachable_router_is_skipped(deployed: Layout, no_listener: str) -> None:
    """The next of routerUrls gets the request, and the output names the skipped routers."""
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        if request.path == "/health":
            return json_reply(ROUTER)
        return json_reply({"output": "84"}, x_skyfleet_target="aws/eu-west-1", x_skyfleet_attempts="2")

    with serving(answer) as url:
        routers(deployed, no_listener, url, key="secret")
        done = run(deployed, "invoke", "what is 84?")
        facts = run(deployed, "invoke", "what is 84?", "--json")
    assert done.exit_code == 0, done.output
    assert done.stdout == "84\n"
    assert f"skipped {no_listener}" in done.stderr
    assert "aws/eu-west-1" in done.stderr
    assert seen[1].headers["authorization"] == "Bearer secret"
    assert json.loads(seen[1].body) == {"input": "what is 84?"}
    told = json.loads(facts.stdout)
    assert (told["target"], told["attempts"], told["reply"]) == ("aws/eu-west-1", 2, {"output": "84"})


def test_a_router_whose_front_end_answers_in_its_place_is_skipped(deployed: Layout) -> None:
    """The platform front end answers 503 since no instance of the router runs."""
    with (
        serving(lambda request: Reply(503, b"no")) as dead,
        serving(lambda request: json_reply(ROUTER)) as alive,
    ):
        routers(deployed, dead, alive)
        done = run(deployed, "invoke", "x")
    assert done.exit_code == 0, done.output
    assert f"skipped {dead}: HTTP 503" in done.stderr


def test_an_empty_text_is_a_usage_error(deployed: Layout) -> None:
    """No request is sent."""
    routers(deployed, "http://r")
    done = run(deployed, "invoke", " ")
    assert done.exit_code == 2
    assert "TEXT is empty" in done.stderr


def test_when_no_router_answers_all_are_named(deployed: Layout, no_listener: str) -> None:
    """The exit code is 1, and the message names a command for further analysis."""
    routers(deployed, no_listener)
    done = run(deployed, "invoke", "x")
    assert done.exit_code == 1
    assert no_listener in done.stderr
    assert "skyfleet logs" in done.stderr


def test_a_call_that_may_have_run_is_not_sent_again(deployed: Layout) -> None:
    """A connection that breaks after the request is not retried at another router."""
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
    """The output contains the router's message."""

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
def test_a_stream_is_printed_and_its_end_is_checked(
    deployed: Layout, end: bytes, code: int, said: str
) -> None:
    """Text is printed as it arrives; only a stream with its last event succeeds."""

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


def test_secrets_are_hidden_by_default(deployed: Layout) -> None:
    """This holds for the text and for the JSON output."""
    routers(deployed, "http://r", key="very-secret")
    assert "very-secret" not in run(deployed, "outputs").output
    assert json.loads(run(deployed, "outputs", "--json").output)["apiKey"] == "[secret]"
    assert json.loads(run(deployed, "outputs", "--json", "--show-secrets").output)["apiKey"] == "very-secret"


@pytest.mark.parametrize(
    "command", [["status"], ["outputs"], ["invoke", "x"], ["chaos", "aws", "kill"], ["env"], ["logs"]]
)
def test_every_command_fails_with_one_line_if_nothing_is_up(tmp_path: Path, command: list[str]) -> None:
    """The line names the command that deploys."""
    done = run(Layout(tmp_path), *command)
    assert done.exit_code == 1
    assert done.stderr == "Error: nothing is up: run `make up`\n"


def test_down_with_nothing_up_is_no_error(tmp_path: Path) -> None:
    """A script can call it in any state."""
    (tmp_path / "infra").mkdir()
    done = run(Layout(tmp_path), "down")
    assert (done.exit_code, done.stdout) == (0, "Nothing is up.\n")


def test_status_asks_the_first_router_that_answers(deployed: Layout, no_listener: str) -> None:
    """The others are shown as unreachable."""
    status = {"router": {"cloud": "gcp"}, "targets": [{"cloud": "aws", "state": "healthy"}], "checkers": []}

    def answer(request: Request) -> Reply:
        return json_reply(ROUTER if request.path == "/health" else status)

    with serving(answer) as url:
        routers(deployed, no_listener, url)
        told = json.loads(run(deployed, "status", "--json").stdout)
    assert told["router"] == {"url": url, "cloud": "gcp"}
    assert [router["ok"] for router in told["routers"]] == [False, True]
    assert told["targets"] == status["targets"]


def test_status_reads_the_strategy_of_each_router(deployed: Layout) -> None:
    """The strategy comes from the control document, since an idle instance may have an old one."""
    idle: JsonObject = {"router": {"strategy": "weighted"}, "targets": [], "checkers": []}

    def answer(request: Request) -> Reply:
        kept: JsonObject = {"effective": "cost"} if request.path == "/api/control" else idle
        return json_reply(ROUTER if request.path == "/health" else kept)

    with serving(answer) as url:
        routers(deployed, url)
        told = json.loads(run(deployed, "status", "--json").stdout)
    assert [router["strategy"] for router in told["routers"]] == ["cost"]
