"""The hosts' dealings with this machine: interpreters, packages, wheels, leftover processes, warm
instances.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from emulator.runtime.errors import InstanceError, SetupError
from emulator.runtime.instances import interpreter, reaper
from emulator.runtime.instances.interpreter import Interpreter
from emulator.runtime.instances.packages import BadPackage, Packages
from emulator.runtime.instances.pool import Pool, Size
from emulator.runtime.instances.wheels import Wheels, cache_folder
from emulator.runtime.types import Call, Outcome, Reply


def test_a_named_interpreter_must_run(tmp_path: Path) -> None:
    """Its version is the one that it reports; one that does not run is a mistake with its path."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert interpreter.at(Path(sys.executable)) == interpreter.own()
    with pytest.raises(SetupError, match=f"--python {shim}"):
        interpreter.at(shim)


def zipped(path: Path, entries: dict[str, tuple[bytes, int]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, (content, mode) in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def test_a_package_is_unpacked_once_and_read_only(tmp_path: Path) -> None:
    """Scripts keep their bit; the folder is complete or absent; unused ones are forgotten."""
    package = zipped(tmp_path / "p.zip", {"run.sh": (b"#!", 0o755), "a/b.py": (b"x", 0o644)})
    packages = Packages(tmp_path / "unpacked")
    root = packages.unpack(package, "hash")
    assert root.stat().st_mode & 0o777 == 0o555
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o555
    assert (root / "a" / "b.py").stat().st_mode & 0o777 == 0o444
    package.unlink()
    assert packages.unpack(package, "hash") == root
    packages.forget_all_but(set())
    assert not root.exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_package_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    """Nothing of it is kept, not even the good part."""
    package = zipped(tmp_path / "p.zip", {"good": (b"", 0o644), name: (b"", 0o644)})
    with pytest.raises(BadPackage, match="outside"):
        Packages(tmp_path / "unpacked").unpack(package, "hash")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_what_is_no_zip_is_said_so(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "p.zip").write_bytes(b"not a zip")
    with pytest.raises(BadPackage, match=r"p\.zip is not a zip"):
        Packages(tmp_path / "unpacked").unpack(tmp_path / "p.zip", "hash")


def fake_uv(folder: Path, script: str) -> Path:
    path = folder / "uv"
    path.write_text(f"#!{sys.executable}\nimport sys, pathlib\n{script}\n")
    path.chmod(0o755)
    return path


HERE = Interpreter(Path(sys.executable), (3, 13, 0))
LOCK = b"thing==1.0 --hash=sha256:00\n"


async def test_wheels_are_installed_once_per_lock(tmp_path: Path) -> None:
    """Two at once run the installer once; the same lock later not at all."""
    script = """
count = pathlib.Path(__file__).with_name("count"); count.open("a").write("x")
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1]); target.mkdir(); (target / "thing.py").touch()
"""
    wheels = Wheels(tmp_path / "cache", fake_uv(tmp_path, script), {})
    first, second = await asyncio.gather(wheels.install(LOCK, HERE), wheels.install(LOCK, HERE))
    assert first == second == await wheels.install(LOCK, HERE)
    assert (first / "thing.py").exists()
    assert (tmp_path / "count").read_text() == "x"


async def test_an_interrupted_install_is_never_used(tmp_path: Path) -> None:
    """A failing installer leaves nothing backend, and its words are in the error."""
    script = """
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1]); target.mkdir(); (target / "half.py").touch()
print("no such package: thing"); sys.exit(2)
"""
    wheels = Wheels(tmp_path / "cache", fake_uv(tmp_path, script), {})
    with pytest.raises(SetupError, match="no such package: thing"):
        await wheels.install(LOCK, HERE)
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    """SKYFLEET_CACHE, else the XDG folder."""
    assert cache_folder({"SKYFLEET_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/skyfleet")


def test_the_sweep_kills_whole_groups_and_only_its_own(tmp_path: Path) -> None:
    """A left group dies with its members; a number that belongs to a younger process is spared."""
    script = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    journal = tmp_path / "journal"
    with (
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as left,
        subprocess.Popen(["sleep", "600"], start_new_session=True) as other,
    ):
        assert left.stdout is not None
        grandchild = int(left.stdout.readline())
        journal.write_text(
            f"+ {left.pid} {reaper.started(left.pid)}\n+ {other.pid} 1\n+ 999999 5\n- 999999\n+ 12"
        )
        assert reaper.sweep(journal) == [left.pid]
        assert left.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
    while reaper.started(grandchild) is not None:
        os.sched_yield()


class FakeInstance:
    """An instance without a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.alive = True
        self._then: list[Callable[[], None]] = []

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        raise AssertionError("not a part of these tests")

    async def event(self, name: str, payload: bytes) -> Outcome:
        return Outcome(True, 200, name)

    def on_end(self, then: Callable[[], None]) -> None:
        self._then.append(then)

    async def ended_within(self, seconds: float) -> bool:
        return not self.alive

    def kill(self) -> None:
        self.alive = False
        for then in self._then:
            then()

    async def stop(self) -> None:
        self.kill()


class Factory:
    """Starts fake instances when the test says so."""

    def __init__(self, *, ready: bool = True) -> None:
        self.started: list[FakeInstance] = []
        self.gate = asyncio.Event()
        self.error: InstanceError | None = None
        if ready:
            self.gate.set()

    async def __call__(self) -> FakeInstance:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.started.append(FakeInstance(len(self.started) + 1))
        return self.started[-1]


async def hold(pool: Pool, release: asyncio.Event, taken: list[int]) -> None:
    async with pool.lease() as instance:
        taken.append(instance.pid)
        await release.wait()


async def test_the_most_recently_used_instance_goes_first() -> None:
    """Two were needed once; afterwards the one that was given back last takes all."""
    pool = Pool(Factory(), Size(1, 4, 0, 60))
    one, two = asyncio.Event(), asyncio.Event()
    taken: list[int] = []
    tasks = [asyncio.create_task(hold(pool, one, taken)), asyncio.create_task(hold(pool, two, taken))]
    while len(taken) < 2:
        await asyncio.sleep(0)
    two.set()
    await tasks[1]
    one.set()
    await tasks[0]
    async with pool.lease() as instance:
        assert instance.pid == taken[0]
    await pool.close()


async def test_no_more_than_most_and_then_throttled() -> None:
    """One instance, one request in it: the next is refused at once, unless it may queue."""
    pool = Pool(Factory(), Size(1, 1, 0, 60))
    async with pool.lease():
        with pytest.raises(InstanceError, match="throttled"):
            async with pool.lease():
                pass
        pool.size = Size(1, 1, 5, 60)
        release, taken = asyncio.Event(), list[int]()
        release.set()
        waiting = asyncio.create_task(hold(pool, release, taken))
        await asyncio.sleep(0)
        assert not taken
    await waiting
    assert taken == [1]
    await pool.close()


async def test_waiting_requests_share_what_starts() -> None:
    """Eight callers of an instance for eight start one."""
    factory = Factory(ready=False)
    pool = Pool(factory, Size(8, 4, 10, 60))
    release, taken = asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(hold(pool, release, taken)) for _ in range(8)]
    await asyncio.sleep(0)
    factory.gate.set()
    release.set()
    await asyncio.gather(*tasks)
    assert taken == [1] * 8
    await pool.close()


async def test_a_failed_start_fails_its_callers_and_not_the_next() -> None:
    """The waiting requests fail with its reason, and a later request tries again."""
    factory = Factory()
    factory.error = InstanceError("unstarted", "bad import")
    pool = Pool(factory, Size(1, 2, 0, 60))
    with pytest.raises(InstanceError, match="bad import"):
        async with pool.lease():
            pass
    factory.error = None
    async with pool.lease() as instance:
        assert instance.pid == 1
    await pool.close()


async def test_a_dead_instance_takes_no_request() -> None:
    """After its end a new one is started."""
    factory = Factory()
    pool = Pool(factory, Size(1, 2, 0, 60))
    async with pool.lease():
        pass
    pool.kill()
    async with pool.lease() as instance:
        assert instance.pid == 2
    await pool.close()


async def test_recycled_instances_finish_what_they_do() -> None:
    """A busy one leaves after its request, an idle one at once."""
    factory = Factory()
    pool = Pool(factory, Size(1, 4, 0, 60))
    async with pool.lease():
        pool.recycle()
        assert factory.started[0].alive
    await asyncio.sleep(0)
    async with pool.lease() as instance:
        assert instance.pid == 2
    assert not factory.started[0].alive
    await pool.close()


async def test_draining_waits_for_requests_but_not_for_ever() -> None:
    """It ends with the last request, or when its time is over."""
    factory = Factory()
    pool = Pool(factory, Size(1, 4, 0, 60))
    release, taken = asyncio.Event(), list[int]()
    task = asyncio.create_task(hold(pool, release, taken))
    while not taken:
        await asyncio.sleep(0)
    drained = asyncio.create_task(pool.drain(30))
    await asyncio.sleep(0)
    assert factory.started[0].alive
    release.set()
    await asyncio.gather(task, drained)
    assert not factory.started[0].alive
