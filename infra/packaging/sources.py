"""What goes into a package, before anything is installed or compiled: files by name, the build id, the
inputs' hash.

Rule of this file: reads the checkout, writes nothing. The lists below and infra/packaging/tree.py are the
whole truth about what is shipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from infra.config.model import CLOUDS, Cloud
from infra.errors import AgentError, PackageError
from infra.package import Kind
from infra.packaging import size_limits, tree
from skyfleet import contract

ENTRY_FOLDER = Path("functions", "runtimes", "entry")
# Of `functions/`, what the router's package takes; the agent's takes all of it.
SHARED_FUNCTIONS = ("functions/__init__.py", "functions/runtimes/")
# Of which the locks are made.
REQUIREMENTS = ("functions/requirements.in", "functions/runtimes/*.in", "router/*.in")
# Scripts and Linux binaries. A mode comes from the content, not from what a file system keeps of it.
EXECUTABLE = (b"#!", b"\x7fELF")
# Where a cloud's runtime looks for dependencies; Google installs them itself out of requirements.txt.
SITE_FOLDER: Mapping[Cloud, str | None] = {
    "aws": "",
    "azure": ".python_packages/lib/site-packages/",
    "gcp": None,
}
# One higher when packages change without any of their inputs changing (another layout or way of building).
LAYOUT = 2


# `name @ URL`, a URL, a path, an editable one.
_WITHOUT_VERSION = re.compile(
    r"[A-Za-z0-9][\w.-]*\s*(\[[^]]*\])?\s*@|(git|hg|svn|bzr)\+|\w+://|\.{0,2}/|file:|-e\b|--editable\b"
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package, by its path inside."""

    name: str
    content: bytes = field(repr=False)
    executable: bool = False


@dataclass(frozen=True, slots=True)
class PackageInputs:
    """All inputs of one kind of package. agent: its entry "module:attribute", empty for a router; locks:
    text by cloud; wanted: what the .in files ask for, by cloud; left_out: of the agent's folder, with
    reasons."""

    kind: Kind
    agent: str
    shared: tuple[File, ...]
    entries: Mapping[Cloud, tuple[File, ...]]
    locks: Mapping[Cloud, bytes]
    wanted: Mapping[Cloud, Mapping[str, str]]
    left_out: tuple[str, ...] = ()

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
    functions = _tree(root, Path("functions"))
    # No function is a client of the fleet.
    shared = [file for file in _tree(root, Path("skyfleet")) if not file.name.startswith("skyfleet/client/")]
    left_out: list[str] = []
    if kind == "agent":
        own, left_out = _agent_files(root, agent)
        shared += functions + own
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
        {cloud: asked_for(root, _requirements(root, package, cloud)) for cloud in CLOUDS},
        tuple(left_out),
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
    if folder.is_dir() and any(folder.rglob("*.py")):
        return folder
    raise AgentError(
        f"skyfleet:agent is {agent!r}, but there is neither {top}.py nor a package {top}/ in {root}. "
        "Put the module there, or name one that is, e.g. functions.agent:agent."
    )


def _requirements(root: Path, package: str, cloud: Cloud) -> list[str]:
    """The files of which the lock of a package is made; few need one for a cloud alone."""
    of_cloud = f"{package}/{cloud}.in"
    found = [f"{package}/requirements.in", f"functions/runtimes/{cloud}.in"]
    return [*found, of_cloud] if (root / of_cloud).is_file() else found


def asked_for(root: Path, files: Sequence[str]) -> dict[str, str]:
    """Normalised names of the requirements in `files`, each with the file that asks for it.

    One with a marker (`tomli; python_version < "3.11"`) is left out: it may be none for the clouds, and then
    no lock has it. Raises PackageError for one that has no version: a URL or a path (PEP 508; uv, *pip
    compatibility*).
    """
    names: dict[str, str] = {}
    for file in files:
        for line in _text(root / file).splitlines():
            requirement = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
            if _WITHOUT_VERSION.match(requirement):
                raise PackageError(
                    f"{file} asks for {requirement[:200]!r}, but a package has only dependencies that locks/ "
                    "pins by version and hash. Put that code into the agent's folder, or ask for a published "
                    "version."
                )
            if ";" not in requirement and (match := re.match(r"[A-Za-z0-9][\w.-]*", requirement)):
                names.setdefault(normalised(match[0]), file)
    return names


def locked_names(lock: str) -> set[str]:
    found = re.finditer(r"^([A-Za-z0-9][\w.-]*)(?:\[.*?\])?\s*==", lock, re.MULTILINE)
    return {normalised(match[1]) for match in found}


def normalised(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _agent_files(root: Path, agent: str) -> tuple[list[File], list[str]]:
    """The agent's files beside `functions/`, and what is left out of its folder."""
    path = agent_modules(root, agent)
    if path is None:
        return [], tree.walk(root, Path("functions")).left_out
    if path.is_file():
        return [_file(f"{contract.AGENT_FOLDER}/{path.name}", path)], []
    found = tree.walk(root, path.relative_to(root))
    _require_entry(root, agent, {name for name, _ in found.files})
    for _, each in found.files:
        _check_name(each, root)
    own = [(f"{contract.AGENT_FOLDER}/{name}", each) for name, each in found.files]
    if told := size_limits.unreadable([(name, each.stat().st_size) for name, each in own]):
        raise AgentError(told)
    return [_file(name, each) for name, each in own], found.left_out


def _require_entry(root: Path, agent: str, shipped: Collection[str]) -> None:
    """AgentError for an agent whose own module is left out of its package. shipped: names in it."""
    module = agent.partition(":")[0].replace(".", "/")
    files = [name for name in (f"{module}.py", f"{module}/__init__.py") if (root / name).is_file()]
    if files and not any(name in shipped for name in files):
        top, _, inside = files[0].partition("/")
        raise AgentError(
            f"The agent {agent} cannot be deployed; nothing was changed: {files[0]} is left out of its "
            f"package. Look at {top}/{tree.IGNORE_FILE}, where a line such as `!{inside}` ships it."
        )


def _tree(root: Path, folder: Path) -> list[File]:
    """Files below `root/folder` that are shipped, named relative to `root`; the entry files go elsewhere."""
    files: list[File] = []
    for found, path in tree.walk(root, folder).files:
        name = found.removeprefix("./")
        _check_name(path, root)
        if not Path(name).is_relative_to(ENTRY_FOLDER) and not any(
            fnmatch(name, each) for each in REQUIREMENTS
        ):
            files.append(_file(name, path))
    return files


def _file(name: str, path: Path) -> File:
    content = path.read_bytes()
    return File(name, content, executable=content.startswith(EXECUTABLE))


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


def _text(path: Path) -> str:
    try:
        return _read(path, "restore it with git").decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"{path} is not text in UTF-8 (byte {error.start}). Save it as UTF-8.") from None


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PackageError(f"{path} is missing; {remedy}.") from None
