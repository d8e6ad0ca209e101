"""What goes into a package, before anything is installed or compiled: files by name, the build id, the
inputs' hash.

Rule of this file: reads the checkout, writes nothing. The lists below are the whole truth about what is
shipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.config.model import CLOUDS, Cloud
from infra.errors import AgentError, PackageError
from infra.package import Kind
from skyfleet.contract import AGENT_FOLDER

ENTRY_FOLDER = Path("functions", "runtimes", "entry")
# Of `functions/`, what the router's package takes; the agent's takes all of it.
SHARED_FUNCTIONS = ("functions/__init__.py", "functions/runtimes/")
NOT_SHIPPED_FOLDERS = frozenset({"__pycache__", "tests", "node_modules"})
NOT_SHIPPED_SUFFIXES = frozenset({".pyc", ".pyo", ".in"})
# Where a cloud's runtime looks for dependencies; Google installs them itself out of requirements.txt.
SITE_FOLDER: Mapping[Cloud, str | None] = {
    "aws": "",
    "azure": ".python_packages/lib/site-packages/",
    "gcp": None,
}
# One higher when packages change without any of their inputs changing (another layout or way of building).
LAYOUT = 2


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package, by its path inside."""

    name: str
    content: bytes = field(repr=False)
    executable: bool = False


@dataclass(frozen=True, slots=True)
class PackageInputs:
    """All inputs of one kind of package. agent: its entry "module:attribute", empty for a router; locks:
    text by cloud; wanted: what the .in files ask for, by cloud."""

    kind: Kind
    agent: str
    shared: tuple[File, ...]
    entries: Mapping[Cloud, tuple[File, ...]]
    locks: Mapping[Cloud, bytes]
    wanted: Mapping[Cloud, Mapping[str, str]]

    @property
    def build(self) -> str:
        """The same in all clouds: a function that reports it runs these sources with these locks."""
        everything = [
            *self.shared,
            File("agent", self.agent.encode()),
            *(File(f"{cloud}/{f.name}", f.content) for cloud in CLOUDS for f in self.entries[cloud]),
            *(File(f"{cloud}.lock", self.locks[cloud]) for cloud in CLOUDS),
        ]
        return digest(everything)[:16]

    def files(self, cloud: Cloud, *, repeatable: bool) -> list[File]:
        """What stands in the zip beside dependencies and compiled files."""
        facts: dict[str, object] = {"build": self.build, "kind": self.kind, "repeatable": repeatable}
        if self.agent:
            # Here and not in a setting: clouds take settings and code one after the other, and between the
            # two a setting names an agent that is not in the code yet.
            facts["agent"] = self.agent
        return [
            *self.shared,
            *self.entries[cloud],
            File("build.json", json.dumps(facts).encode()),
            File("requirements.txt", self.locks[cloud]),
        ]

    def check_locks(self) -> None:
        """Everything asked for is locked; all that is missing is told at once."""
        missing = sorted(
            f"{name} (asked for in {where}, missing in locks/{self.kind}-{cloud}.txt)"
            for cloud in CLOUDS
            for name, where in self.wanted[cloud].items()
            if name not in locked_names(self.locks[cloud].decode())
        )
        if missing:
            raise PackageError(
                f"The locks are older than what is asked for; run `make lock`: {', '.join(missing)}"
            )


def package_inputs(root: Path, kind: Kind, agent: str) -> PackageInputs:
    """Reads the checkout. agent: entry "module:attribute" of the agent, whose modules an agent's package
    carries."""
    functions = list(_tree(root, Path("functions")))
    shared = list(_tree(root, Path("skyfleet")))
    if kind == "agent":
        shared += functions + _agent_files(root, agent)
    else:
        shared += [file for file in functions if file.name.startswith(SHARED_FUNCTIONS)]
        shared += _tree(root, Path("router"))
    package = "functions" if kind == "agent" else "router"
    return PackageInputs(
        kind,
        agent if kind == "agent" else "",
        tuple(sorted(shared, key=lambda file: file.name)),
        {cloud: tuple(_tree(root / ENTRY_FOLDER / cloud, Path())) for cloud in CLOUDS},
        {cloud: _read(root / "locks" / f"{kind}-{cloud}.txt", "run `make lock`") for cloud in CLOUDS},
        {
            cloud: asked_for(root, (f"{package}/requirements.in", f"functions/runtimes/{cloud}.in"))
            for cloud in CLOUDS
        },
    )


def digest(files: Iterable[File]) -> str:
    """Hash over names, modes and contents, in the order of names."""
    total = hashlib.sha256(f"layout {LAYOUT}\n".encode())
    for file in sorted(files, key=lambda file: file.name):
        content = hashlib.sha256(file.content).hexdigest()
        total.update(f"{file.name}\0{'x' if file.executable else '-'}\0{content}\n".encode())
    return total.hexdigest()


def agent_modules(root: Path, agent: str) -> Path | None:
    """File or folder of the agent's top-level module, as Python would find it in `root`; None when it is in
    `functions/`, which is shipped anyway."""
    top = agent.partition(":")[0].partition(".")[0]
    if top == "functions":
        return None
    file, folder = root / f"{top}.py", root / top
    if (folder / "__init__.py").is_file():  # Python prefers it to a file of the name
        return folder
    if file.is_file():
        return file
    if folder.is_dir() and any(folder.glob("*.py")):
        return folder
    raise AgentError(
        f"skyfleet:agent is {agent!r}, but there is neither {top}.py nor a package {top}/ in {root}. "
        "Put the module there, or name one that is, e.g. functions.agent:agent."
    )


def asked_for(root: Path, files: Sequence[str]) -> dict[str, str]:
    """Normalised names of the requirements in `files`, each with the file that asks for it."""
    names: dict[str, str] = {}
    for file in files:
        for line in _read(root / file, "restore it with git").decode().splitlines():
            requirement = line.partition("#")[0].strip()
            if match := re.match(r"[A-Za-z0-9][\w.-]*", requirement):
                names.setdefault(normalised(match[0]), file)
    return names


def locked_names(lock: str) -> set[str]:
    found = re.finditer(r"^([A-Za-z0-9][\w.-]*)(?:\[.*?\])?\s*==", lock, re.MULTILINE)
    return {normalised(match[1]) for match in found}


def normalised(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _agent_files(root: Path, agent: str) -> list[File]:
    path = agent_modules(root, agent)
    if path is None:
        return []
    if path.is_file():
        files = [File(path.name, path.read_bytes())]
    else:
        files = list(_tree(root, path.relative_to(root)))
    return [replace(file, name=f"{AGENT_FOLDER}/{file.name}") for file in files]


def _tree(root: Path, folder: Path) -> Iterator[File]:
    """Files below `root/folder` that are shipped, named relative to `root`; the entry files go elsewhere."""
    for path in sorted((root / folder).rglob("*")):
        inside = path.relative_to(root)
        skipped = NOT_SHIPPED_FOLDERS & set(inside.parts) or any(
            part.startswith(".") for part in inside.parts
        )
        if skipped or path.suffix in NOT_SHIPPED_SUFFIXES or not path.is_file():
            continue
        if inside.is_relative_to(ENTRY_FOLDER):
            continue
        _check_name(path, root)
        # The mode is part of the package, so it comes from the name and not from what a file system keeps
        # of it.
        yield File(inside.as_posix(), path.read_bytes(), executable=path.suffix == ".sh")


def _check_name(path: Path, root: Path) -> None:
    """AgentError for a name that no zip and no cloud has: it is not UTF-8."""
    name = os.fsencode(path.relative_to(root))
    try:
        name.decode()
    except UnicodeDecodeError as error:
        raise AgentError(
            f"The name of the file {name!r} is not UTF-8 (byte {error.start}), so no package can contain it. "
            "Rename the file; nothing was changed."
        ) from None


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PackageError(f"{path} is missing; {remedy}.") from None
