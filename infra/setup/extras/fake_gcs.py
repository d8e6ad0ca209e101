"""fake-gcs-server, a third-party implementation of Google Cloud Storage, built from its Go module.

Pinned by hash in fake-gcs-server/go.sum. 1.54.0 is the last that builds with Go 1.25, as the Pulumi CLI does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from infra.setup.errors import Unavailable
from infra.setup.extras.tool import Tool
from infra.setup.progress import Console
from infra.setup.pulumi.cli import Lack
from infra.setup.pulumi.gobuild import find_go, go_environment
from infra.setup.subprocess_step import run_step

NAME, VERSION = "fake-gcs-server", "1.54.0"
MODULE = Path(__file__).with_name(NAME)
PACKAGE = "github.com/fsouza/fake-gcs-server"


def _make(folder: Path, environ: Mapping[str, str], console: Console) -> None:
    go = find_go(MODULE, environ)
    if isinstance(go, Lack):
        raise Unavailable(f"{go.reason}: {go.remedy}")
    console.line(f"{NAME}: building {VERSION} from its Go module (once per user; about a minute)")
    run_step(
        [go, "build", "-buildvcs=false", "-mod=readonly", "-ldflags", "-s -w", "-o", folder / NAME, PACKAGE],
        title=f"{NAME}: go build",
        console=console,
        environ=go_environment(environ),
        cwd=MODULE,
        advice="Check the network and the Go settings (`go env GOPROXY`), then run the same command again.",
    )


def _identity() -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    return f"{VERSION}-{digest.hexdigest()[:12]}"


FAKE_GCS = Tool(NAME, _identity(), NAME, _make)
