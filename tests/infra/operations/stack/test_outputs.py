"""Tests of log files, of the removal of all files, and of the cached outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra.operations.emulator.daemon import daemon_pid, running
from infra.operations.emulator.log_files import Follower, LogFile, choose, tail
from infra.operations.errors import SetupFailed
from infra.operations.paths import Layout
from infra.operations.remove_tree import remove
from infra.operations.stack.outputs import read_outputs
from infra.operations.stack.preflight import check_disk_space, read_settings
from infra.operations.stack.recovery import unfinished_operations
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import SECRET, SIGNATURE_KEY
from tests.infra.cli.fakes import script


def logs(folder: Path) -> Path:
    """A folder with the logs of two clouds."""
    for name in (
        "aws/skyfleet-agent.log",
        "aws/skyfleet-router.log",
        "gcp/skyfleet-agent.log",
        "emulator.log",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(f"{name} {number}\n" for number in range(5)))
    return folder


def test_logs_are_selected_by_cloud_and_role(tmp_path: Path) -> None:
    """The role is a part of the function's name."""
    folder = logs(tmp_path)
    assert [file.label for file in choose(folder, ("aws", "gcp"), "agent")] == [
        "aws/skyfleet-agent",
        "gcp/skyfleet-agent",
    ]
    assert len(choose(folder, ("aws",), None)) == 2
    assert choose(folder, ("azure",), None) == []


def test_following_a_log_continues_after_the_printed_lines(tmp_path: Path) -> None:
    """Each line is printed once, and a partial line only when it is complete."""
    path = logs(tmp_path) / "emulator.log"
    shown, end = tail(LogFile("emulator", path), 2)
    assert shown == ["emulator.log 3", "emulator.log 4"]
    follower = Follower(LogFile("emulator", path), end)
    assert list(follower.new_lines()) == []
    with path.open("a") as log:
        log.write("one\ntw")
    assert list(follower.new_lines()) == ["one"]
    with path.open("a") as log:
        log.write("o\n")
    assert list(follower.new_lines()) == ["two"]


def test_a_replaced_log_is_read_from_its_start(tmp_path: Path) -> None:
    """A restarted function writes a new file, and the command waits for a removed one."""
    path = logs(tmp_path) / "emulator.log"
    follower = Follower(LogFile("emulator", path), path.stat().st_size)
    path.write_text("replaced\n")
    assert list(follower.new_lines()) == ["replaced"]
    path.unlink()
    assert list(follower.new_lines()) == []


def test_zero_lines_are_none(tmp_path: Path) -> None:
    """`-n 0 -f` prints only new lines."""
    assert tail(LogFile("emulator", logs(tmp_path) / "emulator.log"), 0)[0] == []


def test_read_only_folders_are_removed_too(tmp_path: Path) -> None:
    """Unpacked packages are read-only, as on the clouds."""
    inside = tmp_path / "emulator" / "code"
    inside.mkdir(parents=True)
    (inside / "file").write_text("x")
    (inside / "file").chmod(0o444)
    inside.chmod(0o555)
    remove(tmp_path / "emulator")
    remove(tmp_path / "emulator")
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_read_from_pulumi_once_per_state(tmp_path: Path) -> None:
    """They are read again after a change of the state, and only the user may read the copy."""
    layout = Layout(tmp_path)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text("{}")
    log = tmp_path / "asked"
    body = f"""echo asked >> {log}
case "$*" in *--show-secrets*) echo '{{"routerUrl": "http://r/", "apiKey": "k"}}' ;;
*) echo '{{"routerUrl": "http://r/", "apiKey": "[secret]"}}' ;; esac"""
    engine = PulumiRunner(script(tmp_path / "pulumi", body), tmp_path, {"PATH": os.defpath})
    assert read_outputs(layout, lambda: engine) == (found := read_outputs(layout, lambda: engine))
    assert found.secret == {"apiKey"}
    assert found.shown == {"routerUrl": "http://r/", "apiKey": "[secret]"}
    assert found.api_key == "k"
    assert found.router_urls == ["http://r"]
    assert log.read_text().count("asked") == 2, "once plain and once with secrets"
    assert layout.outputs.stat().st_mode & 0o077 == 0
    assert "k" in json.loads(layout.outputs.read_text())["outputs"]["apiKey"]
    layout.checkpoint.write_text("{ }")
    os.utime(layout.checkpoint, ns=(1, 1))
    read_outputs(layout, lambda: engine)
    assert log.read_text().count("asked") == 4


def test_the_state_file_says_which_outputs_are_secret(tmp_path: Path) -> None:
    """So Pulumi, which derives a key from the passphrase each time, is asked once."""
    layout, _ = deployed(tmp_path)
    secret = {SIGNATURE_KEY: SECRET, "ciphertext": "v1:x"}
    resource = {"type": "pulumi:pulumi:Stack", "outputs": {"routerUrl": "http://r/", "apiKey": secret}}
    layout.checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": [resource]}}}))
    body = f"""echo "$*" >> {tmp_path}/asked; echo '{{"routerUrl": "http://r/", "apiKey": "k"}}'"""
    engine = PulumiRunner(script(tmp_path / "pulumi", body), tmp_path, {"PATH": os.defpath})
    found = read_outputs(layout, lambda: engine)
    assert found.shown == {"routerUrl": "http://r/", "apiKey": "[secret]"}
    assert found.api_key == "k"
    assert len((tmp_path / "asked").read_text().splitlines()) == 1


def test_outputs_have_urls_that_every_client_can_call(tmp_path: Path) -> None:
    """A name below `localhost` becomes 127.0.0.1, from Pulumi and from the copy."""
    layout, engine = deployed(tmp_path)
    urls = ["http://a.run.app.localhost:9"]
    agents = [{"url": "http://b.azurewebsites.net.localhost:8/", "weight": 1}]
    said = f"echo '{json.dumps({'routerUrl': urls[0], 'routerUrls': urls, 'agents': agents})}'"
    engine = PulumiRunner(script(tmp_path / "pulumi", said), tmp_path, {"PATH": os.defpath})
    for _ in range(2):
        found = read_outputs(layout, lambda: engine)
        assert found.router_urls == ["http://127.0.0.1:9"]
        assert found.agent_urls == ["http://127.0.0.1:8"]
        assert found.shown["agents"] == [{"url": "http://127.0.0.1:8/", "weight": 1}]


BROKEN = b"\xff\xfe\x00{"


def deployed(folder: Path) -> tuple[Layout, PulumiRunner]:
    """A checkout with a state, and a Pulumi that returns one output."""
    layout = Layout(folder)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text("{}")
    body = """echo '{"routerUrl": "http://r/"}'"""
    return layout, PulumiRunner(script(folder / "pulumi", body), folder, {"PATH": os.defpath})


def test_binary_content_in_a_cached_file_is_ignored(tmp_path: Path) -> None:
    """A failed disk may leave any bytes, and no command ends in a traceback."""
    layout, engine = deployed(tmp_path)
    for path in (layout.emulator_file, layout.daemon_file, layout.outputs, layout.checkpoint):
        path.write_bytes(BROKEN)
    assert running(layout) is None
    assert daemon_pid(layout) is None
    assert unfinished_operations(layout) == []
    assert read_outputs(layout, lambda: engine).router_urls == ["http://r"]


def test_outputs_are_returned_although_no_copy_can_be_written(tmp_path: Path) -> None:
    """On a full disk only the next call becomes slower."""
    layout, engine = deployed(tmp_path)
    layout.outputs.mkdir()
    assert read_outputs(layout, lambda: engine).router_urls == ["http://r"]
    assert sorted(path.name for path in layout.home.iterdir()) == ["outputs.json", "state"]


def test_a_binary_stack_config_is_named_in_the_error(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    (tmp_path / "Pulumi.local.yaml").write_bytes(BROKEN)
    with pytest.raises(SetupFailed, match=r"Pulumi\.local\.yaml is not text in UTF-8 \(byte 0\)\. Save it"):
        read_settings(Layout(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config:\n  a: [\n", "line 3, column 1: expected the node content, but found '<stream end>'"),
        ("config:\n\ta: 1\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: \x00\n", "unacceptable character"),
    ],
)
def test_a_stack_config_that_is_not_yaml_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    """With the place of the mistake."""
    (tmp_path / "Pulumi.local.yaml").write_text(text)
    with pytest.raises(SetupFailed) as raised:
        read_settings(Layout(tmp_path))
    assert str(raised.value).startswith(f"Pulumi.local.yaml is not YAML: {said}")
    assert "\n" not in str(raised.value)


def test_a_deployment_begins_only_with_enough_disk_space(tmp_path: Path) -> None:
    """The first deployment needs more than the next; the error has the free and the needed space."""
    layout = Layout(tmp_path)
    check_disk_space(layout, lambda folder: 300 * 2**20)
    with pytest.raises(SetupFailed, match=r"only 100 MB are free where \.skyfleet/ lies.* 256 MB"):
        check_disk_space(layout, lambda folder: 100 * 2**20)
    deployed(tmp_path)
    check_disk_space(layout, lambda folder: 100 * 2**20)
    with pytest.raises(SetupFailed, match=r"only 5 MB.*Free the disk"):
        check_disk_space(layout, lambda folder: 5 * 2**20)
