"""Tests of the optional tools of the test suite: installation, cache, missing requirements."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.setup.errors import StepFailed, Unavailable
from infra.setup.extras import adapter, azurite, openai_node
from infra.setup.extras.adapter import ADAPTER
from infra.setup.extras.all import TOOLS, ensure_all, in_ci
from infra.setup.extras.azurite import AZURITE
from infra.setup.extras.fake_gcs import FAKE_GCS
from infra.setup.extras.npm import NpmPackage, stripped
from infra.setup.extras.openai_node import OPENAI_NODE
from infra.setup.extras.tool import UNFINISHED, Tool
from infra.setup.progress import Console
from tests.extras import program
from tests.infra.setup.fakes import script

PACKAGES = [azurite.PACKAGE, openai_node.PACKAGE]


@pytest.fixture
def console() -> Console:
    return Console(None)


def environment(folder: Path, *, path: str = "bin") -> dict[str, str]:
    """The environment of a user whose PATH has only the test's own programs."""
    return {
        "HOME": str(folder),
        "SKYFLEET_CACHE": str(folder / "cache"),
        "PATH": f"{folder / path}:/bin:/usr/bin",
    }


def lonely(folder: Path) -> dict[str, str]:
    """An environment with an empty PATH."""
    return environment(folder) | {"PATH": str(folder / "none")}


def test_a_tool_is_installed_once(tmp_path: Path, console: Console) -> None:
    """The second call finds it, and remains of a killed run are removed."""
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


def test_a_failed_installation_leaves_nothing(tmp_path: Path, console: Console) -> None:
    """This holds for a failed step and for a missing program."""

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


def test_each_missing_requirement_is_one_line_and_not_an_error(tmp_path: Path) -> None:
    """In CI the caller makes it an error; elsewhere the tests of the tool are skipped."""
    lines = io.StringIO()

    def lacks(folder: Path, environ: Mapping[str, str], console: Console) -> None:
        raise Unavailable("no cargo on PATH: install Rust")

    missing = ensure_all(environment(tmp_path), Console(lines), [Tool("adapter", "1", "a", lacks)])
    assert missing == ["adapter: no cargo on PATH: install Rust"]
    assert "no cargo on PATH: install Rust" in lines.getvalue()
    assert [in_ci({"CI": value}) for value in ("true", "1", "", "false")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("tool", "named"), [(ADAPTER, "cargo"), (AZURITE, "node"), (FAKE_GCS, "go"), (OPENAI_NODE, "node")]
)
def test_a_missing_program_is_named(
    tool: Tool, named: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setattr("infra.setup.pulumi.gobuild.USUAL_GO", tmp_path / "none")
    monkeypatch.setattr("infra.setup.extras.npm.USUAL", tmp_path)
    with pytest.raises(Unavailable, match=f"no {named} on PATH.*install"):
        tool.ensure(lonely(tmp_path), console)


def test_a_test_without_its_tool_is_skipped_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI a skipped test must not look passed."""
    monkeypatch.setenv("SKYFLEET_CACHE", str(tmp_path))
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=r"lambda-adapter .* is not in the cache"):
        program(ADAPTER)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"lambda-adapter .* is not in the cache"):
        program(ADAPTER)


def cargo(folder: Path, crate: bytes) -> None:
    """A stand-in of cargo that downloads `crate` and builds a program."""
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
    """It is built with the crate's Cargo.lock and kept only if the crate has the pinned hash."""
    cargo(tmp_path, b"another crate")
    with pytest.raises(StepFailed, match=adapter.SHA256):
        ADAPTER.ensure(environment(tmp_path), console)
    assert ADAPTER.cached(environment(tmp_path)) is None
    monkeypatch.setattr(adapter, "SHA256", hashlib.sha256(b"another crate").hexdigest())
    found = ADAPTER.ensure(environment(tmp_path), console)
    assert found.read_text() == "built\n"
    asked = (tmp_path / "asked").read_text()
    assert f"install --quiet --locked --version {adapter.VERSION}" in asked


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.title)
def test_a_package_of_npm_is_installed_from_its_lock(
    package: NpmPackage, tmp_path: Path, console: Console
) -> None:
    """npm uses the lock of the repository and runs no scripts of packages."""
    script(tmp_path / "bin" / "node", "echo v20.1.0")
    script(
        tmp_path / "bin" / "npm",
        f'echo "$@" > "$HOME/asked"; cp package-lock.json "$HOME"; mkdir -p {Path(package.main).parent}; '
        f"echo x > {package.main}",
    )
    assert package.tool.ensure(environment(tmp_path), console).is_file()
    assert (tmp_path / "asked").read_text().startswith("ci --ignore-scripts")
    assert (tmp_path / "package-lock.json").read_text() == package.lock.read_text()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.title)
def test_an_old_node_is_named(package: NpmPackage, tmp_path: Path, console: Console) -> None:
    """The message has the version."""
    script(tmp_path / "bin" / "node", "echo v16.20.2")
    with pytest.raises(Unavailable, match=rf"v16\.20\.2.*{package.least_node} or newer"):
        package.tool.ensure(environment(tmp_path), console)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.title)
def test_the_lock_of_a_package_of_npm_has_hashes_and_no_urls(package: NpmPackage) -> None:
    """The locks of Python packages have the same property."""
    text = package.lock.read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert packages.pop("")["dependencies"] == package.manifest["dependencies"]
    assert packages[f"node_modules/{package.name}"]["version"] == package.version
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_urls_are_removed_from_npms_lock() -> None:
    """`make lock` writes this form."""
    entry = {"version": "1.0.0", "integrity": "sha512-x", "resolved": "an address", "funding": {"url": "y"}}
    lock = json.dumps({"lockfileVersion": 3, "name": "x", "packages": {"node_modules/a": entry}})
    kept = json.loads(stripped(lock))["packages"]
    assert kept == {"node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}


def test_fake_gcs_server_is_pinned_by_its_go_sum() -> None:
    """The version of the tool is that of its Go module."""
    module = Path(__file__).parents[3] / "infra/setup/extras/fake-gcs-server"
    version = FAKE_GCS.identity.partition("-")[0]
    assert f"github.com/fsouza/fake-gcs-server v{version}" in (module / "go.mod").read_text()
    assert f"github.com/fsouza/fake-gcs-server v{version} h1:" in (module / "go.sum").read_text()


def test_every_tool_has_its_own_folder(tmp_path: Path) -> None:
    """The folders of all tools differ."""
    assert len({tool.folder(environment(tmp_path)) for tool in TOOLS}) == len(TOOLS)
