"""The child process of a job on a fake stack: `python -m tests.infra.manager.jobs.fake_child FOLDER ROOT`.

A deployment waits while ROOT/hold exists, and ends without a result when ROOT/dies exists.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from infra.manager.jobs import child
from infra.operations.errors import DeploymentStopped
from tests.infra.manager.jobs.fakes import FakeStack


def main(folder: Path, root: Path) -> int:
    stack = FakeStack(root)

    def at_deploy() -> None:
        while (root / "hold").exists():
            if (folder / "cancel.json").exists() and not (folder / "rollback.json").exists():
                raise DeploymentStopped("stopped")
            time.sleep(0.01)
        if (root / "dies").exists():
            os._exit(9)

    stack.at_deploy = at_deploy
    return child.main(folder, lambda: stack)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
