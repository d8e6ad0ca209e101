"""The real AWS Lambda Web Adapter, built by cargo from its crate.

The layer that is deployed is a release (infra/clouds/aws/web_adapter.py); of the 1.x crates only the
candidate before the first release is published, so this is its binary. Up to 1.0.0 the adapter changed four
things (its repository, `git diff v1.0.0-rc1 v1.0.0 -- src`): no `?` after a path without query, no connection
pool with SnapStart, an error named by AWS_LWA_ERROR_STATUS_CODES keeps the body of the reply, and the
variable AWS_LWA_READINESS_CHECK_MIN_UNHEALTHY_STATUS is gone. This program depends on none of them.

The crate brings the Cargo.lock of all its dependencies (`--locked`); the crate itself is pinned here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from infra.setup.errors import StepFailed
from infra.setup.extras.tool import Tool, need
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step

CRATE, VERSION = "lambda_web_adapter", "1.0.0-rc1"
SHA256 = "c8e1452df90403ccd806450da170a543965187a7edb93558115e6d60cc26eb80"
PROGRAM = "lambda-adapter"
REMEDY = "install Rust (rustup, or Debian's cargo)"


def _make(folder: Path, environ: Mapping[str, str], console: Console) -> None:
    home = Path(environ.get("CARGO_HOME") or Path(environ.get("HOME", "/")) / ".cargo")
    cargo = need("cargo", environ, home / "bin" / "cargo", REMEDY)
    console.line(f"{PROGRAM}: building {CRATE} {VERSION} with cargo (once per user; takes minutes)")
    run_step(
        [cargo, "install", "--quiet", "--locked", "--version", VERSION, "--root", folder, CRATE],
        title=f"{PROGRAM}: cargo install",
        console=console,
        environ=environ,
        advice="Check the network and cargo's own settings, then run the same command again.",
    )
    found = {_sha256(each) for each in (home / "registry" / "cache").glob(f"*/{CRATE}-{VERSION}.crate")}
    if found != {SHA256}:
        raise StepFailed(
            f"{PROGRAM}: the crate {CRATE} {VERSION} has SHA-256 {', '.join(sorted(found)) or 'unknown'}, "
            f"expected {SHA256}: what was built is not used. Look at the registry that cargo is set to."
        )
    (folder / "bin" / PROGRAM).rename(folder / PROGRAM)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ADAPTER = Tool(PROGRAM, f"{VERSION}-{SHA256[:12]}", PROGRAM, _make)
