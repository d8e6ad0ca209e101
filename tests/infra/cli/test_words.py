"""Tests of the arguments of `chaos`, of command names and typos, of `env`, and of the last lines of `up`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from infra.cli.app import COMMANDS, cli
from infra.cli.output.summary import as_json, changes, closing_text
from infra.operations.emulator.faults import (
    active_faults,
    check_cloud,
    check_fault,
    check_order,
    manual_change,
)
from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout
from infra.operations.stack.environment import exports, pulumi_variables
from infra.setup.paths import ROOT
from tests.infra.cli.fakes import script


@pytest.mark.parametrize(
    "fault",
    [
        "kill",
        "refuse",
        "blackhole",
        "stale",
        "heal",
        "slow:800ms",
        "slow:1.5s",
        "gray:800ms",
        "cold:10s",
        "error:30%",
        "cut:100%",
        "api:503",
        "delete:aws-eu-west-1-agent",
        "set:aws/function/x:memorySize=1024",
    ],
)
def test_every_fault_of_the_grammar_is_accepted(fault: str) -> None:
    """These are the faults of the emulator."""
    assert check_fault(fault) == fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("blakchole", "Did you mean blackhole"),
        ("kil", "Did you mean kill"),
        ("grey:800ms", "Did you mean gray"),
        ("explode", "gray:800ms"),
        ("gray", "gray:800ms"),
        ("eror:30%", "Did you mean error"),
        ("explode", "Faults: kill | refuse"),
        ("kill:50%", "takes no amount"),
        ("error:0%", "above 0%"),
        ("slow:99999999s", "up to 600 s"),
        ("slow", "slow:800ms"),
        ("slow:800", "slow:800ms"),
        ("error:120%", "up to 100%"),
        ("error:30", "up to 100%"),
        ("api:200", "one of 429, 500"),
        ("delete:", "the name, id or key of a resource"),
        ("set:aws-role:path", "set:RESOURCE:memorySize=1024"),
        ("set:memorySize=1", "set:RESOURCE:memorySize=1024"),
    ],
)
def test_an_unknown_fault_is_refused_with_a_suggestion(fault: str, said: str) -> None:
    """Without a near name the message has the whole grammar."""
    with pytest.raises(click.UsageError) as raised:
        check_fault(fault)
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("delete:a:b", {"cloud": "aws", "id": "a:b", "delete": True}),
        ("set:a:b:tags.x=5", {"cloud": "aws", "id": "a:b", "set": {"tags.x": 5}}),
        ("set:a:policy=x=y", {"cloud": "aws", "id": "a", "set": {"policy": "x=y"}}),
        ("kill", None),
    ],
)
def test_manual_changes_are_parsed_from_their_faults(fault: str, body: dict[str, object] | None) -> None:
    """A resource's key may contain colons; the value is JSON if it parses, and text otherwise."""
    assert manual_change("aws", fault) == body


def test_all_active_faults_are_listed() -> None:
    """Faults add up, so earlier ones are listed too."""
    faults: list[JsonObject] = [
        {"cloud": "aws", "scope": "agents", "fault": "slow:800ms"},
        {"cloud": "aws", "scope": "all", "fault": "kill"},
    ]
    assert active_faults(faults) == "Active now: aws slow:800ms (agents), aws kill (all)."
    assert active_faults([]) == "Active now: no fault."


def test_an_unknown_cloud_is_refused_with_a_suggestion() -> None:
    """The message lists the three names."""
    assert check_cloud("gcp") == "gcp"
    with pytest.raises(click.UsageError, match="Did you mean azure"):
        check_cloud("azur")


@pytest.mark.parametrize(
    ("cloud", "fault", "said"),
    [
        ("kill", "aws", "skyfleet chaos aws kill"),
        ("slow:800ms", "gcp", "skyfleet chaos gcp slow:800ms"),
        ("kil", "aws", "skyfleet chaos aws FAULT. Did you mean kill?"),
        ("moon", "aws", "skyfleet chaos aws FAULT."),
    ],
)
def test_a_fault_before_its_cloud_is_answered_with_the_order(cloud: str, fault: str, said: str) -> None:
    """The message is the command to type, as far as the words are known."""
    with pytest.raises(click.UsageError) as raised:
        check_order(cloud, fault)
    assert raised.value.message == f"the cloud comes first, then the fault: {said}"


@pytest.mark.parametrize(("cloud", "fault"), [("aws", "kill"), ("aws", "gcp"), ("moon", "kill")])
def test_words_that_are_only_unknown_are_not_answered_with_the_order(cloud: str, fault: str) -> None:
    """Their own messages follow."""
    check_order(cloud, fault)


@pytest.mark.parametrize("word", ["mars", "ec2", "mercury"])
def test_a_word_unlike_any_cloud_gets_no_suggestion(word: str) -> None:
    """The message only lists the names."""
    with pytest.raises(click.UsageError) as raised:
        check_cloud(word)
    assert raised.value.message == f"unknown cloud '{word}'. Known: aws, azure, gcp."


def test_the_names_of_the_commands_do_not_change() -> None:
    """Scripts depend on them; each command has a help text."""
    names = [
        "up",
        "preflight",
        "down",
        "status",
        "top",
        "outputs",
        "invoke",
        "strategy",
        "drain",
        "create",
        "delete",
        "manager",
        "chaos",
        "env",
        "logs",
    ]
    assert list(COMMANDS) == names
    for name in COMMANDS:
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


def test_the_version_is_that_of_the_project() -> None:
    """As in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    done = CliRunner().invoke(cli, ["--version"], prog_name="skyfleet")
    assert done.output == f"skyfleet {project['version']}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["manager", "token", "--help"]])
def test_no_summary_of_a_command_is_cut(arguments: list[str]) -> None:
    """On a terminal of 80 columns."""
    assert "..." not in CliRunner().invoke(cli, arguments).output.partition("Commands:")[2]


def test_an_unknown_command_is_a_usage_error_with_a_suggestion() -> None:
    """The exit code is 2."""
    done = CliRunner().invoke(cli, ["statsu"])
    assert done.exit_code == 2
    assert "Did you mean status" in done.output


def test_help_imports_no_large_library() -> None:
    """`--help` imports neither rich nor requests nor Pulumi."""
    code = (
        "import sys; from click.testing import CliRunner; from infra.cli.app import cli;"
        "CliRunner().invoke(cli, ['--help']);"
        "print(sorted({'rich', 'requests', 'pulumi', 'yaml'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_imports_pulumi(name: str) -> None:
    """Its import takes longer than most commands; the Pulumi CLI runs as a process."""
    code = f"import infra.cli.commands.{name}, sys; print(sorted({{'pulumi', 'grpc'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_exports_are_quoted_for_a_shell(tmp_path: Path) -> None:
    """The checkout's path may contain spaces and quotes. On PATH the project's Python is before the CLI."""
    layout = Layout(tmp_path / "it's here")
    told = pulumi_variables(
        layout,
        pulumi_path=[Path("/cli"), Path("/host")],
        venv_bin=Path("/venv/bin"),
        providers="aws:1,gcp:2",
        environ={"PATH": "/usr/bin:/cli", "PYTHONPATH": "/mine"},
    )
    assert told["PATH"] == "/venv/bin:/cli:/host:/usr/bin"
    assert told["PYTHONPATH"] == f"{layout.root}:/mine"
    assert told["PULUMI_DEBUG_PROVIDERS"] == "aws:1,gcp:2"
    show = script(tmp_path / "show", 'printf %s "$PULUMI_BACKEND_URL"')
    shell = f"{exports(told)}\n/bin/sh {show}"
    said = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True).stdout
    assert said == f"file://{layout.state}?metadata=skip"


def test_without_a_running_emulator_no_providers_are_exported() -> None:
    """`pulumi stack output` needs none."""
    told = pulumi_variables(
        Layout(Path("/c")), pulumi_path=[], venv_bin=Path("/v"), providers=None, environ={"PATH": "/bin"}
    )
    assert "PULUMI_DEBUG_PROVIDERS" not in told
    assert told["PULUMI_STACK"] == "local"


def test_a_second_up_reports_no_change() -> None:
    """Unchanged resources are not counted."""
    assert changes("41 unchanged") == "no changes"
    assert changes("") == "no changes"
    assert changes("2 created, 1 updated, 37 unchanged") == "2 created, 1 updated"


def test_the_last_lines_name_router_curl_and_logs() -> None:
    """The lines are the next commands of a user."""
    layout = Layout(Path("/c"))
    facts = as_json(["http://a", "http://b"], "3 created", layout)
    said = closing_text(facts, layout, keyed=False)
    assert "http://a" in said
    assert "http://b" in said
    assert "curl -s http://a/invoke" in said
    assert ".skyfleet/logs" in said


def test_the_printed_command_for_a_router_with_a_key_does_not_contain_the_key() -> None:
    """`skyfleet invoke` reads the key itself; another line says where other clients find it."""
    layout = Layout(Path("/c"))
    said = closing_text(as_json(["http://a"], "3 created", layout), layout, keyed=True)
    assert "skyfleet invoke 'what is 12 * (3 + 4)?'" in said
    assert ".venv/bin/skyfleet outputs apiKey --show-secrets" in said
    assert "curl" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert "--show-secrets" not in closing_text(as_json(["http://a"], "", layout), layout, keyed=False)
