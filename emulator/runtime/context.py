"""What the instances of every cloud need from the emulator, as one value."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.desired.model import Cloud
from emulator.runtime.instances.environment import Credentials
from emulator.runtime.instances.interpreter import Interpreter
from emulator.runtime.instances.packages import Packages
from emulator.runtime.instances.processes import Child, Command, Log, Processes
from emulator.runtime.instances.wheels import Wheels
from emulator.runtime.ports import InstancePort
from emulator.services.identity import Identities


@dataclass(frozen=True, slots=True)
class HostContext:
    """api: address of each cloud's services. adapter: the real Lambda Web Adapter binary, if installed.

    scratch: parent of the instances' private folders (HOME and TMPDIR). azure_lock: hash-pinned requirements
    of the
    Azure worker library.
    """

    interpreter: Interpreter
    processes: Processes
    packages: Packages
    wheels: Wheels
    identities: Identities
    api: Mapping[Cloud, str]
    logs: Path
    scratch: Path
    azure_lock: Path
    adapter: Path | None = None

    def log(self, key: str) -> Log:
        """Log of the function `key` (`cloud/region/name`)."""
        return Log(log_path(self.logs, key))

    def credentials(self, cloud: Cloud, principal: str) -> Credentials:
        """Credentials of instances that run as `principal`."""
        return self.identities.credentials(cloud, principal)

    async def spawn(
        self,
        argv: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        log: Log,
        *,
        control: bool = False,
        port: InstancePort | None = None,
    ) -> Child:
        """Start an instance's process with a private folder (HOME and TMPDIR), which is removed at its end.

        control: pipes at stdin and stdout. port: the instance's, released at its end."""
        folder = self.scratch / uuid.uuid4().hex[:8]
        folder.mkdir(parents=True)
        own = {**environ, "TMPDIR": str(folder), "HOME": str(folder)}
        try:
            child = await self.processes.spawn(Command(argv, cwd, own, log, control))
        except BaseException:
            if port is not None:
                port.release()
            raise
        if port is not None:
            child.ended.add_done_callback(port.release)
        child.ended.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))
        return child


def log_path(logs: Path, key: str) -> Path:
    """`logs/<cloud>/<region>-<function>.log`."""
    cloud, _, rest = key.partition("/")
    return logs / cloud / f"{rest.replace('/', '-')}.log"
