"""Tests of the short form of Pulumi's output."""

from __future__ import annotations

import pytest

from infra.operations.stack.pulumi_lines import (
    SHOWN_LINES,
    counts,
    diagnostics,
    outages,
    planned,
    step,
    waiting,
)

pytestmark = pytest.mark.pure

# As printed by Pulumi 3.250.0 with --non-interactive --color never.
OUTPUT = """Updating (local):
@ updating......
 +  pulumi:pulumi:Stack skyfleet-local creating (0s)
 +  aws:iam:Role agent-role creating (0s)
 +  aws:iam:Role agent-role created (0.01s)
 ~  gcp:cloudfunctionsv2:Function agent updated (2s) [diff: ~buildConfig]
 +- aws:lambda:Function agent replaced (0.5s)
 +  pulumi:pulumi:Stack skyfleet-local **creating failed** 1 error
Diagnostics:
  aws:lambda:Function (agent):
    error: AccessDenied: the role cannot be assumed

  pulumi:pulumi:Stack (skyfleet-local):
    error: update failed

Outputs:
    routerUrl: "http://127.0.0.1:1"

Resources:
    + 2 created
    ~ 1 updated
    +-1 replaced
    37 unchanged

Duration: 4s
""".splitlines()


def test_a_preview_announces_operations() -> None:
    """Components of Pulumi itself are not in the plan."""
    lines = [
        "Previewing update (local):",
        " +  aws:iam:Role agent-role create",
        " ~  aws:lambda:Function router update [diff: ~environment]",
        "    pulumi:pulumi:Stack skyfleet-local",
        " ~  pulumi:pulumi:Stack skyfleet-local update",
        " -  aws:iam:Role old delete",
    ]
    found = [one for line in lines if (one := planned(line))]
    assert [(one.what, one.name) for one in found] == [
        ("create", "agent-role"),
        ("update", "router"),
        ("delete", "old"),
    ]


def test_only_finished_operations_are_shown() -> None:
    """Begun operations, dots and sections are left out."""
    found = [str(done) for line in OUTPUT if (done := step(line))]
    assert found == [
        "+  created   aws:iam:Role agent-role",
        "~  updated   gcp:cloudfunctionsv2:Function agent",
        "+- replaced  aws:lambda:Function agent",
        "+  creating failed pulumi:pulumi:Stack skyfleet-local",
    ]


def test_a_waiting_message_is_shown_once_and_is_not_the_reason_of_a_failure() -> None:
    """Pulumi prints it at once and again under the diagnostics."""
    told = "waiting for the agent on gcp/r to serve build b: so far no answer (30 of at most 300 s)"
    lines = [
        f" +  pulumi:pulumi:Stack skyfleet-local creating (31s) {told}",
        "Diagnostics:",
        "  pulumi:pulumi:Stack (skyfleet-local):",
        f"    {told}",
        "    error: it does not serve",
    ]
    assert [waiting(line) for line in lines] == [told, "", "", "", ""]
    assert [waiting(line) for line in OUTPUT if waiting(line)] == []
    assert diagnostics(lines) == [lines[2], lines[4]]


def test_a_failed_operation_is_marked() -> None:
    """It has the form of the other lines."""
    done = step(OUTPUT[7])
    assert done is not None
    assert done.failed


def test_the_reason_is_the_diagnostics_section() -> None:
    """The rest of the output, up to hundreds of lines, is left out."""
    assert diagnostics(OUTPUT) == [
        "  aws:lambda:Function (agent):",
        "    error: AccessDenied: the role cannot be assumed",
        "  pulumi:pulumi:Stack (skyfleet-local):",
        "    error: update failed",
    ]


def test_an_error_before_the_update_is_found_too() -> None:
    """Examples are a locked stack and an invalid project file."""
    assert diagnostics(["warning: x", "error: could not load plugin", "", "usage"]) == [
        "error: could not load plugin"
    ]


def test_without_any_section_the_last_lines_are_shown() -> None:
    """A killed Pulumi prints no diagnostics."""
    assert diagnostics(["a", "", "panic: b"]) == ["a", "panic: b"]


def test_a_long_traceback_keeps_its_head_and_its_end() -> None:
    """The head names the resource and the end has the reason."""
    lines = ["Diagnostics:", *(f"    line {number}" for number in range(300)), "Duration: 1s"]
    shown = diagnostics(lines)
    assert len(shown) == SHOWN_LINES + 1
    assert shown[0] == "    line 0"
    assert shown[-1] == "    line 299"
    assert any("260 lines left out" in line for line in shown)


def test_the_counts_become_one_line() -> None:
    """It is the last line of `up`."""
    assert counts(OUTPUT) == "2 created, 1 updated, 1 replaced, 37 unchanged"
    assert counts([]) == ""


@pytest.mark.parametrize(
    "line", ["", "    x: 1", "warning: created y", " +  no-colon name created", "@ updating....."]
)
def test_other_lines_are_not_operations(line: str) -> None:
    """Unknown lines are only in the log."""
    assert step(line) is None


FAILED = " +  {type} {name} **creating failed** error: {said}"
SAID = "ServiceUnavailable: the cloud's management API answered 503; it may answer again in some minutes"


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([("gcp:projects:Service", "gcp-run", SAID)], {"gcp": "the cloud's management API answered 503"}),
        (
            [("azure-native:web:WebApp", "site", SAID), ("pulumi:pulumi:Stack", "s", "update failed")],
            {"azure": "the cloud's management API answered 503"},
        ),
        ([("gcp:projects:Service", "x", SAID), ("aws:s3:Bucket", "y", "BucketAlreadyExists: z")], {}),
        ([("time:index:Sleep", "x", SAID)], {}),
        ([], {}),
    ],
)
def test_an_outage_is_distinguished_from_other_failures(
    failed: list[tuple[str, str, str]], expected: dict[str, str]
) -> None:
    """The other clouds are deployed alone only if an outage is the single cause."""
    lines = [FAILED.format(type=type, name=name, said=said) for type, name, said in failed]
    assert outages(lines) == expected
