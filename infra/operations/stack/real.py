"""Read the outputs of a stack on real accounts as its operator does.

The Pulumi CLI runs in the operator's own environment, with the backend, passphrase and access token of that
shell. Nothing of `skyfleet env` is added.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.operations.errors import NotDeployed, PulumiFailed
from infra.operations.paths import STACK, Layout
from infra.operations.stack.outputs import Outputs, query_outputs
from infra.operations.stack.runner import PulumiRunner
from infra.setup.pulumi.cli import Cli


def environment(cli: Cli, environ: Mapping[str, str]) -> dict[str, str]:
    """The operator's environment, with this project's Python first on PATH and the CLI last.

    A language host that was built here ignores `virtualenv` in Pulumi.yaml and runs python3 from PATH.
    """
    venv = str(Path(sys.executable).parent)
    folders = [venv, environ.get("PATH", os.defpath), *map(str, cli.path)]
    return {**environ, "PATH": os.pathsep.join(folders)}


def real_outputs(stack: str, layout: Layout, cli: Cli, environ: Mapping[str, str]) -> Outputs:
    """The outputs of a stack on real accounts. Raises NotDeployed or PulumiFailed."""
    pulumi = PulumiRunner(cli.program, layout.root, environment(cli, environ))
    try:
        found = query_outputs(pulumi, "--stack", stack)
    except PulumiFailed as failed:
        raise PulumiFailed(f"{failed.message}\n{advice(stack, layout, environ)}") from None
    if not found.router_urls:
        raise NotDeployed(f"the stack {stack} has no routerUrl: `pulumi up --stack {stack}` deploys it")
    return found


def advice(stack: str, layout: Layout, environ: Mapping[str, str]) -> str:
    """What to do when Pulumi cannot read the outputs of a stack."""
    if str(layout.home) in environ.get("PULUMI_BACKEND_URL", ""):
        return (
            'This shell is aimed at the emulator (`eval "$(skyfleet env)"`), whose backend knows the stack '
            f"{STACK} alone. Open a new shell and run it there."
        )
    return (
        "Pulumi ran in your own environment: `pulumi whoami -v` says which backend that is, `pulumi stack "
        f"ls` which stacks it has; for {stack}, PULUMI_CONFIG_PASSPHRASE may be needed."
    )
