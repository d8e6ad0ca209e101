"""Azurite, Microsoft's own implementation of Azure Storage, installed by npm from locks/azurite.json.

The lock is npm's, without addresses: name, version and integrity hash of each package. `npm ci` refuses other
packages; no package runs a script while it is installed. 3.35.0 is the last that runs on Node 20.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from infra.setup import read_lock
from infra.setup.errors import Unavailable
from infra.setup.extras.tool import Tool, need
from infra.setup.paths import ROOT
from infra.setup.progress import Console
from infra.setup.pulumi.cli import parse_version
from infra.setup.subprocess_step import run_step

NAME, VERSION = "azurite", "3.35.0"
LOCK = ROOT / "locks" / "azurite.json"
USUAL = Path("/usr/local/bin")
LEAST_NODE = (18, 0, 0)
REMEDY = "install Node.js 18 or newer with npm"
MAIN = f"node_modules/{NAME}/dist/src/blob/main.js"
MANIFEST = {"name": "skyfleet-azurite", "private": True, "dependencies": {NAME: VERSION}}
KEPT = (
    *("version", "integrity", "bin", "optional", "peer"),
    *("dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta"),
)


def node(environ: Mapping[str, str]) -> str:
    """The path of Node.js. Raises Unavailable."""
    program = need("node", environ, USUAL / "node", REMEDY)
    asked = subprocess.run(
        [program, "--version"], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    told = asked.stdout.decode(errors="replace").strip()
    if (parse_version(told) or (0, 0, 0)) < LEAST_NODE:
        raise Unavailable(f"{program} is {told or 'of unknown version'}: {REMEDY}")
    return program


def _make(folder: Path, environ: Mapping[str, str], console: Console) -> None:
    node(environ)
    npm = need("npm", environ, USUAL / "npm", REMEDY)
    (folder / "package.json").write_text(json.dumps(MANIFEST))
    (folder / "package-lock.json").write_text(read_lock.read(LOCK))
    run_step(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        title=f"{NAME}: npm ci",
        console=console,
        environ=environ,
        cwd=folder,
        advice="Check the network and npm's own settings, then run the same command again.",
    )


def write_lock(folder: Path, environ: Mapping[str, str], console: Console) -> str:
    """The lock that `make lock` writes: npm's resolution in the empty `folder`, without addresses."""
    npm = need("npm", environ, USUAL / "npm", REMEDY)
    (folder / "package.json").write_text(json.dumps(MANIFEST))
    run_step(
        [npm, "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"],
        title=f"lock: {NAME}",
        console=console,
        environ=environ,
        cwd=folder,
    )
    return stripped((folder / "package-lock.json").read_text())


def stripped(lock: str) -> str:
    """npm's lock without fields that do not change the content."""
    found = cast("dict[str, dict[str, Any]]", json.loads(lock)["packages"])
    packages = {
        path: {key: value for key, value in entry.items() if key in KEPT} for path, entry in found.items()
    }
    whole = {"lockfileVersion": 3, "requires": True, "packages": packages}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


def _identity() -> str:
    return f"{VERSION}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


AZURITE = Tool(NAME, _identity(), MAIN, _make)
