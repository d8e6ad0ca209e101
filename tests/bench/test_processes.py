"""Tests of the child processes of a bench."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.processes import Command, Processes, tail

# Of the benches alone, and with processes.
pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SLEEPER = ("sh", "-c", "echo started; sleep 60 & wait")
# A bench that starts a process, prints its pid and is then killed.
VICTIM = """
import asyncio, sys
from pathlib import Path
from bench.processes import Command, Processes
async def main():
    async with Processes() as processes:
        command = Command({argv!r}, Path(), dict(PATH="/bin:/usr/bin"), Path(sys.argv[1]))
        child = await processes.spawn(command)
        print(child.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def members(group: int) -> list[int]:
    """Pids of the running processes of a process group."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


async def test_the_end_of_the_bench_ends_each_process_and_its_children(tmp_path: Path) -> None:
    """The whole process group is ended, and the log keeps its output."""
    log = tmp_path / "log"
    async with Processes() as processes:
        child = await processes.spawn(Command(SLEEPER, tmp_path, {"PATH": "/bin:/usr/bin"}, log))
        async with asyncio.timeout(10):
            while tail(log) != "started":
                await asyncio.sleep(0.01)
        assert child.alive
    assert not child.alive
    async with asyncio.timeout(10):
        while members(child.pid):
            await asyncio.sleep(0.01)


def test_a_killed_bench_leaves_no_process(tmp_path: Path) -> None:
    """The watchdog ends the process group when its pipe is closed."""
    source = VICTIM.format(argv=SLEEPER)
    with subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        group = int(victim.stdout.readline())
        assert members(group)
        victim.kill()
    deadline = time.monotonic() + 10
    while members(group):
        assert time.monotonic() < deadline
        time.sleep(0.01)
