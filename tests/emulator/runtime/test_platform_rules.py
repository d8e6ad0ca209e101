"""The hosts' pure rules: faults, timers, routes, permissions, objects, events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulator.desired.model import CLOUDS, Cloud, Grant
from emulator.runtime import faults
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.aws import sandbox as lambda_sandbox
from emulator.runtime.azure import ncrontab
from emulator.runtime.azure import proxy as azure_proxy
from emulator.runtime.azure import routes as azure_routes
from emulator.runtime.errors import RequestError
from emulator.runtime.faults import Fault, Injected, Verdict
from emulator.runtime.ingress import platform_replies, reserved_paths
from emulator.runtime.types import Call, Headers
from emulator.services.identity import Denied, Identities, allowed
from emulator.services.objects import BadKey, Condition, Objects, PreconditionFailed, listing

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("cloud", "target", "cause"),
    [
        ("gcp", "/eventlog", "no-host"),
        ("gcp", "/_ah/warmup?x", "no-host"),
        ("gcp", "/healthz?x=1", "no-host"),
        ("gcp", "/quiz/1", None),
        ("gcp", "/events", None),
        ("gcp", "/health?z", None),
        ("azure", "/admin/host/status", "unauthorized"),
        ("azure", "/Runtime/webhooks/x", "no-route"),
        ("azure", "/administer", None),
        ("azure", "/healthz", None),
        ("azure", "/a%00", "bad-request"),
        ("azure", "/a?%00", None),
        ("aws", "/admin", None),
    ],
)
def test_clouds_keep_paths_for_themselves(cloud: Cloud, target: str, cause: str | None) -> None:
    """Whatever routes an application has, such a request does not reach it."""
    assert reserved_paths.reserved(cloud, target) == cause


def test_google_decodes_what_need_not_be_encoded() -> None:
    """In the path alone; a slash, a space and a percent sign stay encoded, and so does all at the others."""
    assert reserved_paths.passed_on("gcp", "/%41%7e%2F%20%25%zz?%41") == "/A~%2F%20%25%zz?%41"
    assert reserved_paths.passed_on("azure", "/%41") == "/%41"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kill", Fault("kill")),
        ("slow:800ms", Fault("slow", 0.8)),
        ("slow:1.5s", Fault("slow", 1.5)),
        ("gray:800ms", Fault("gray", 0.8)),
        ("error:30%", Fault("error", 0.3)),
        ("cut:50%", Fault("cut", 0.5)),
        ("cold:10s", Fault("cold", 10)),
        ("stale", Fault("stale")),
    ],
)
def test_a_fault_reads_back_as_it_was_written(text: str, fault: Fault) -> None:
    """Grammar and printed form agree."""
    assert faults.parse(text) == fault
    assert faults.parse(str(fault)) == fault
    assert faults.inject((), Injected("aws", "all", fault))[0].fault == fault


@pytest.mark.parametrize("text", ["", "boom", "slow", "slow:5", "error:101%", "error:x", "kill:3", "cut:-1%"])
def test_a_wrong_fault_says_what_would_be_right(text: str) -> None:
    """The message shows the grammar or the mistake."""
    with pytest.raises(RequestError, match=r"write one of|takes no amount"):
        faults.parse(text)


def test_the_same_fault_at_the_same_place_is_replaced() -> None:
    """Injecting twice does not add up; healing takes one cloud's faults only."""
    one, two = Injected("aws", "agents", Fault("slow", 1)), Injected("aws", "agents", Fault("slow", 2))
    other = Injected("gcp", "all", Fault("kill"))
    current = faults.inject(faults.inject(faults.inject((), one), other), two)
    assert set(current) == {two, other}
    assert faults.heal(current, "aws") == (other,)


@pytest.mark.parametrize(
    ("scope", "agent", "router", "checker"),
    [
        ("agents", True, False, False),
        ("routers", False, True, True),
        ("checkers", False, False, True),
        ("all", True, True, True),
    ],
)
def test_scopes_name_roles(scope: str, agent: bool, router: bool, checker: bool) -> None:
    """A router's checker shares its fate; other clouds are never hit."""
    injected = Injected("aws", faults.parse_scope(scope), Fault("kill"))
    hit = [injected.hits("aws", "agent"), injected.hits("aws", "router"), injected.hits("aws", "checker")]
    assert hit == [agent, router, checker]
    assert not injected.hits("gcp", "agent")


def test_a_gray_failure_is_not_seen_by_probes() -> None:
    """Everything but the question for health is slow; other delays come on top."""
    both = (Fault("gray", 0.8), Fault("slow", 0.1))
    assert faults.decide(both[:1], lambda: 0.5) == Verdict(delay_s=0.8)
    assert faults.decide(both[:1], lambda: 0.5, probe=True) == Verdict()
    assert faults.decide(both, lambda: 0.5, probe=True) == Verdict(delay_s=0.1)
    assert faults.decide(both, lambda: 0.5).delay_s == pytest.approx(0.9)


def test_the_verdict_follows_the_draw() -> None:
    """A share of 30 % hits draws below 0.3; kill and blackhole need no luck."""
    some = (Fault("error", 0.3), Fault("slow", 0.5))
    assert faults.decide(some, lambda: 0.29) == Verdict(delay_s=0.5, answer="failed")
    assert faults.decide(some, lambda: 0.3) == Verdict(delay_s=0.5)
    assert faults.decide((*some, Fault("blackhole")), lambda: 0.9).swallowed
    assert faults.decide((Fault("kill"),), lambda: 0.9).answer == "unavailable"
    assert faults.decide((Fault("error", 1.0),), lambda: 0.999999).answer == "failed"
    assert faults.decide((Fault("error", 0.0),), lambda: 0.0).answer is None


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "after", "following"),
    [
        ("0 * * * * *", "2026-11-22T10:00:00", "2026-11-22T10:01:00"),
        ("*/10 * * * * *", "2026-11-22T10:00:05", "2026-11-22T10:00:10"),
        ("0 30 9 * * 1-5", "2026-11-21T10:00:00", "2026-11-23T09:30:00"),
        ("0 0 0 29 2 *", "2026-11-22T10:00:00", "2028-02-29T00:00:00"),
        ("0 0 12 * jan mon", "2026-11-22T10:00:00", "2027-01-04T12:00:00"),
        ("5,35 59 23 31 12 *", "2026-12-31T23:59:10", "2026-12-31T23:59:35"),
        ("*/5 * * * *", "2026-11-22T10:01:00", "2026-11-22T10:05:00"),
    ],
)
def test_a_timer_fires_at_the_next_moment_it_names(schedule: str, after: str, following: str) -> None:
    """NCRONTAB of six fields, and of five for whole minutes."""
    assert ncrontab.parse(schedule).following(at(after)) == at(following)


@pytest.mark.parametrize(
    "schedule", ["", "* * *", "60 * * * * *", "a * * * * *", "*/0 * * * * *", "5-1 * * * * *"]
)
def test_a_wrong_timer_is_an_error(schedule: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ncrontab.BadSchedule):
        ncrontab.parse(schedule)


def test_azure_routes_prefer_what_is_more_specific() -> None:
    """Literal before parameter before rest; kinds and methods count; the prefix is a part of the path."""

    def http(name: str, route: str, *methods: str) -> dict[str, object]:
        binding = {
            "type": "httpTrigger",
            "name": "req",
            "route": route,
            "methods": methods,
            "authLevel": "anonymous",
        }
        return {"id": name, "name": name, "bindings": [binding, {"type": "http", "name": "$return"}]}

    app = azure_routes.read(
        [
            http("rest", "{*path}"),
            http("item", "items/{id:int}", "GET"),
            http("new", "items/new"),
            http("opt", "opt/{x?}"),
        ],
        "api",
    )

    def found(method: str, target: str) -> tuple[str, dict[str, str]] | None:
        match = app.find(method, target)
        return None if match is None else (match[0].function, match[1])

    assert found("GET", "/api/items/new") == ("new", {})
    assert found("GET", "/api/items/7?x=1") == ("item", {"id": "7"})
    assert found("POST", "/api/items/7") == ("rest", {"path": "items/7"})
    assert found("GET", "/api/items/seven") == ("rest", {"path": "items/seven"})
    assert found("GET", "/api/opt") == ("opt", {})
    assert found("GET", "/api") == ("rest", {})
    assert found("GET", "/elsewhere") is None


def test_grants_match_by_name_or_by_start() -> None:
    """Action, principal and one of the resource's names have to fit."""
    grants = (Grant("role", "object:read", "bucket/health/*"), Grant("team-*", "secret:read", "arn:x"))
    assert allowed(grants, "role", "object:read", "bucket/health/a.json", "bucket")
    assert not allowed(grants, "role", "object:read", "bucket/other", "bucket")
    assert not allowed(grants, "role", "object:write", "bucket/health/a.json")
    assert allowed(grants, "team-a", "secret:read", "arn:x")
    assert not allowed(grants, "other", "secret:read", "arn:x")


def test_a_token_stands_for_its_identity_until_it_expires() -> None:
    """Minted for a known secret only, of one cloud, for an hour."""
    identities = Identities()
    secret = identities.credentials("azure", "me").secret
    token = identities.mint("azure", secret, now=0.0)
    assert identities.bearer("azure", f"Bearer {token}", now=3599.0) == "me"
    for cloud, header, now in (
        ("azure", f"Bearer {token}", 3601.0),
        ("gcp", f"Bearer {token}", 0.0),
        ("azure", "Bearer x", 0.0),
    ):
        with pytest.raises(Denied):
            identities.bearer(next(each for each in CLOUDS if each == cloud), header, now)
    assert identities.mint("azure", "unknown", now=0.0) is None


def test_objects_change_only_under_their_condition(tmp_path: Path) -> None:
    """Create-only and replace-if-unchanged, by tag and by generation; a failed one changes nothing."""
    objects = Objects(tmp_path / "bucket")
    first = objects.put("a/b.json", b"1", Condition(absent=True))
    with pytest.raises(PreconditionFailed):
        objects.put("a/b.json", b"2", Condition(absent=True))
    second = objects.put("a/b.json", b"2", Condition(etag=first.etag))
    assert second.generation > first.generation
    for stale in (Condition(etag=first.etag), Condition(generation=first.generation)):
        with pytest.raises(PreconditionFailed):
            objects.put("a/b.json", b"3", stale)
    found = objects.get("a/b.json")
    assert found is not None
    assert found.body == b"2"
    assert [each.key for each in objects.list("a/")] == ["a/b.json"]
    assert listing(objects.list(""), "", "/").prefixes == ["a/"]
    assert objects.delete("a/b.json")
    assert not objects.delete("a/b.json")


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", ".hidden", "", "a/.b"])
def test_a_key_never_leads_out_of_its_bucket(tmp_path: Path, key: str) -> None:
    """Such names are refused before any file is touched."""
    with pytest.raises(BadKey):
        Objects(tmp_path).put(key, b"x")


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("/a/./b/../c?x=../y", "/a/c?x=../y"),
        ("/a/%2e%2E/b", "/b"),
        ("/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a//../b", "/a/b"),
        ('/a|b^c`d"<e>', "/a|b^c%60d%22%3Ce%3E"),
        ("/a%20b//c", "/a%20b//c"),
        ("/", "/"),
        ("/a\\b%5Cc", "/a/b%5Cc"),
        ("/a?q='{x}'|\\^`%zz", "/a?q=%27{x}%27|\\^`%zz"),
    ],
)
def test_lambdas_adapter_makes_a_url_of_a_path(sent: str, passed_on: str) -> None:
    """As its binary does."""
    assert lambda_event.as_adapter(sent) == passed_on


@pytest.mark.parametrize(
    ("target", "fails"), [('/a?"', True), ("/a?<", True), ("/a?>", True), ('/"<>?', False)]
)
def test_lambdas_adapter_fails_at_a_query_that_is_no_uris(target: str, fails: bool) -> None:
    """As its binary does."""
    assert lambda_event.fails_at(target) is fails


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("/", "/"),
        ("/a/./b/../c?x=../y", "/a/c?x=../y"),
        ("/a/%2e%2E/b/%2e", "/b/"),
        ("/../..", "/"),
        ("/a%2Fb%2f..", "/a%252Fb%252f.."),
        ("/a%252Fb", "/a%252Fb"),
        ("/%7Euser/%41%20//b", "/~user/A%20//b"),
        ("/caf%c3%a9/%F0%9F%98%80", "/caf%C3%A9/%F0%9F%98%80"),
        ("/%FF%C3%41/%zz/%", "/%25FF%25C3A/%25zz/%25"),
        ('/a\\b"<{[|^`]}>', "/a%5Cb%22%3C%7B%5B%7C%5E%60%5D%7D%3E"),
        ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
        ("/a?q='[x]'&%41%2f+;/?", "/a?q='[x]'&%41%2f+;/?"),
        ('/a?"<{|\\^`}>%zz%', "/a?%22%3C%7B%7C%5C%5E%60%7D%3E%25zz%25"),
        ("/a%0Ab", "/a%0Ab"),
    ],
)
def test_azures_host_decodes_a_path_and_encodes_it_again(sent: str, passed_on: str) -> None:
    """As Kestrel, YARP and .NET's Uri do; what it makes stays so behind another such host."""
    assert azure_proxy.passed_on(sent) == passed_on
    assert azure_proxy.passed_on(passed_on) == passed_on


@pytest.mark.parametrize(
    ("target", "headers", "cause"),
    [
        ("/" + "x" * 8_000, (), None),
        ("/" + "x" * 8_192, (), "uri-too-long"),
        ("/", (("x", "y"),) * 100, None),
        ("/", (("x", "y"),) * 101, "fields-too-large"),
        ("/", (("x", "y" * 16_000),) * 2, None),
        ("/", (("x", "y" * 16_400),) * 2, "fields-too-large"),
    ],
)
def test_azures_host_takes_heads_up_to_its_limits(target: str, headers: Headers, cause: str | None) -> None:
    """Those of Kestrel."""
    assert azure_proxy.too_large(Call("1", "GET", target, headers, b"")) == cause


def test_azures_host_writes_repeated_fields_of_a_request_as_one() -> None:
    """As .NET's client does, cookies as YARP does; one field of browsers is not passed on."""
    sent = (("x", "1"), ("cookie", "a=1"), ("x", "2"), ("cookie", "b=2"), ("upgrade-insecure-requests", "1"))
    assert azure_proxy.joined(sent) == (("x", "1, 2"), ("cookie", "a=1; b=2"))


def test_a_function_url_takes_one_value_of_each_field_but_cookies() -> None:
    """As the adapter writes them: texts, and octets beyond ASCII as numbers."""
    head = {"statusCode": 200, "headers": {"x": "1", "y": [99, 233]}, "cookies": ["a=1", "b=2"]}
    found = lambda_event.prelude(json.dumps(head).encode())
    assert found.headers == (("x", "1"), ("y", "c\xe9"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
    with pytest.raises(ValueError, match="several values"):
        lambda_event.prelude(json.dumps({**head, "headers": {"x": ["1", "2"]}}).encode())
    lambda_event.only_once(found.headers)
    with pytest.raises(ValueError, match="several values"):
        lambda_event.only_once((*found.headers, ("x", "2")))


def test_a_function_url_event_has_payload_2() -> None:
    """Joined headers, cookies apart, the path as sent, text and binary bodies."""
    call = Call(
        "id-1",
        "POST",
        "/a%20b?x=1&x=2&y=",
        (("content-type", "application/json"), ("x", "1"), ("x", "2"), ("cookie", "a=1; b=2")),
        b'{"k":1}',
    )
    event = json.loads(lambda_event.url_event(call, 0.0))
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b", "x=1&x=2&y=")
    assert event["headers"]["x"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert (event["body"], event["isBase64Encoded"]) == ('{"k":1}', False)
    assert event["requestContext"]["requestId"] == "id-1"
    raw = Call("id-2", "POST", "/", (("content-type", "image/png"),), b"\xff\x00")
    assert json.loads(lambda_event.url_event(raw, 0.0))["isBase64Encoded"] is True
    no_text = Call("id-3", "POST", "/", (("content-type", "application/json"),), b"\xff\xfe")
    found = json.loads(lambda_event.url_event(no_text, 0.0))
    assert (found["isBase64Encoded"], found["body"]) == (True, "//4=")


def test_a_lambda_result_becomes_a_reply() -> None:
    """With a status it is a reply, else it is the body."""
    result = lambda_event.buffered(
        b'{"statusCode": 201, "headers": {"A": "b"}, "cookies": ["c=1"], "body": "x"}'
    )
    assert (result.status, result.body) == (201, b"x")
    assert result.headers == (("a", "b"), ("set-cookie", "c=1"))
    assert lambda_event.buffered(b'{"any": 1}').body == b'{"any": 1}'


def test_every_cloud_has_an_answer_to_everything() -> None:
    """Refusals that a caller may repeat say when; none is a success."""
    for cloud in CLOUDS:
        for cause in platform_replies.ANSWERS[cloud]:
            status, headers, _ = platform_replies.answer(cloud, cause)
            assert status >= 400
            assert ("retry-after" in headers) == (status == 429)


@pytest.mark.parametrize(
    ("codes", "failing"),
    [
        ({}, []),
        ({"AWS_LWA_ERROR_STATUS_CODES": "500-599"}, [500, 503]),
        ({"AWS_LWA_ERROR_STATUS_CODES": "404, 502-504"}, [404, 503]),
    ],
)
def test_a_status_fails_an_invocation_only_where_the_adapter_is_told(
    codes: dict[str, str], failing: list[int]
) -> None:
    """Else Lambda counts a 500 as a success, retries nothing and raises no alarm."""
    assert [status for status in (200, 404, 500, 503) if lambda_sandbox.fails(codes, status)] == failing
