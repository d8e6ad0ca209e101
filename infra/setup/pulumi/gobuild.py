"""Third way: build the CLI and its Python language host from Go modules, pinned by the go.sum files of this
repository.

Two modules: the CLI, and the language host, which is to be had as a module only in an older version. The
two scripts that the host needs are copied out of the module cache. A first build takes 4 to 6 minutes on
two cores.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.setup.errors import StepFailed
from infra.setup.progress import Console
from infra.setup.pulumi.cli import (
    DYNAMIC_PROVIDER,
    LANGUAGE_EXEC,
    LANGUAGE_HOST,
    PULUMI,
    RELEASE,
    Lack,
    parse_version,
)
from infra.setup.subprocess_step import run_step

WAY = "building it from Go modules"
CLI_MODULE = Path("infra/setup/pulumi/modules/cli")
HOST_MODULE = Path("infra/setup/pulumi/modules/python")
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
HOST_PACKAGE = "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
VERSION_SYMBOL = f"{SDK_MODULE}/go/common/version.Version"
SCRIPTS = {LANGUAGE_EXEC: "python/cmd", DYNAMIC_PROVIDER: "python/dist"}
# The path of Go's installer, which does not change PATH.
USUAL_GO = Path("/usr/local/go/bin/go")


def build(root: Path, folder: Path, environ: Mapping[str, str], console: Console) -> Lack | None:
    """Build the files of the CLI in `folder`; None on success, else the reason."""
    go, told = find_go(root / CLI_MODULE, environ), go_environment(environ)
    if isinstance(go, Lack):
        return go
    console.line(f"pulumi: building {RELEASE} from Go modules (once per user; the first time takes minutes)")
    try:
        _build_all(go, root, folder, told, console)
    except StepFailed as failure:
        return Lack(
            WAY, str(failure), "check the network and the Go settings (`go env GOPROXY`), run it again"
        )
    return None


def find_go(module: Path, environ: Mapping[str, str]) -> str | Lack:
    """A Go that can build the module in the folder `module`."""
    needed = needed_go((module / "go.mod").read_text())
    remedy = f"install Go {needed} or newer"
    program = shutil.which("go", path=environ.get("PATH", os.defpath))
    go = program or (str(USUAL_GO) if os.access(USUAL_GO, os.X_OK) else None)
    if go is None:
        return Lack(WAY, "no go on PATH", remedy)
    version = _go_version(go, go_environment(environ), module)
    found = parse_version(version if version.count(".") == 2 else f"{version}.0")
    if found is None or found < (parse_version(needed) or found):
        return Lack(WAY, f"{go} is {version or 'of unknown version'}, needed is {needed} or newer", remedy)
    return go


def needed_go(mod: str) -> str:
    """The `go` directive of a go.mod: the minimum version of Go."""
    found = re.search(r"^go (\S+)$", mod, re.MULTILINE)
    return found[1] if found else "1.25.0"


def go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's Go settings without those that would change the build.

    -mod and -modfile are removed from GOFLAGS (the modules are read-only and complete), workspaces are off,
    and Go does not download another Go.
    """
    flags = [flag for flag in environ.get("GOFLAGS", "").split() if not re.match(r"--?mod(file)?(=|$)", flag)]
    return {**environ, "GOFLAGS": " ".join(flags), "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _build_all(go: str, root: Path, folder: Path, environ: Mapping[str, str], console: Console) -> None:
    products = (
        (CLI_MODULE, CLI_PACKAGE, PULUMI, f"-s -w -X {VERSION_SYMBOL}=v{RELEASE}"),
        (HOST_MODULE, HOST_PACKAGE, LANGUAGE_HOST, "-s -w"),
    )
    for module, package, name, flags in products:
        command = [
            go,
            "build",
            "-buildvcs=false",
            "-mod=readonly",
            "-ldflags",
            flags,
            "-o",
            folder / name,
            package,
        ]
        run_step(
            command, title=f"pulumi: go build {name}", console=console, environ=environ, cwd=root / module
        )
    located = run_step(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK_MODULE],
        title="pulumi: scripts of the language host",
        console=console,
        environ=environ,
        cwd=root / CLI_MODULE,
    )
    for name, inside in SCRIPTS.items():
        script = Path(located.strip().splitlines()[-1]) / inside / name
        try:
            shutil.copyfile(script, folder / name)
        except OSError as error:
            raise StepFailed(f"{script} cannot be copied: {error.strerror}") from None
        (folder / name).chmod(0o755)


def _go_version(go: str, environ: Mapping[str, str], folder: Path) -> str:
    """The version of a Go, such as 1.26.8; empty when it fails."""
    try:
        asked = subprocess.run(
            [go, "env", "GOVERSION"],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return asked.stdout.strip().removeprefix("go")
