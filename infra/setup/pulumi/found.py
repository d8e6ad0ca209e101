"""First way: a Pulumi CLI that the user has, on PATH or named by `SKYFLEET_PULUMI` (its folder or the file
itself).

It must start, be new enough, and have its Python language host beside it or on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.setup.errors import BadOverride
from infra.setup.pulumi.cli import LANGUAGE_EXEC, LANGUAGE_HOST, LEAST, PULUMI, Cli, Lack, parse_version

OVERRIDE = "SKYFLEET_PULUMI"
WAY = "a pulumi on PATH"
NEEDED = ".".join(str(part) for part in LEAST)
# `pulumi version` takes 0.3 s, longer on a cold disk or a busy machine.
TIMEOUT_S = 30.0


def from_override(environ: Mapping[str, str]) -> Cli | None:
    """The CLI that SKYFLEET_PULUMI names, None without it. Raises BadOverride if it is not usable."""
    named = environ.get(OVERRIDE)
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    program = path / PULUMI if path.is_dir() else path
    judged = judge(program, environ, OVERRIDE)
    if isinstance(judged, Cli):
        return judged
    raise BadOverride(
        f"{OVERRIDE}={named} does not serve: {judged.reason}. {judged.remedy}, or unset {OVERRIDE}."
    )


def on_path(environ: Mapping[str, str]) -> Cli | Lack:
    """The first `pulumi` on PATH, if it is usable."""
    program = shutil.which(PULUMI, path=environ.get("PATH", os.defpath))
    if program is None:
        return Lack(WAY, "none found", f"install Pulumi {NEEDED} or newer")
    return judge(Path(program), environ, "PATH")


def judge(program: Path, environ: Mapping[str, str], origin: str, said: str | None = None) -> Cli | Lack:
    """Whether the CLI at `program` can run the Pulumi program, and the folders that it needs on PATH.

    said: the version that it said before; None asks it.
    """
    version = said or _ask_version(program, environ)
    if isinstance(version, Lack):
        return version
    if (numbers := parse_version(version)) is None or numbers < LEAST:
        text = version.removeprefix("v") if numbers else f"of unknown version ({version!r})"
        return Lack(
            WAY, f"{program} is {text}, needed is {NEEDED} or newer", "update it, or take it off PATH"
        )
    folders = [program.parent, program.resolve().parent]
    for name in (LANGUAGE_HOST, LANGUAGE_EXEC):
        home = _home_of(name, folders, environ)
        if home is None:
            return Lack(
                WAY,
                f"{program} ({version}) has no {name} beside it or on PATH",
                "install Pulumi whole: its archive holds the Python language host",
            )
        folders.append(home)
    return Cli(program, version.removeprefix("v"), tuple(dict.fromkeys(folders)), origin)


def _home_of(name: str, folders: list[Path], environ: Mapping[str, str]) -> Path | None:
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder
    elsewhere = shutil.which(name, path=environ.get("PATH", os.defpath))
    return Path(elsewhere).parent if elsewhere else None


def _ask_version(program: Path, environ: Mapping[str, str]) -> str | Lack:
    remedy = "repair it, or take it off PATH"
    try:
        asked = subprocess.run(
            [str(program), "version"],
            env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        return Lack(WAY, f"{program} does not start ({error.strerror})", remedy)
    except subprocess.TimeoutExpired:
        return Lack(WAY, f"{program} did not say its version within {TIMEOUT_S:.0f} s", remedy)
    lines = (asked.stdout.strip() or asked.stderr.strip()).splitlines()
    first = lines[0] if lines else ""
    if asked.returncode != 0:
        return Lack(WAY, f"`{program} version` ended with {asked.returncode}: {first or 'no output'}", remedy)
    return first
