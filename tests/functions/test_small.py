"""The small files: event framing, settings, stats, the check before a deploy."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api import is_repeatable, repeatable
from functions.errors import AgentNotLoaded, SetupError
from functions.instance import WINDOW_S, InstanceStats
from functions.loading import Kind, load
from functions.settings import Settings, read_package
from skyfleet import sse
from skyfleet.asgi import json_bytes
from tests.functions.support import ENVIRON, KEYS_JSON

HERE = "tests.functions.agents"


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_one_event_is_one_line_of_data(value: object) -> None:
    """Line breaks and lone surrogates in the data never break the framing."""
    framed = sse.frame(value, "step").decode()
    head, data, *rest = framed.split("\n")
    assert (head, rest) == ("event: step", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == value


def test_json_is_utf8_and_escapes_only_what_utf8_cannot_say() -> None:
    """The same bytes in every cloud."""
    assert json_bytes({"a": "ä"}) == '{"a":"ä"}'.encode()
    assert json_bytes(["\ud800"]) == b'["\\ud800"]'
    with pytest.raises(ValueError, match="JSON"):
        json_bytes(math.nan)


def test_settings_report_every_problem_at_once(tmp_path: Path) -> None:
    """One deploy, one list."""
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(SetupError) as raised:
        Settings.from_env({}, tmp_path)
    assert "SKYFLEET_SIGNING_KEYS is not set" in str(raised.value)
    assert "names no build" in str(raised.value)
    with pytest.raises(SetupError, match=r"SKYFLEET_SIGNING_KEYS: .*not JSON"):
        Settings.from_env({"SKYFLEET_SIGNING_KEYS": "oops"})


def test_the_agent_never_sees_the_signing_keys() -> None:
    """What the user's code gets as environment is everything else."""
    settings = Settings.from_env({**ENVIRON, "OTHER": "x"})
    assert settings.environ["OTHER"] == "x"
    assert "SKYFLEET_SIGNING_KEYS" not in settings.environ
    assert "secret" not in repr(settings)


def test_the_build_id_comes_from_the_package(tmp_path: Path) -> None:
    """A checkout says dev, a package what its build.json says."""
    assert read_package(tmp_path).build == "dev"
    (tmp_path / "build.json").write_text('{"build": "0123456789abcdef", "kind": "agent", "repeatable": true}')
    assert read_package(tmp_path).build == "0123456789abcdef"


def test_the_package_says_which_agent_it_is(tmp_path: Path) -> None:
    """Settings and packages reach a cloud one after the other: a name outside the package could be that of an
    agent that is not in it yet. A checkout has no package and takes the environment's."""
    environ = {**ENVIRON, "SKYFLEET_AGENT": "from.outside:agent"}
    assert Settings.from_env(environ, tmp_path).agent == "from.outside:agent"
    assert Settings.from_env(ENVIRON, tmp_path).agent == "functions.agent:agent"
    (tmp_path / "build.json").write_text('{"build": "0123456789abcdef", "agent": "mine:app"}')
    assert Settings.from_env(environ, tmp_path).agent == "mine:app"


def test_load_per_request_is_the_mean_time_of_one() -> None:
    """One request of half a second every second: half busy, one a second."""
    stats, now = InstanceStats(1.0), 0.0
    for _ in range(100):
        stats.begin(now)
        stats.end(now + 0.5)
        now += 1.0
    text = stats.load_header(now).decode().removeprefix("TEXT ")
    metrics = dict(part.split("=") for part in text.split(","))
    assert float(metrics["application_utilization"]) == pytest.approx(0.5, abs=0.05)
    assert float(metrics["rps_fractional"]) == pytest.approx(1.0, abs=0.1)
    idle = stats.load_header(now + 20 * WINDOW_S)
    assert idle == b"TEXT application_utilization=0.000,rps_fractional=0.000"


@pytest.mark.parametrize(
    ("name", "kind", "safe"),
    [
        ("echo", Kind.FUNCTION, False),
        ("mapping", Kind.FUNCTION, True),
        ("an_object", Kind.FUNCTION, False),
        ("streams", Kind.GENERATOR, False),
        ("asgi", Kind.ASGI, False),
        ("asgi_object", Kind.ASGI, True),
    ],
)
def test_agents_are_recognised(name: str, kind: Kind, safe: bool) -> None:
    """By how they are called; repeatable only where the user said so."""
    agent = load(f"{HERE}:{name}")
    assert (agent.kind, agent.repeatable) == (kind, safe)


def test_the_default_agent_is_repeatable() -> None:
    """A lost cloud then costs no request (issue 3, Show it 3)."""
    assert load("functions.agent:agent").repeatable


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("functions.agent", "module:attribute"),
        ("no.such:agent", "no module 'no'"),
        (f"{HERE}:agnet", "has no 'agnet'; found .*echo"),
        (f"{HERE}:SECRET", "is a str"),
        (f"{HERE}:App", "is a class"),
        (f"{HERE}:not_async", "not async"),
        (f"{HERE}:two_parameters", "coroutine function of 2 parameters"),
    ],
)
def test_an_agent_that_cannot_run_is_named(reference: str, words: str) -> None:
    """Module, attribute, and what was found there."""
    with pytest.raises(AgentNotLoaded, match=words):
        load(reference)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("async def agent(request:\n", "agent_file.py:1: SyntaxError"),
        ("import json\nimport nosuchmodule\n", "agent_file.py:2: ModuleNotFoundError.*nosuchmodule"),
        ("x = 1\ny = x / 0\n", "agent_file.py:2: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "agent_file.py:1: SystemExit"),
    ],
)
def test_a_broken_module_is_named_with_file_and_line(tmp_path: Path, source: str, words: str) -> None:
    """The check that a deploy runs prints one JSON object and exits with 1."""
    (tmp_path / "agent_file.py").write_text(source)
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "functions", "agent_file:agent"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{checkout}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    message = json.loads(done.stdout)["error"]["message"]
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(message)


def test_the_check_before_a_deploy_says_what_it_found() -> None:
    """Exit 0 and the facts that go into build.json."""
    command = [sys.executable, "-m", "functions", "functions.agent:agent"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "agent": "functions.agent:agent",
        "kind": "generator",
        "repeatable": True,
    }


def test_only_what_takes_attributes_can_be_marked() -> None:
    """The decorator says what to do instead."""
    with pytest.raises(TypeError, match="Wrap it"):
        repeatable(object())
    assert not is_repeatable(object())


def test_keys_are_not_shown_by_the_function_itself() -> None:
    """Whoever prints the settings prints no key."""
    assert "older-made-up-secret" not in repr(Settings.from_env({"SKYFLEET_SIGNING_KEYS": KEYS_JSON}))
