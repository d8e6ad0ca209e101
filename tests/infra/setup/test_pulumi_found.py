"""The first way to a Pulumi CLI: one that the user has."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.setup.errors import BadOverride
from infra.setup.pulumi.cli import LANGUAGE_EXEC, LANGUAGE_HOST, RELEASE, Cli, Lack, parse_version
from infra.setup.pulumi.found import from_override, judge, on_path
from tests.infra.setup.fakes import CHECKOUT, install, script

BASE = "/usr/bin:/bin"


def test_a_whole_and_new_enough_cli_on_path_is_taken(tmp_path: Path) -> None:
    """What the user has comes before everything that costs time."""
    folder = install(tmp_path / "bin", "v3.260.1")
    found = on_path({"PATH": f"{folder}:{BASE}"})
    assert found == Cli(folder / "pulumi", "3.260.1", (folder,), "PATH")


def test_one_that_is_too_old_is_named_with_path_version_and_need(tmp_path: Path) -> None:
    """The user must be able to find the program that was turned down."""
    folder = install(tmp_path / "bin", "v3.99.0")
    found = on_path({"PATH": f"{folder}:{BASE}"})
    assert isinstance(found, Lack)
    assert str(folder / "pulumi") in found.reason
    assert "3.99.0" in found.reason
    assert RELEASE in found.reason


@pytest.mark.parametrize("missing", [LANGUAGE_HOST, LANGUAGE_EXEC])
def test_one_without_its_python_host_is_not_taken(tmp_path: Path, missing: str) -> None:
    """A bare binary cannot run a Python program."""
    folder = install(tmp_path / "bin", "v3.250.0", without=missing)
    found = on_path({"PATH": str(folder)})
    assert isinstance(found, Lack)
    assert missing in found.reason


def test_a_host_elsewhere_on_path_serves(tmp_path: Path) -> None:
    """Package managers put the host into a folder of its own."""
    folder = install(tmp_path / "bin", "v3.250.0", without=LANGUAGE_HOST)
    other = script(tmp_path / "hosts" / LANGUAGE_HOST, "exit 0").parent
    found = on_path({"PATH": f"{folder}:{other}:{BASE}"})
    assert isinstance(found, Cli)
    assert found.path == (folder, other)


def test_a_link_to_the_cli_finds_the_host_beside_the_file(tmp_path: Path) -> None:
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
def test_a_broken_pulumi_is_a_lack_with_its_own_words(tmp_path: Path, body: str, said: str) -> None:
    """Any program may be called pulumi."""
    program = script(tmp_path / "pulumi", body)
    found = judge(program, {"PATH": BASE}, "PATH")
    assert isinstance(found, Lack)
    assert said in found.reason


def test_a_file_that_is_no_program_is_a_lack(tmp_path: Path) -> None:
    """A wrong architecture or an empty file does not start."""
    program = tmp_path / "pulumi"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    found = judge(program, {"PATH": BASE}, "PATH")
    assert isinstance(found, Lack)
    assert "does not start" in found.reason


def test_the_override_takes_a_folder_or_the_file(tmp_path: Path) -> None:
    """`SKYFLEET_PULUMI` may name either."""
    folder = install(tmp_path / "bin", "v3.250.0")
    for named in (folder, folder / "pulumi"):
        found = from_override({"SKYFLEET_PULUMI": str(named), "PATH": BASE})
        assert found is not None
        assert found.program == folder / "pulumi"
    assert from_override({"PATH": BASE}) is None


def test_an_override_that_does_not_serve_is_an_error(tmp_path: Path) -> None:
    """An explicit wish is not silently replaced by another way."""
    folder = install(tmp_path / "bin", "v3.1.0")
    with pytest.raises(BadOverride, match=r"SKYFLEET_PULUMI=.*3\.1\.0.*unset"):
        from_override({"SKYFLEET_PULUMI": str(folder), "PATH": BASE})


def test_versions_are_read_with_their_suffixes() -> None:
    """Development builds say more than three numbers."""
    assert parse_version("v3.250.0") == (3, 250, 0)
    assert parse_version("3.251.0-alpha.1+g1234") == (3, 251, 0)
    assert parse_version("dev") is None


def test_the_go_module_pins_the_same_release() -> None:
    """What is fetched and what is built are one version."""
    mod = (CHECKOUT / "infra" / "setup" / "pulumi" / "modules" / "cli" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{RELEASE}" in mod
    assert f"github.com/pulumi/pulumi/sdk/v3 v{RELEASE}" in mod
