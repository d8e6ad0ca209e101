"""Tests of the installed dependencies of a package: the wheels are those that run in the clouds."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from infra.errors import PackageError
from infra.packaging import build_all, dependencies, size_limits
from infra.packaging.tools import Tools
from tests.infra.checkout import Checkout
from tests.infra.setup.wheel_files import offline, wheel

NAME = "skyfleet_test_wheel"


def lock(path: Path) -> bytes:
    """A lock that pins version 1.0, the given wheel."""
    pin = f"{NAME.replace('_', '-')}==1.0"
    return f"{pin} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()


def tools(folder: Path) -> Tools:
    """The project's uv, with the wheels of a folder alone and a cache of its own."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "SKYFLEET_CACHE": str(folder / "cache")}
    return Tools.find(Path(sys.executable), environ | offline(folder / "wheels"))


@pytest.mark.parametrize("tag", ["manylinux_2_28_x86_64", "manylinux_2_34_x86_64", "manylinux2014_x86_64"])
def test_a_wheel_for_the_glibc_of_lambda_is_installed(tmp_path: Path, tag: str) -> None:
    """numpy 2.5 has wheels from manylinux_2_27 on; all clouds have a newer glibc."""
    built = wheel(tmp_path / "wheels", NAME, "1.0", f"cp313-cp313-{tag}")
    site = dependencies.install(lock(built), dependencies.CLOUD_TARGET, tools(tmp_path), lambda _: None)
    assert (site / f"{NAME}.py").is_file()


def test_a_pin_without_a_wheel_is_named(tmp_path: Path) -> None:
    """With the command that knows a version that has one."""
    built = wheel(tmp_path / "wheels", NAME, "1.0", "cp313-cp313-manylinux_2_35_x86_64")
    with pytest.raises(
        PackageError, match=r"skyfleet-test-wheel 1\.0, .* no wheel for Python 3\.13, .*2\.34"
    ):
        dependencies.install(lock(built), dependencies.CLOUD_TARGET, tools(tmp_path), lambda _: None)


def test_dependencies_count_for_the_size_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most large packages are large by what they depend on, which is told by its name."""
    built = wheel(tmp_path / "wheels", NAME, "1.0", "py3-none-any", f"TEXT = '{'x' * 2_000_000}'\n")
    checkout = Checkout(tmp_path, ("aws",))
    checkout.write("locks/agent-aws.txt", lock(built).decode())
    monkeypatch.setattr(size_limits, "LIMITS", {"aws": 2_000_000})
    environ = checkout.environ | offline(tmp_path / "wheels")
    with pytest.raises(PackageError, match=rf"aws: \d\.\d MB; .*\nIts biggest parts: .*\b{NAME}\.py 1\.9 MB"):
        build_all(checkout.settings(), root=checkout.root, environ=environ)
    assert list(checkout.packages.glob("*.zip")) == []
