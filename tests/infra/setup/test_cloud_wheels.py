"""Tests of cloud_wheels.py: a pin without a wheel is told by name, with the newest version that has one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.setup import cloud_wheels
from infra.setup.cloud_wheels import Missing, Uv
from infra.setup.errors import NoWheel, StepFailed
from tests.infra.setup.wheel_files import offline, wheel

LAMBDA = "cp313-cp313-manylinux_2_34_x86_64"
NEWER = "cp313-cp313-manylinux_2_35_x86_64"
PREFIX = "skyfleet_test"  # no cached answer of an index is about these


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    """The real uv, with four packages: two that Lambda can run, one in an older version, one never."""
    folder = tmp_path / "wheels"
    wheel(folder, f"{PREFIX}_pure", "1.0", "py3-none-any")
    wheel(folder, f"{PREFIX}_built", "1.0", LAMBDA)
    wheel(folder, f"{PREFIX}_older", "1.8", LAMBDA)
    wheel(folder, f"{PREFIX}_older", "1.9", LAMBDA)
    wheel(folder, f"{PREFIX}_older", "2.0", NEWER)
    wheel(folder, f"{PREFIX}_never", "1.0", "cp313-cp313-macosx_11_0_arm64")
    python = Path(sys.executable)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **offline(folder)}
    return cloud_wheels.runner(python.with_name("uv"), python, environ)


def pins(*names: str) -> str:
    return "".join(f"{PREFIX.replace('_', '-')}-{name}\n" for name in names)


def test_every_pin_without_a_wheel_is_named_with_the_newest_version_that_has_one(uv: Uv) -> None:
    """The requirements' file and the next step are told too."""
    lock = pins("built==1.0", "older==2.0", "pure==1.0", "never==1.0")
    with pytest.raises(NoWheel) as caught:
        cloud_wheels.require(lock, "agent-aws.txt", "functions/requirements.in", uv)
    text = str(caught.value)
    assert "locks/agent-aws.txt is unchanged" in text
    assert (
        "skyfleet-test-older 2.0: the newest version with a wheel is 1.9; write skyfleet-test-older<=1.9"
        in text
    )
    assert "skyfleet-test-never 1.0: no version has a wheel" in text
    assert "built" not in text
    assert "Change functions/requirements.in" in text
    assert "glibc 2.34" in text


def test_a_lock_with_wheels_passes(uv: Uv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also an empty one. Nothing is written where it runs."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    cloud_wheels.require(pins("built==1.0", "pure==1.0"), "agent-aws.txt", "functions/requirements.in", uv)
    cloud_wheels.require("# nothing\n", "agent-aws.txt", "functions/requirements.in", uv)
    assert [*here.iterdir()] == []


def test_another_failure_is_told_as_uv_tells_it() -> None:
    """An index that does not answer is not a missing wheel."""

    def broken(_arguments: Sequence[str], _text: str) -> tuple[int, str]:
        return 2, "error: Failed to fetch: the index"

    with pytest.raises(StepFailed, match="Failed to fetch: the index"):
        cloud_wheels.require("a==1\n", "agent-aws.txt", "functions/requirements.in", broken)


def test_a_package_is_asked_once_even_in_two_versions() -> None:
    """A universal lock pins a version for each range of Pythons, with hashes on lines of their own."""
    asked: list[str] = []

    def answer(arguments: Sequence[str], text: str) -> tuple[int, str]:
        if arguments[1] == "compile":
            return 0, "a==1.5\n"
        asked.append(text)
        return (
            (1, "error: x\n  cause: Because a==2 has no\n  usable wheels and") if "a==" in text else (0, "")
        )

    lock = 'a==1 ; python_full_version < "3.12" \\\n    --hash=sha256:0\na==2 \\\n    --hash=sha256:1\nb==3\n'
    assert cloud_wheels.without_wheel(lock, answer) == [Missing("a", "2", "1.5")]
    assert asked == [lock, "b==3\n"]
