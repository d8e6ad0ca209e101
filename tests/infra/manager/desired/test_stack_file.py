"""The file of a stack: changed by compare-and-set, with its comments kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.manager.desired.stack_file import StackFile, changed_text, config_of, version
from infra.manager.errors import Conflict, Unavailable

TEXT = """# The stack of the team.
encryptionsalt: v1:abc
config:
  # What runs where.
  skyfleet:clouds:
    aws: {regions: [eu-west-1], weight: 3} # the first
    gcp: {regions: [europe-west1], weight: 1}
  skyfleet:agent: "functions.agent:agent"
  gcp:project: my-project-123
"""


def clouds(**changed: object) -> dict[str, object]:
    """The config of TEXT with other clouds."""
    config = config_of(TEXT, "Pulumi.dev.yaml")
    before = config["skyfleet:clouds"]
    assert isinstance(before, dict)
    return {**config, "skyfleet:clouds": {**before, **changed}}


def test_only_the_lines_of_what_changes_are_rewritten() -> None:
    """Comments, quotes and the other values stay as they were."""
    regions = [{"eu-west-1": {"weight": 3}}, {"us-east-1": {"weight": 1}}]
    lines = changed_text(TEXT, clouds(aws={"regions": regions})).splitlines()
    changed = [line for line in lines if line not in TEXT.splitlines()]
    assert len(changed) == 1
    assert changed[0].startswith("    aws: {regions: [eu-west-1: {weight: 3}, us-east-1: {weight: 1}]}")


def test_the_written_config_is_the_one_that_was_asked_for() -> None:
    """Removed keys are gone, and a second writing changes nothing."""
    wanted = {
        key: value for key, value in clouds(azure={"regions": ["westeurope"]}).items() if key != "gcp:project"
    }
    once = changed_text(TEXT, wanted)
    assert config_of(once, "Pulumi.dev.yaml") == wanted
    assert changed_text(once, wanted) == once


def test_the_version_is_of_this_projects_keys_alone() -> None:
    """Another provider's setting, a comment or the order of keys is no other version."""
    config = config_of(TEXT, "Pulumi.dev.yaml")
    assert version(config) == version({**dict(reversed(config.items())), "aws:region": "eu-west-1"})
    assert version(config) != version(clouds(aws={"regions": ["us-east-1"]}))
    bare = {key.removeprefix("skyfleet:"): value for key, value in config.items()}
    assert version(bare) == version(config)


def test_a_change_for_another_version_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    """The second of two operators is told the present version."""
    file = StackFile(tmp_path / "Pulumi.dev.yaml")
    file.path.write_text(TEXT)
    first = file.version()
    file.replace(clouds(aws={"regions": ["us-east-1"]}), expected=first)
    with pytest.raises(Conflict) as refused:
        file.replace(clouds(aws={"regions": ["us-west-2"]}), expected=first)
    assert refused.value.extra["version"] == file.version()
    assert "us-east-1" in file.text()
    assert [path.name for path in tmp_path.iterdir()] == ["Pulumi.dev.yaml"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff", "not text in UTF-8"), (b"a: [", "is not YAML")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Nothing is guessed in its place."""
    path = tmp_path / "Pulumi.dev.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unavailable, match=words) as refused:
        StackFile(path).config()
    assert "Pulumi.dev.yaml" in refused.value.detail


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """The new text goes to another name first."""
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(TEXT)
    blocked = StackFile(tmp_path / "missing" / "Pulumi.dev.yaml")
    with pytest.raises(Unavailable, match="cannot be written"):
        blocked.write(TEXT)
    assert path.read_text() == TEXT
