"""Another agent in the fleet of a test process.

Rule: the former files are put back afterwards. They are deployed only for a test that wants the agent of the
folder (the fixture `fleet`), for a deployment takes longer than most tests.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from infra.setup.compile_locks import all_locks, arguments
from tests.end_to_end.fleet import Fleet

CLOUDS = ("aws", "azure", "gcp")


def lock(root: Path) -> None:
    """Compile the agent's locks, as `make lock` does."""
    uv = Path(sys.executable).with_name("uv")
    for one in all_locks():
        if one.name.startswith("agent-"):
            subprocess.run([uv, *arguments(one, root / "locks" / one.name), "--quiet"], cwd=root, check=True)


@contextlib.contextmanager
def deployed(fleet: Fleet, module: str, source: str, packages: str) -> Generator[str]:
    """Deploy `app` of `examples.MODULE` with this source; yields what `skyfleet up` printed.

    packages: lines for functions/requirements.in.
    """
    changed = ["Pulumi.local.yaml", "functions/requirements.in", *(f"locks/agent-{c}.txt" for c in CLOUDS)]
    before = {name: (fleet.root / name).read_bytes() for name in changed}
    file = fleet.root / "examples" / f"{module}.py"
    try:
        file.write_text(source)
        config = before["Pulumi.local.yaml"].decode()
        agent = config.replace("functions.agent:agent", f"examples.{module}:app")
        (fleet.root / "Pulumi.local.yaml").write_text(agent)
        with (fleet.root / "functions/requirements.in").open("a") as requirements:
            requirements.write(packages)
        lock(fleet.root)
        yield fleet.run("up", seconds=550)
    finally:
        file.unlink(missing_ok=True)
        for name, content in before.items():
            (fleet.root / name).write_bytes(content)
        fleet.behind = True
