"""Tests of the search for a Pulumi CLI that the user has installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.setup.errors import BadOverride
from infra.setup.pulumi.cli import LANGUAGE_EXEC, LANGUAGE_HOST, RELEASE, Cli, Lack, parse_version
from infra.setup.pulumi.found import from_override, judge, on_path
from tests.infra.setup.fakes import CHECKOUT, install, script

BASE = "/usr/bin:/bin"


def test_a_complete_and_recent_cli_on_path_is_used(tmp_path: Path) -> None:
    """An installed CLI costs no time."""
    folder = install(tmp_path / "bin", "v3.260.1")
    found = on_path({"PATH": f"{folder}:{BASE}"})
    assert found == Cli(folder / "pulumi", "3.260.1", (folder,), "PATH")


def test_an_old_cli_is_reported_with_path_and_versions(tmp_path: Path) -> None:
    """The message has the path of the refused program, its version and the least version."""
    folder = install(tmp_path / "bin", "v3.99.0")
    found = on_path({"PATH": f"{folder}:{BASE}"})
    assert isinstance(found, Lack)
    assert str(folder / "pulumi") in found.reason
    assert "3.99.0" in found.reason
    assert RELEASE in found.reason


@pytest.mark.parametrize("missing", [LANGUAGE_HOST, LANGUAGE_EXEC])
def test_a_cli_without_its_python_host_is_not_used(tmp_path: Path, missing: str) -> None:
    """The binary alone cannot run a Python program."""
    folder = install(tmp_path / "bin", "v3.250.0", without=missing)
    found = on_path({"PATH": str(folder)})
    assert isinstance(found, Lack)
    assert missing in found.reason


def test_a_host_in_another_folder_of_path_is_found(tmp_path: Path) -> None:
    """Some package managers install the host in a separate folder."""
    folder = install(tmp_path / "bin", "v3.250.0", without=LANGUAGE_HOST)
    other = script(tmp_path / "hosts" / LANGUAGE_HOST, "exit 0").parent
    found = on_path({"PATH": f"{folder}:{other}:{BASE}"})
    assert isinstance(found, Cli)
    assert found.path == (folder, other)


def test_a_link_to_the_cli_finds_the_host_next_to_its_target(tmp_path: Path) -> None:
    """`/usr/local/bin/pulumi` is often a link into the unpacked archive."""
    folder = install(tmp_path / "unpacked", "v3.250.0")
    links = tmp_path / "bin"
    links.mkdir()
    (links / "pulumi").symlink_to(folder / "pulumi")
    found = on_path({"PATH": f"{links}:{BASE}"})
    assert isinstance(found, Cli)
    assert folder in found.path


@pytest.mark.parametrize(
    ("body", "said"),
    [("echo broken >&2; exit 3", "broken"), ("echo hello", "hello"), ("exit 0", "unknown version")],
    ids=["fails", "says-no-version", "says-nothing"],
)
def test_a_broken_pulumi_is_reported_with_its_output(tmp_path: Path, body: str, said: str) -> None:
    """Any program may be named pulumi."""
    program = script(tmp_path / "pulumi", body)
    found = judge(program, {"PATH": BASE}, "PATH")
    assert isinstance(found, Lack)
    assert said in found.reason


def test_a_file_that_is_not_a_program_is_reported(tmp_path: Path) -> None:
    """A program of another architecture or an empty file does not start."""
    program = tmp_path / "pulumi"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    found = judge(program, {"PATH": BASE}, "PATH")
    assert isinstance(found, Lack)
    assert "does not start" in found.reason


def test_the_override_accepts_a_folder_or_the_file(tmp_path: Path) -> None:
    """The variable is `SKYFLEET_PULUMI`."""
    folder = install(tmp_path / "bin", "v3.250.0")
    for named in (folder, folder / "pulumi"):
        found = from_override({"SKYFLEET_PULUMI": str(named), "PATH": BASE})
        assert found is not None
        assert found.program == folder / "pulumi"
    assert from_override({"PATH": BASE}) is None


def test_an_unusable_override_is_an_error(tmp_path: Path) -> None:
    """No other source replaces an explicit setting."""
    folder = install(tmp_path / "bin", "v3.1.0")
    with pytest.raises(BadOverride, match=r"SKYFLEET_PULUMI=.*3\.1\.0.*unset"):
        from_override({"SKYFLEET_PULUMI": str(folder), "PATH": BASE})


def test_versions_are_read_with_their_suffixes() -> None:
    """Versions of development builds have more than three numbers."""
    assert parse_version("v3.250.0") == (3, 250, 0)
    assert parse_version("3.251.0-alpha.1+g1234") == (3, 251, 0)
    assert parse_version("dev") is None


def test_the_go_module_pins_the_same_release() -> None:
    """The downloaded and the built version are equal."""
    mod = (CHECKOUT / "infra" / "setup" / "pulumi" / "modules" / "cli" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{RELEASE}" in mod
    assert f"github.com/pulumi/pulumi/sdk/v3 v{RELEASE}" in mod
