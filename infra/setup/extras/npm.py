"""Packages that npm installs for tests, each with a lock in locks/.

A lock is npm's, without addresses: name, version and integrity hash of each package. `npm ci` refuses other
packages; no package runs a script while it is installed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from infra.setup import read_lock
from infra.setup.errors import Unavailable
from infra.setup.extras.tool import Tool, need
from infra.setup.paths import ROOT
from infra.setup.progress import Console
from infra.setup.pulumi.cli import parse_version
from infra.setup.subprocess_step import run_step

USUAL = Path("/usr/local/bin")
KEPT = (
    *("version", "integrity", "bin", "optional", "peer"),
    *("dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta"),
)


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One package with its dependencies.

    title: for messages, its folder in the cache and its lock. name, version: those of npm. main: a file that
    is there once it is installed. least_node: the oldest major version of Node.js that it runs on.
    """

    title: str
    name: str
    version: str
    main: str
    least_node: int

    @property
    def lock(self) -> Path:
        return ROOT / "locks" / f"{self.title}.json"

    @property
    def manifest(self) -> dict[str, object]:
        return {"name": f"skyfleet-{self.title}", "private": True, "dependencies": {self.name: self.version}}

    @property
    def tool(self) -> Tool:
        identity = hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]
        return Tool(self.title, f"{self.version}-{identity}", self.main, self._make)

    def node(self, environ: Mapping[str, str]) -> str:
        """The path of Node.js. Raises Unavailable."""
        program = need("node", environ, USUAL / "node", self._remedy)
        asked = subprocess.run(
            [program, "--version"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        told = asked.stdout.decode(errors="replace").strip()
        if (parse_version(told) or (0, 0, 0)) < (self.least_node, 0, 0):
            raise Unavailable(f"{program} is {told or 'of unknown version'}: {self._remedy}")
        return program

    def write_lock(self, folder: Path, environ: Mapping[str, str], console: Console) -> str:
        """The lock that `make lock` writes: npm's resolution in `folder`, without addresses.

        It keeps the versions of a package-lock.json there. Raises Unavailable or StepFailed.
        """
        npm = need("npm", environ, USUAL / "npm", self._remedy)
        (folder / "package.json").write_text(json.dumps(self.manifest))
        run_step(
            [npm, "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"],
            title=f"lock: {self.title}",
            console=console,
            environ=environ,
            cwd=folder,
        )
        return stripped((folder / "package-lock.json").read_text())

    @property
    def _remedy(self) -> str:
        return f"install Node.js {self.least_node} or newer with npm"

    def _make(self, folder: Path, environ: Mapping[str, str], console: Console) -> None:
        self.node(environ)
        npm = need("npm", environ, USUAL / "npm", self._remedy)
        (folder / "package.json").write_text(json.dumps(self.manifest))
        (folder / "package-lock.json").write_text(read_lock.read(self.lock))
        run_step(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            title=f"{self.title}: npm ci",
            console=console,
            environ=environ,
            cwd=folder,
            advice="Check the network and npm's own settings, then run the same command again.",
        )


def stripped(lock: str) -> str:
    """npm's lock without fields that do not change the content."""
    found = cast("dict[str, dict[str, Any]]", json.loads(lock)["packages"])
    packages = {
        path: {key: value for key, value in entry.items() if key in KEPT} for path, entry in found.items()
    }
    whole = {"lockfileVersion": 3, "requires": True, "packages": packages}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"
