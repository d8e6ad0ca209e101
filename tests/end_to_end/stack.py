"""A tiny Pulumi program, the real engine and the emulator's providers in this process; no function runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.delays import Delays
from emulator.desired.model import DesiredState
from emulator.providers.server import Providers
from emulator.providers.storage.resource_store import ResourceStore
from emulator.runtime.json_document import Document
from emulator.runtime.ports import Ports
from infra.operations.stack.environment import backend_url
from tests.end_to_end.plugin_list import quick_pip

PATIENCE_S = 240.0
CONFIG = {"aws:region": "eu-west-1", "azure-native:location": "westeurope", "gcp:project": "my-project"}


def nothing(desired: DesiredState) -> None:
    """Hosts that have nothing to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """One run of the CLI: exit code, and all it printed."""

    code: int
    text: str


@dataclass(slots=True)
class Stack:
    """The stack `dev` of a program in `root`. `hosts` is told each world; `worlds` keeps them.

    delays: of a real cloud's seconds, how many pass here.
    """

    root: Path
    pulumi_path: str
    hosts: Callable[[DesiredState], None] = nothing
    delays: float = 0.0
    worlds: list[DesiredState] = field(default_factory=list[DesiredState])
    _providers: Providers | None = field(default=None, init=False)
    _ports: Ports | None = field(default=None, init=False)
    _environment: dict[str, str] = field(default_factory=dict[str, str], init=False)

    @property
    def emulator(self) -> Path:
        return self.root / "emulator"

    @property
    def resource_store(self) -> ResourceStore:
        """The resources as they are on the disk now."""
        return ResourceStore(self.emulator / "resources.json")

    def init(self) -> None:
        """An empty stack with its configuration, and a package to deploy."""
        for folder in ("program", "home", "state"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "program" / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        settings = "".join(f"  {key}: {value}\n" for key, value in CONFIG.items())
        (self.root / "program" / "Pulumi.dev.yaml").write_text(f"config:\n{settings}")
        self.package("one")
        self.start()
        assert self.run("stack", "init", "dev").code == 0

    def package(self, content: str) -> None:
        """The package agent.zip, deterministic in `content`."""
        with zipfile.ZipFile(self.root / "program" / "agent.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("main.py"), f"# {content}\n")
            archive.writestr(zipfile.ZipInfo("run.sh"), "#!/bin/sh\n")

    def program(self, text: str, **values: object) -> None:
        """The program; `@name@` in it becomes a value."""
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (self.root / "program" / "__main__.py").write_text(text)

    def start(self) -> None:
        """Serves the providers at the ports they had before."""
        kept = self._ports = Ports(Document(self.root / "ports.json"))
        packages = ("aws", "azure-native", "gcp", "random")
        wanted = {package: kept.named(package) for package in packages}
        folder = self.root / "program"
        self._providers = Providers(
            self.resource_store,
            self._apply,
            wanted,
            kept.allocate,
            self.emulator,
            folder,
            Delays(self.delays),
        )
        ports = self._providers.start()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI")},
            "PATH": f"{Path(sys.executable).parent}:{self.pulumi_path}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (quick_pip(self.root), os.environ.get("PYTHONPATH")))),
            "PULUMI_HOME": str(self.root / "home"),
            "PULUMI_BACKEND_URL": backend_url(self.root / "state"),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in ports.items()),
        }

    def stop(self) -> None:
        if self._providers is not None:
            self._providers.stop()
            self._providers = None
        if self._ports is not None:
            self._ports.close()
            self._ports = None

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.root / "program",
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> Said:
        with self.popen(*arguments) as process:
            text, _ = process.communicate(timeout=PATIENCE_S)
        return Said(process.returncode, text)

    def up(self, *arguments: str) -> Said:
        """Deploys without a preview first."""
        return self.run("up", "--yes", "--skip-preview", "--diff", *arguments)

    def _apply(self, desired: DesiredState) -> None:
        self.worlds.append(desired)
        self.hosts(desired)


@dataclass(slots=True)
class Gate:
    """Hosts that hold an apply until the test lets them go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, desired: DesiredState) -> None:
        self.reached.set()
        self.opened.wait(PATIENCE_S)


def memory(desired: DesiredState) -> Mapping[str, int]:
    return {function.name: function.memory_mb for function in desired.functions}
