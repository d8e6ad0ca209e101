"""Instances of an emulator that ends, scales to zero, or has another interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp
import pytest

from emulator.desired.model import CLOUDS
from emulator.runtime.instances.interpreter import Interpreter
from tests.end_to_end.kit import lab, pid_of, until

pytestmark = pytest.mark.emulator


async def test_a_removed_function_leaves_nothing(tmp_path: Path) -> None:
    """Its port is free again and its processes are gone."""
    async with lab(tmp_path) as here:
        spec = here.spec("gcp")
        await here.deploy(spec)
        pid = await pid_of(here, spec)
        here.functions.clear()
        await here.deploy()
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises(aiohttp.ClientConnectorError):
            await here.session.get(here.url(spec))


async def test_idle_instances_are_dropped(tmp_path: Path) -> None:
    """Scale to zero: an instance without requests ends, the next request starts one."""
    async with lab(tmp_path, idle_s=0.2) as here:
        spec = here.spec("gcp")
        await here.deploy(spec)
        await pid_of(here, spec)
        pool = here.emulator.hosts[spec.key].version.pool
        await until(lambda: not pool.members)
        assert await pid_of(here, spec)
        assert pool.starts == 2


async def test_without_a_3_13_the_projects_own_interpreter_serves(tmp_path: Path) -> None:
    """The package's requirements are installed for it, before the vendored ones, in all three hosts."""
    major, minor, patch = sys.version_info[:3]
    own = Interpreter(Path(sys.executable), (major, minor, patch))
    async with lab(tmp_path, python=own) as here:
        for cloud in CLOUDS:
            spec = here.spec(cloud)
            await here.deploy(spec)
            assert await pid_of(here, spec)
            async with here.session.get(here.url(spec, "/env")) as reply:
                seen = await reply.json()
            if cloud == "aws" and not own.is_target:
                assert seen["PYTHONPATH"].endswith(str(seen["LAMBDA_TASK_ROOT"]))
                assert f"py{own.minor}-" in seen["PYTHONPATH"]
