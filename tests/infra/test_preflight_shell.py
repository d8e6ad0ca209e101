"""Tests of the check that the shell's environment fits the stack, real or emulated."""

from __future__ import annotations

import pytest

from infra.config.model import CLOUDS
from infra.config.parse import parse_settings
from infra.errors import PreflightError
from infra.preflight import require_shell
from infra.preflight.shell import wrong_shell

EMULATOR = "aws:1,azure-native:2,gcp:3,random:4"
CLOUDS_CONFIG = {"aws": {"regions": ["eu-west-1"]}, "azure": {"regions": ["westeurope"]}}


def test_a_real_stack_in_a_plain_shell_and_a_local_one_in_the_emulators_pass() -> None:
    """The check reports nothing."""
    assert wrong_shell("prod", CLOUDS, {}, emulated=False) == []
    assert wrong_shell("prod", CLOUDS, {"PULUMI_DEBUG_PROVIDERS": ""}, emulated=False) == []
    assert wrong_shell("local", CLOUDS, {"PULUMI_DEBUG_PROVIDERS": EMULATOR}, emulated=True) == []


@pytest.mark.parametrize("providers", [EMULATOR, "random:4", "gcp:1"])
def test_a_real_stack_in_a_shell_of_the_emulator_is_refused(providers: str) -> None:
    """The error names the variable and advises a new shell."""
    (found,) = wrong_shell("prod", CLOUDS, {"PULUMI_DEBUG_PROVIDERS": providers}, emulated=False)
    assert "stack prod is for real accounts" in found.line
    assert "new shell" in found.line
    assert "\n" not in found.line


@pytest.mark.parametrize(
    ("providers", "missing"),
    [
        ("", "aws, azure-native, gcp"),
        ("aws:1,gcp:3", "azure-native"),
        ("random:4", "aws, azure-native, gcp"),
        ("aws:1, gcp:3,azure-native:", "azure-native, gcp"),
    ],
)
def test_a_local_stack_in_a_plain_shell_is_refused(providers: str, missing: str) -> None:
    """It is refused also if only some of its clouds are emulated."""
    (found,) = wrong_shell("local", CLOUDS, {"PULUMI_DEBUG_PROVIDERS": providers}, emulated=True)
    assert f"does not name {missing})" in found.line
    assert "make up" in found.line


def test_only_the_clouds_of_the_stack_must_be_emulated() -> None:
    """A stack without Google does not need Google's emulated provider."""
    assert wrong_shell("local", ("aws",), {"PULUMI_DEBUG_PROVIDERS": "aws:1"}, emulated=True) == []


def test_the_program_ends_before_any_request() -> None:
    """A stack config with skyfleet:emulator is a stack of the emulator."""
    real = parse_settings({"skyfleet:clouds": CLOUDS_CONFIG}, "prod")
    local = parse_settings({"skyfleet:clouds": CLOUDS_CONFIG, "skyfleet:emulator": {}}, "local")
    require_shell(real, {})
    require_shell(local, {"PULUMI_DEBUG_PROVIDERS": EMULATOR})
    with pytest.raises(PreflightError, match="nothing was deployed"):
        require_shell(real, {"PULUMI_DEBUG_PROVIDERS": EMULATOR})
    with pytest.raises(PreflightError, match="real accounts"):
        require_shell(local, {})
