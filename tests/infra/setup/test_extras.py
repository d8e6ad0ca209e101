"""Tools of the tests: made once per user, whole or not at all; a machine that lacks something is told so."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.setup.errors import StepFailed, Unavailable
from infra.setup.extras import adapter, azurite
from infra.setup.extras.adapter import ADAPTER
from infra.setup.extras.all import TOOLS, ensure_all, in_ci
from infra.setup.extras.azurite import AZURITE
from infra.setup.extras.fake_gcs import FAKE_GCS
from infra.setup.extras.tool import UNFINISHED, Tool
from infra.setup.progress import Console
from tests.extras import program
from tests.infra.setup.fakes import script


@pytest.fixture
def console() -> Console:
    return Console(None)


def environment(folder: Path, *, path: str = "bin") -> dict[str, str]:
    """A user of their own, with nothing on PATH but what a test puts there."""
    return {
        "HOME": str(folder),
        "SKYFLEET_CACHE": str(folder / "cache"),
        "PATH": f"{folder / path}:/bin:/usr/bin",
    }


def lonely(folder: Path) -> dict[str, str]:
    """Nothing on PATH at all."""
    return environment(folder) | {"PATH": str(folder / "none")}


def test_a_tool_is_made_once(tmp_path: Path, console: Console) -> None:
    """The second time it is only found, and what a killed run left is gone."""
    made: list[Path] = []

    def make(folder: Path, environ: Mapping[str, str], console: Console) -> None:
        made.append(folder)
        (folder / "tool").write_text("x")

    tool, environ = Tool("some-tool", "1-abc", "tool", make), environment(tmp_path)
    assert tool.cached(environ) is None
    left = tool.folder(environ).parent / f"{UNFINISHED}1"
    left.mkdir(parents=True)
    assert tool.ensure(environ, console) == tool.ensure(environ, console) == tool.cached(environ)
    assert len(made) == 1
    assert [one.name for one in tool.folder(environ).parent.iterdir()] == ["1-abc"]


def test_a_tool_that_could_not_be_made_leaves_nothing(tmp_path: Path, console: Console) -> None:
    """Neither when a step failed nor when its program is not there."""

    def fails(folder: Path, environ: Mapping[str, str], console: Console) -> None:
        (folder / "half").write_text("x")
        raise StepFailed("it broke")

    def forgets(folder: Path, environ: Mapping[str, str], console: Console) -> None:
        (folder / "half").write_text("x")

    for make in (fails, forgets):
        tool, environ = Tool("some-tool", "1-abc", "tool", make), environment(tmp_path)
        with pytest.raises(StepFailed):
            tool.ensure(environ, console)
        assert list(tool.folder(environ).parent.iterdir()) == []


def test_what_a_machine_lacks_is_one_line_each_and_no_error_of_its_own(tmp_path: Path) -> None:
    """The caller decides: in CI it is an error, elsewhere the tests that need it are left out."""
    lines = io.StringIO()

    def lacks(folder: Path, environ: Mapping[str, str], console: Console) -> None:
        raise Unavailable("no cargo on PATH: install Rust")

    missing = ensure_all(environment(tmp_path), Console(lines), [Tool("adapter", "1", "a", lacks)])
    assert missing == ["adapter: no cargo on PATH: install Rust"]
    assert "no cargo on PATH: install Rust" in lines.getvalue()
    assert [in_ci({"CI": value}) for value in ("true", "1", "", "false")] == [True, True, False, False]


@pytest.mark.parametrize(("tool", "named"), [(ADAPTER, "cargo"), (AZURITE, "node"), (FAKE_GCS, "go")])
def test_a_missing_program_is_named(
    tool: Tool, named: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setattr("infra.setup.pulumi.gobuild.USUAL_GO", tmp_path / "none")
    monkeypatch.setattr("infra.setup.extras.azurite.USUAL", tmp_path)
    with pytest.raises(Unavailable, match=f"no {named} on PATH.*install"):
        tool.ensure(lonely(tmp_path), console)


def test_a_test_without_its_tool_is_left_out_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI shows nothing as passed that did not run."""
    monkeypatch.setenv("SKYFLEET_CACHE", str(tmp_path))
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=r"lambda-adapter .* is not in the cache"):
        program(ADAPTER)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"lambda-adapter .* is not in the cache"):
        program(ADAPTER)


def cargo(folder: Path, crate: bytes) -> None:
    """A cargo that fetches `crate` and builds something."""
    cached = folder / ".cargo" / "registry" / "cache" / "index" / f"{adapter.CRATE}-{adapter.VERSION}.crate"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(crate)
    script(
        folder / "bin" / "cargo",
        'for word in "$@"; do [ "$before" = --root ] && root=$word; before=$word; done\n'
        'echo "$@" > "$HOME/asked"; mkdir -p "$root/bin"; echo built > "$root/bin/lambda-adapter"',
    )


def test_the_adapter_is_the_pinned_crate(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built with the crate's own Cargo.lock, and kept only when the crate has the known hash."""
    cargo(tmp_path, b"another crate")
    with pytest.raises(StepFailed, match=adapter.SHA256):
        ADAPTER.ensure(environment(tmp_path), console)
    assert ADAPTER.cached(environment(tmp_path)) is None
    monkeypatch.setattr(adapter, "SHA256", hashlib.sha256(b"another crate").hexdigest())
    found = ADAPTER.ensure(environment(tmp_path), console)
    assert found.read_text() == "built\n"
    asked = (tmp_path / "asked").read_text()
    assert f"install --quiet --locked --version {adapter.VERSION}" in asked


def test_azurite_is_what_its_lock_says(tmp_path: Path, console: Console) -> None:
    """npm gets the lock of the repository and runs no package's scripts."""
    script(tmp_path / "bin" / "node", "echo v20.1.0")
    script(
        tmp_path / "bin" / "npm",
        f'echo "$@" > "$HOME/asked"; cp package-lock.json "$HOME"; mkdir -p {Path(azurite.MAIN).parent}; '
        f"echo x > {azurite.MAIN}",
    )
    assert AZURITE.ensure(environment(tmp_path), console).is_file()
    assert (tmp_path / "asked").read_text().startswith("ci --ignore-scripts")
    assert (tmp_path / "package-lock.json").read_text() == azurite.LOCK.read_text()


def test_an_old_node_is_named(tmp_path: Path, console: Console) -> None:
    """With its version."""
    script(tmp_path / "bin" / "node", "echo v16.20.2")
    with pytest.raises(Unavailable, match=r"v16\.20\.2.*18 or newer"):
        AZURITE.ensure(environment(tmp_path), console)


def test_the_lock_of_azurite_pins_all_by_hash_and_names_no_address() -> None:
    """As the locks of the Python packages do."""
    text = azurite.LOCK.read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert packages.pop("")["dependencies"] == azurite.MANIFEST["dependencies"]
    assert packages[f"node_modules/{azurite.NAME}"]["version"] == azurite.VERSION
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_npms_lock_loses_its_addresses() -> None:
    """What `make lock` writes."""
    entry = {"version": "1.0.0", "integrity": "sha512-x", "resolved": "an address", "funding": {"url": "y"}}
    lock = json.dumps({"lockfileVersion": 3, "name": "x", "packages": {"node_modules/a": entry}})
    kept = json.loads(azurite.stripped(lock))["packages"]
    assert kept == {"node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}


def test_fake_gcs_server_is_pinned_by_its_go_sum() -> None:
    """The version that the tool is named after is the one of its module."""
    module = Path(__file__).parents[3] / "infra/setup/extras/fake-gcs-server"
    version = FAKE_GCS.identity.partition("-")[0]
    assert f"github.com/fsouza/fake-gcs-server v{version}" in (module / "go.mod").read_text()
    assert f"github.com/fsouza/fake-gcs-server v{version} h1:" in (module / "go.sum").read_text()


def test_every_tool_has_a_shelf_of_its_own(tmp_path: Path) -> None:
    """Two tools never share a folder."""
    assert len({tool.folder(environment(tmp_path)) for tool in TOOLS}) == len(TOOLS)
