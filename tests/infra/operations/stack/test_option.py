"""Tests of the commands for a stack on real accounts, which use the operator's environment."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.output.cloud_logs import log_locations
from infra.config.model import CLOUDS
from infra.operations.paths import Layout
from infra.operations.stack.real import environment
from infra.setup.pulumi.cli import FILES, Cli
from tests.infra.cli.fakes import Reply, Request, json_reply, script, serving
from tests.infra.recorded import of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

PULUMI = """
[ "$1" = version ] && { echo v3.250.0; exit; }
echo "$* | $PULUMI_BACKEND_URL | $PULUMI_HOME" >>"$(dirname "$0")/asked"
case "$*" in
  *"--stack absent"*) echo "error: no stack named 'absent' found" >&2; exit 255 ;;
  *"--stack empty"*) echo '{}' ;;
  *--show-secrets*) cat "$(dirname "$0")/whole.json" ;;
  *) cat "$(dirname "$0")/plain.json" ;;
esac
"""


def answer(request: Request) -> Reply:
    """A router that requires the API key."""
    if request.path == "/health":
        return json_reply({"status": "ok", "cloud": "aws", "region": "eu-west-1", "build": "b"})
    if request.headers.get("authorization") != "Bearer sf-key":
        return json_reply({"error": {"code": "unauthorized", "message": "no key"}}, 401)
    if request.path == "/api/control":
        wanted = json.loads(request.body or b"{}").get("strategy")
        return json_reply({"effective": wanted or "adaptive", "strategy": wanted, "configured": "adaptive"})
    if request.path == "/api/status":
        target = {"cloud": "aws", "region": "eu-west-1", "state": "healthy", "weight": 1}
        return json_reply({"router": {"strategy": "adaptive"}, "targets": [target], "checkers": []})
    return json_reply({"output": "84."}, x_skyfleet_target="aws/eu-west-1", x_skyfleet_attempts="1")


class Operator:
    """An operator with a plain Pulumi CLI and a stack `prod` on real accounts."""

    def __init__(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.bin = folder / "checkout", folder / "bin"
        self.root.mkdir()
        for name in FILES:
            script(self.bin / name, PULUMI if name == "pulumi" else "exit 0")
        outputs: dict[str, Any] = {"routerUrl": url, "routerUrls": [url], "agents": [], "apiKey": "sf-key"}
        (self.bin / "whole.json").write_text(json.dumps(outputs))
        (self.bin / "plain.json").write_text(json.dumps(outputs | {"apiKey": "[secret]"}))
        for name in [name for name in os.environ if name.startswith("PULUMI_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://our-state")

    def run(self, *words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, list(words), obj=Layout(self.root))
        assert done.exit_code == code, done.output
        return done

    @property
    def asked(self) -> list[str]:
        return (self.bin / "asked").read_text().splitlines()


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    with serving(answer) as url:
        yield Operator(tmp_path, url, monkeypatch)


def test_a_real_stack_is_read_in_the_operators_environment(operator: Operator) -> None:
    """Pulumi uses the operator's backend and home, and no variable of the emulator is added."""
    told = json.loads(operator.run("outputs", "--stack", "prod", "--json").stdout)
    assert told["apiKey"] == "[secret]"
    assert all("--stack prod" in line and line.endswith("| s3://our-state | ") for line in operator.asked)
    whole = json.loads(operator.run("outputs", "--stack", "prod", "--json", "--show-secrets").stdout)
    assert whole["apiKey"] == "sf-key"


def test_status_strategy_and_invoke_work_with_the_stacks_key(operator: Operator) -> None:
    """They work as for the emulator's stack, with `--json` too."""
    status = json.loads(operator.run("status", "--stack", "prod", "--json").stdout)
    assert [target["state"] for target in status["targets"]] == ["healthy"]
    assert "not running" not in operator.run("status", "--stack", "prod").stdout
    ordered = json.loads(operator.run("strategy", "cost", "--stack", "prod", "--json").stdout)
    assert [router["effective"] for router in ordered] == ["cost"]
    assert operator.run("invoke", "hello", "--stack", "prod").stdout.startswith("84.")
    reply = json.loads(operator.run("invoke", "hello", "--stack", "prod", "--json").stdout)
    assert (reply["status"], reply["target"]) == (200, "aws/eu-west-1")


def test_a_missing_stack_is_reported_with_its_backend(operator: Operator) -> None:
    """The message contains Pulumi's error and the command that shows the backend."""
    said = operator.run("status", "--stack", "absent", code=1).output
    assert "no stack named 'absent'" in said
    assert "pulumi whoami -v" in said
    assert (
        "`pulumi up --stack empty` deploys it"
        in operator.run("invoke", "x", "--stack", "empty", code=1).output
    )


def test_a_shell_with_the_emulators_environment_is_named_as_the_reason(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator's backend has only the local stack."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{operator.root / '.skyfleet'}/state")
    assert "Open a new shell" in operator.run("status", "--stack", "absent", code=1).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up",), "`pulumi up --stack prod`"),
        (("down",), "`pulumi destroy --stack prod`"),
        (("env",), "new shell"),
        (("chaos", "aws", "kill"), "Only the emulator injects faults"),
    ],
)
def test_commands_of_the_emulator_refuse_a_real_stack(
    operator: Operator, words: tuple[str, ...], said: str
) -> None:
    """The refusal comes before any action."""
    output = operator.run(*words, "--stack", "prod", code=2).output
    assert "is for the emulator, and prod is another stack" in output
    assert said in output


@pytest.mark.parametrize("command", ["status", "outputs"])
def test_the_emulators_stack_is_the_default_and_may_be_named(operator: Operator, command: str) -> None:
    """Both forms report that nothing is up in this checkout."""
    assert "nothing is up" in operator.run(command, code=1).output
    assert "nothing is up" in operator.run(command, "--stack", "local", code=1).output


def test_logs_of_a_real_stack_are_read_with_the_vendors_commands(operator: Operator) -> None:
    """The output has one vendor command for each function."""
    config = "config:\n  skyfleet:clouds: {aws: {regions: [eu-west-1]}, azure: {regions: [westeurope]}}\n"
    (operator.root / "Pulumi.prod.yaml").write_text(config)
    said = operator.run("logs", "--stack", "prod").stdout
    assert "aws logs tail /aws/lambda/skyfleet-prod-agent --region eu-west-1" in said
    assert "az monitor app-insights query --app skyfleet-prod-insights-westeurope" in said
    one = operator.run("logs", "aws", "--role", "checker", "--stack", "acme/skyfleet/prod").stdout
    assert "(requests | where not(url endswith" in said
    assert one.count("\n") == 2
    assert "skyfleet-prod-checker" in one
    assert "is the emulator's own log" in operator.run("logs", "emulator", "--stack", "prod", code=2).output
    assert "Pulumi.absent.yaml cannot be read" in operator.run("logs", "--stack", "absent", code=1).output


def test_the_log_commands_name_resources_of_the_program(tmp_path: Path) -> None:
    """This covers log groups, functions and Application Insights of every place."""
    settings = settings_for(*CLOUDS)
    made = recorded(settings, tmp_path)
    said = "\n".join(f"{one.place}\n{one.command} " for one in log_locations(settings, CLOUDS, None))
    groups = of_type(made, "aws:cloudwatch/logGroup:LogGroup")
    functions = of_type(made, "gcp:cloudfunctionsv2/function:Function")
    insights = of_type(made, "azure-native:applicationinsights:Component")
    teams = of_type(made, "azure-native:resources:ResourceGroup")
    assert len(groups) == len(functions) == 3
    for name in (
        *(group.inputs["name"] for group in groups),
        *(function.inputs["name"] for function in functions),
        *(one.inputs["resourceName"] for one in insights),
        *(group.inputs["resourceGroupName"] for group in teams),
    ):
        assert f" {name} " in said
    sites = of_type(made, "azure-native:web:WebApp")
    asked = re.findall(r"cloud_RoleName startswith \W*([\w-]+)", said)
    assert len(asked) == len(sites) == 3
    assert all(any(site.inputs["name"].startswith(name) for site in sites) for name in asked)


def test_a_real_stack_uses_this_projects_python_and_the_operators_pulumi() -> None:
    """Another python3 on the PATH has no Pulumi SDK; the project's own Pulumi CLI is the last choice."""
    cli = Cli(Path("/cache/pulumi"), "3.250.0", (Path("/cache"),), "built")
    path = environment(cli, {"PATH": "/own/bin"})["PATH"].split(os.pathsep)
    assert path == [str(Path(sys.executable).parent), "/own/bin", "/cache"]


@pytest.mark.parametrize("command", ["status", "outputs", "logs", "strategy", "preflight"])
def test_an_empty_stack_name_is_refused(command: str, tmp_path: Path) -> None:
    """It comes from an unset variable, and a command for a real stack must not reach the emulator."""
    done = CliRunner().invoke(cli, [command, "--stack", ""], obj=Layout(tmp_path))
    assert done.exit_code == 2
    assert "it is empty" in done.output
