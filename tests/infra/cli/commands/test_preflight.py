"""Tests of `skyfleet preflight`: one run for each cloud, and all problems in one report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.commands.preflight import sentence
from infra.operations.paths import Layout
from infra.setup.pulumi.cli import FILES
from tests.infra.cli.fakes import script

CONFIG = """config:
  skyfleet:clouds:
    aws: {regions: [eu-west-1]}
    azure: {regions: [westeurope]}
    gcp: {regions: [europe-west1], project: my-project-123}
"""
# Azure's provider fails, the others answer.
PULUMI = """
[ "$1" = version ] && { echo v3.250.0; exit; }
echo "$* for $SKYFLEET_PREFLIGHT_CLOUDS" >>"$(dirname "$0")/asked"
case "$SKYFLEET_PREFLIGHT_CLOUDS" in
  aws) echo '{"accounts": {"aws": "account 1"}, "stops": ["aws: no region"], "notes": ["aws: small"]}' ;;
  gcp) echo '{"accounts": {"gcp": "project p"}, "stops": [], "notes": []}' ;;
  azure) echo "error: the login has expired" >&2; exit 255 ;;
esac >"$SKYFLEET_PREFLIGHT_REPORT"
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    script(tmp_path / "bin" / "gcloud", 'echo "$*" >>"$(dirname "$0")/gcloud-asked"; echo "$GCLOUD_SAYS"')
    for name in FILES:
        script(tmp_path / "bin" / name, PULUMI if name == "pulumi" else "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "Pulumi.prod.yaml").write_text(CONFIG)
    (root / "Pulumi.local.yaml").write_text(f"{CONFIG}  skyfleet:emulator: {{}}\n")
    return Layout(root)


def run(layout: Layout, *words: str, code: int) -> Result:
    done = CliRunner().invoke(cli, ["preflight", *words], obj=layout)
    assert done.exit_code == code, done.output
    return done


def test_a_failed_provider_does_not_hide_problems_of_other_clouds(checkout: Layout) -> None:
    """The report has one line for each problem of all clouds, and the previews create nothing."""
    told = json.loads(run(checkout, "--stack", "prod", "--json", code=1).stdout)
    assert told["accounts"] == {"aws": "account 1", "gcp": "project p"}
    assert told["stops"][0] == "aws: no region"
    assert told["stops"][1].startswith("azure: ")
    assert "the login has expired" in told["stops"][1]
    assert told["notes"][0] == "aws: small"
    asked = (checkout.root.parent / "bin" / "asked").read_text().splitlines()
    assert [line.partition(" ")[0] for line in asked] == ["preview"] * 3
    assert all("--stack prod" in line for line in asked)
    assert [line.rpartition(" ")[2] for line in asked] == ["aws", "azure", "gcp"]


def test_pulumis_retries_are_left_out_of_the_line(checkout: Layout) -> None:
    """For a provider that cannot be downloaded the last error suffices."""
    tries = 'echo "warning: error downloading provider: no such host"; echo "Will retry in 80ms [1/5]"; ' * 5
    error = "error: Could not install resource plugin, install it using 'pulumi plugin install resource aws'"
    fails = f'[ "$1" = version ] && {{ echo v3.250.0; exit; }}\n{tries} echo "{error}" >&2; exit 1'
    script(checkout.root.parent / "bin" / "pulumi", fails)
    stops = json.loads(run(checkout, "--stack", "prod", "--json", code=1).stdout)["stops"]
    assert stops[0] == f"aws: `pulumi preview --stack prod` ended with 1: {error}"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions", "`pulumi login`"),
        ("no stack named 'prod' found", "`pulumi stack init prod`"),
        ("get stack secrets manager: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "`export PULUMI"),
        ("getting stack configuration: get stack secrets manager: incorrect passphrase", "`export PULUMI"),
    ],
)
def test_an_unreadable_stack_is_reported_once_with_each_missing_credential(
    checkout: Layout, monkeypatch: pytest.MonkeyPatch, said: str, remedy: str
) -> None:
    """The problem of the stack is one line with a command, and is not repeated for each cloud."""
    monkeypatch.setenv("HOME", str(checkout.root))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setattr("infra.preflight.credentials.metadata_answers", lambda: False)
    for name in ("ARM_CLIENT_ID", "GOOGLE_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    fails = f'[ "$1" = version ] && {{ echo v3.250.0; exit; }}\necho "error: {said}" >&2; exit 255'
    script(checkout.root.parent / "bin" / "pulumi", fails)
    stops = json.loads(run(checkout, "--stack", "prod", "--json", code=1).stdout)["stops"]
    assert [line.partition(":")[0] for line in stops] == ["pulumi", "azure", "gcp"]
    assert remedy in stops[0]
    assert "`az login`" in stops[1]


def test_an_organisation_policy_against_public_functions_is_found_by_gcloud(
    checkout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy is mostly inherited, which no provider shows."""
    monkeypatch.setenv("GCLOUD_SAYS", '{"listPolicy": {"allowedValues": ["C01"]}}')
    stops = json.loads(run(checkout, "--stack", "prod", "--json", code=1).stdout)["stops"]
    assert "domain restricted sharing" in stops[-1]
    asked = (checkout.root.parent / "bin" / "gcloud-asked").read_text()
    assert "--project my-project-123 --effective" in asked


def test_a_shell_with_the_emulators_environment_is_refused_before_any_request(
    checkout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real stack cannot be checked with the emulator's providers."""
    monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", "aws:1")
    said = run(checkout, "--stack", "prod", code=1).output
    assert "new shell" in said
    assert not (checkout.root.parent / "bin" / "asked").exists()


def test_the_preflight_of_the_emulators_stack_needs_the_emulator(checkout: Layout) -> None:
    """The message says that the emulator is not running."""
    assert "nothing is up" in run(checkout, code=1).output


def test_the_report_begins_with_accounts_and_ends_with_problems() -> None:
    """Without problems it ends with the command to run next."""
    facts: dict[str, object] = {"stack": "prod", "accounts": {"aws": "account 1"}, "stops": [], "notes": []}
    assert sentence(facts).splitlines() == [
        "aws    account 1",
        "`pulumi up --stack prod` can start.",
    ]
    facts |= {"stops": ["gcp: x"], "notes": ["aws: y"]}
    assert sentence(facts).splitlines()[1:] == [
        "Worth knowing:",
        "  - aws: y",
        "A deployment of prod would fail:",
        "  - gcp: x",
    ]
