"""The file of a stack: changed by compare-and-set, with its comments kept."""

from __future__ import annotations

from pathlib import Path
from typing import cast

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
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"\xff", "not text in UTF-8"),
        (b"a: [", "is not YAML: line 1, column 5: expected"),
    ],
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


def config_with(clouds: object) -> dict[str, object]:
    """A config of these clouds."""
    return {"skyfleet:clouds": clouds}


SHARED = "x: &d {weight: 2}\nconfig:\n  skyfleet:clouds:\n"
ADDED = {"aws": {"regions": [{"eu-west-1": {"weight": 2}}, {"us-east-1": {"weight": 1}}]}}


@pytest.mark.parametrize("rest", [b"", b"\r\n# the end\r\n", b"\n", b"\n  aws:account: 0123  # theirs\n"])
def test_the_ends_of_the_lines_stay_as_they_are(tmp_path: Path, rest: bytes) -> None:
    """Those of Windows too; what is read is what was written, byte for byte."""
    start = b"# ours\nconfig:\n  skyfleet:clouds:\n    aws: {regions: [eu-west-1], weight: 2} # first"
    content = (start.replace(b"\n", b"\r\n") if b"\r" in rest else start) + rest
    file = StackFile(tmp_path / "Pulumi.dev.yaml")
    file.path.write_bytes(content)
    file.write(file.text())
    assert file.path.read_bytes() == content
    file.write(changed_text(file.text(), {**file.config(), **config_with(ADDED)}))
    edited = file.path.read_bytes()
    assert edited.count(b"\r\n") in (0, edited.count(b"\n"))
    assert (b"\r\n" in edited) is (b"\r\n" in rest)
    assert b"# first" in edited
    assert rest.strip() in edited
    assert file.config()["skyfleet:clouds"] == ADDED


def test_values_that_yaml_libraries_read_differently_are_not_touched() -> None:
    """`010` is octal to one and decimal to another; the text of what does not change stays."""
    others = "  aws:a: 010\n  aws:b: on\n  aws:c: 1e3\n  aws:d: 1_000\n  aws:e: 2020-01-01\n"
    text = f"config:\n  skyfleet:clouds:\n    aws: {{regions: [eu-west-1], weight: 2}}\n{others}"
    wanted = {**config_of(text, "Pulumi.dev.yaml"), **config_with(ADDED)}
    assert changed_text(text, wanted).endswith(others)


def test_quoted_keys_are_the_same_keys() -> None:
    """They keep their quotes."""
    text = "config:\n  \"skyfleet:clouds\":\n    'aws': {\"regions\": ['eu-west-1'], weight: 2}\n"
    edited = changed_text(text, config_with(ADDED))
    assert edited.startswith('config:\n  "skyfleet:clouds":\n    \'aws\': {"regions": [')
    assert config_of(edited, "Pulumi.dev.yaml") == config_with(ADDED)


def test_the_comments_of_regions_stay_beside_them() -> None:
    """When one is added, changed or removed."""
    text = (
        "---\nconfig:\n  skyfleet:clouds:\n    aws:\n      regions:\n"
        "      - eu-west-1 # Ireland\n      - us-west-2 # Oregon\n"
    )
    weights = {"eu-west-1": 2, "us-west-2": 1, "us-east-1": 3}
    listed: list[object] = [{name: {"weight": weight}} for name, weight in weights.items()]
    edited = changed_text(text, config_with({"aws": {"regions": listed}}))
    assert edited == text.replace("- eu-west-1 #", "- {eu-west-1: {weight: 2}} #").replace(
        "- us-west-2 # Oregon\n",
        "- {us-west-2: {weight: 1}} # Oregon\n      - {us-east-1: {weight: 3}}\n",
    )
    without = changed_text(edited, config_with({"aws": {"regions": listed[1:]}}))
    assert "us-west-2: {weight: 1}} # Oregon" in without
    assert "Ireland" not in without


@pytest.mark.parametrize(
    "text",
    [
        SHARED + "    aws: {<<: *d, regions: [eu-west-1]}\n    azure: {<<: *d, regions: [westeurope]}\n",
        SHARED + "    aws: &a {regions: [eu-west-1], weight: 2}\n    azure: *a\n",
        SHARED + "    aws: {regions: [eu-west-1: &s {weight: 2}]}\n    azure: {regions: [westeurope: *s]}\n",
    ],
    ids=["merge key", "alias of a mapping", "alias of settings"],
)
def test_what_an_anchor_shares_changes_in_one_place_only(text: str) -> None:
    """The text is written so that it means the config that was asked for."""
    before = config_of(text, "Pulumi.dev.yaml")["skyfleet:clouds"]
    assert isinstance(before, dict)
    wanted = config_with({**cast("dict[str, object]", before), **ADDED})
    assert config_of(changed_text(text, wanted), "Pulumi.dev.yaml") == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config:\n  a:b: 1\n  a:b: 2\n", r"has the key a:b twice \(line 2\)"),
        ("config:\n  a:b: [{x: 1, x: 2}]\n", r"has the key x twice \(line 2\)"),
        ("config: {a:b: !other 1}\n", "is not YAML"),
        ("config: {}\n---\nconfig: {}\n", "is not YAML"),
    ],
)
def test_a_file_that_pulumi_would_refuse_is_refused(text: str, words: str) -> None:
    """Before a job begins: PyYAML alone would take the last of two keys."""
    with pytest.raises(Unavailable, match=words):
        config_of(text, "Pulumi.dev.yaml")


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    """The file that it leads to is replaced."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "dev.yaml").write_text(TEXT)
    file = StackFile(tmp_path / "Pulumi.dev.yaml")
    file.path.symlink_to(Path("kept") / "dev.yaml")
    file.write("config: {}\n")
    assert file.path.is_symlink()
    assert (tmp_path / "kept" / "dev.yaml").read_text() == "config: {}\n"
