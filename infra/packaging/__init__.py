"""The packages that are deployed: two kinds (agent, router) for each cloud, built alike on every machine.

A package is named by the hash of everything that went in (sources, entry files, lock, build.json), so the
same input is never built or uploaded twice and a second `pulumi up` changes nothing. Compiled files are in
it only where a Python 3.13 was at hand: they make the first start faster and mean nothing else, so they
count neither for the name nor for the build id, and machines with and without one agree on both. Clouds
keep what was uploaded under a name first.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from infra.config.model import Cloud, Place, Settings
from infra.errors import AgentError, PackageError
from infra.package import KINDS, AgentInfo, Kind, Package
from infra.packaging import (
    agent_check,
    background,
    dependencies,
    mcp_sessions,
    names,
    size_limits,
    sources,
    tree,
    zips,
)
from infra.packaging.sources import File
from infra.packaging.tools import Tools
from infra.setup.file_lock import exclusive

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(".skyfleet", "packages")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packages:
    """What was built. build: what `/health` must report, by kind; agent: what its check found; left_out: a
    line about what the agent's packages do not have of its folder, or empty; background: one about its work
    after a reply, or empty; mcp_sessions: one about sessions in one instance, or empty."""

    built: Mapping[tuple[Kind, Cloud], Package]
    build: Mapping[Kind, str]
    agent: AgentInfo
    left_out: str = ""
    background: str = ""
    mcp_sessions: str = ""

    @property
    def notes(self) -> list[str]:
        """What a deployment tells of the agent."""
        return [note for note in (self.left_out, self.background, self.mcp_sessions) if note]

    def of(self, kind: Kind, place: Place) -> Package:
        return self.built[kind, place.cloud]


def silent(message: str) -> None:
    """Discards progress messages."""


def build_all(
    settings: Settings,
    progress: Progress = silent,
    *,
    root: Path = ROOT,
    environ: Mapping[str, str] = os.environ,
) -> Packages:
    """Every package the stack needs, built or found; AgentError or PackageError before anything is
    deployed."""
    folder = root / FOLDER
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tools = Tools.find(Path(sys.executable), environ)
        with exclusive(folder, lambda: progress("waiting for another build of the packages")):
            return _build_all(settings, progress, root, tools)


def _build_all(settings: Settings, progress: Progress, root: Path, tools: Tools) -> Packages:
    kinds: dict[Kind, sources.PackageInputs] = {
        kind: sources.package_inputs(root, kind, settings.agent) for kind in KINDS
    }
    for inputs in kinds.values():
        inputs.check_locks()
    agent = kinds["agent"]
    # Before the agent is unpacked and imported for each cloud; the dependencies count later.
    own = [(file.name, len(file.content)) for file in agent.shared]
    if too_large := size_limits.excess("agent", dict.fromkeys(settings.clouds, own)):
        raise PackageError(too_large)
    progress("checking the agent")
    try:
        checked = agent_check.check(settings, agent, tools, root / FOLDER, progress)
    except AgentError as error:
        raise AgentError(f"{error}{names.missing_module(str(error), settings.agent, root)}") from None
    built: dict[tuple[Kind, Cloud], Package] = {}
    drafts: list[Draft] = []
    for kind, inputs in kinds.items():
        compiled = cache(partial(tools.compiled, inputs.shared))
        for cloud in settings.clouds:
            files = inputs.files(cloud, repeatable=checked.repeatable)
            digest = sources.digest(files)[:16]
            path = root / FOLDER / f"{kind}-{cloud}-{digest}.zip"
            built[kind, cloud] = Package(kind, cloud, path, digest, inputs.build)
            if not zips.is_whole(path):
                drafts.append(
                    _draft(built[kind, cloud], inputs.locks[cloud], files, compiled, tools, progress)
                )
    _require_sizes(drafts)
    for draft in drafts:
        progress(f"building {draft.package.path.name}")
        zips.write(draft.package.path, draft.files, draft.installed, draft.site)
        zips.prune(draft.package.path)
    shared = [(file.name, file.content) for file in agent.shared]
    return Packages(
        built,
        {kind: inputs.build for kind, inputs in kinds.items()},
        checked,
        tree.summary(agent.left_out),
        background.told(agent.agent, shared, settings.clouds),
        mcp_sessions.told(agent.agent, shared),
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A package to be written: files, and dependencies from the folder `installed` below `site`."""

    package: Package
    files: Sequence[File]
    installed: Path | None
    site: str

    def sizes(self) -> list[tuple[str, int]]:
        """Name and bytes of everything in it."""
        own = [(file.name, len(file.content)) for file in self.files]
        return own if self.installed is None else [*own, *zips.sizes(self.installed, self.site)]


def _draft(
    package: Package,
    lock: bytes,
    files: Sequence[File],
    compiled: Callable[[], Sequence[File]],
    tools: Tools,
    progress: Progress,
) -> Draft:
    site = sources.SITE_FOLDER[package.cloud]
    if site is None:  # the cloud installs and compiles by itself
        return Draft(package, files, None, "")
    installed = dependencies.install(lock, dependencies.CLOUD_TARGET, tools, progress)
    return Draft(package, [*files, *compiled()], installed, site)


def _require_sizes(drafts: Sequence[Draft]) -> None:
    """PackageError with everything that is too large for its cloud."""
    found = [
        size_limits.excess(kind, {d.package.cloud: d.sizes() for d in drafts if d.package.kind == kind})
        for kind in KINDS
    ]
    if any(found):
        raise PackageError("\n".join(filter(None, found)))


@contextmanager
def disk_errors(folder: Path) -> Generator[None]:
    """PackageError instead of the OSError of a full or closed disk; each writer removes its unfinished
    files."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
            raise
        where = error.filename or folder
        raise PackageError(
            f"The packages could not be built: {error.strerror} ({where}). Free disk space or give access "
            "there, and run it again; no half-built package is left."
        ) from error
