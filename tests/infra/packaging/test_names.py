"""Tests of names.py: which names an agent's module may have beside its dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.packaging import names


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Installed dependencies: a package, a module, an extension module, and what is no module."""
    for folder in ("httpx", "azure/functions", "numpy.libs", "httpx-0.28.1.dist-info", "mine-1.0.dist-info"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("six.py", "_brotli.cpython-313-x86_64-linux-gnu.so", "mine.pth", "numpy.txt"):
        (tmp_path / file).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "agent", ["httpx:app", "httpx.mine:app", "azure.bot:agent", "six:app", "_brotli:app"]
)
def test_a_dependencys_name_is_refused_with_its_lock(site: Path, tmp_path: Path, agent: str) -> None:
    """An import of the name would find only one of the two."""
    (empty := tmp_path / "empty").mkdir()
    refused = names.refusal(agent, {"aws": empty, "gcp": site})
    assert refused is not None
    top = agent.partition(":")[0].partition(".")[0]
    assert refused.startswith(f"{top} is also the name of a dependency in locks/agent-gcp.txt, and")
    assert f"Rename the agent's, for example to my_{top}" in refused


@pytest.mark.parametrize("agent", ["mine:app", "numpy:app", "main:app", "functions.httpx:agent"])
def test_any_other_name_is_free(site: Path, agent: str) -> None:
    """Neither metadata nor libraries of a wheel are modules; `functions` is a name space of its own."""
    assert names.refusal(agent, {"aws": site, "gcp": site}) is None


def test_what_a_platform_has_imported_is_refused_there_only(tmp_path: Path) -> None:
    """Azure's worker is a Python program with modules of its own."""
    assert names.refusal("grpc:app", {"aws": tmp_path, "gcp": tmp_path}) is None
    assert "a module of azure's runtime" in str(names.refusal("grpc:app", {"azure": tmp_path}))


def test_a_missing_module_gets_what_to_do(tmp_path: Path) -> None:
    """A file beside the agent is not in its package; anything else may be a dependency."""
    (tmp_path / "helpers.py").write_text("")
    (tmp_path / "shared").mkdir()
    problem = "main:app does not import: main.py:1: ModuleNotFoundError: No module named "
    for name in ("helpers", "shared"):
        told = names.missing_module(f"{problem}'{name}.x'", "main:app", tmp_path)
        assert f"{name} is beside main" in told
        assert "skyfleet:agent: my_agent.main:app" in told
    told = names.missing_module(f"{problem}'fastapi'", "main:app", tmp_path)
    assert told.endswith("add it to functions/requirements.in and run `make lock`")
    assert names.missing_module("main.py:1: KeyError: 'x'", "main:app", tmp_path) == ""
