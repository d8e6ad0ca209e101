"""Whether the shell is aimed where the stack says: at real accounts, or at the emulator.

`eval "$(skyfleet env)"` sets PULUMI_DEBUG_PROVIDERS, which attaches the Pulumi engine to the emulator's
providers: it reads the variable in `GetProviderAttachPort` (pulumi/pulumi, sdk/go/common/resource/plugin/
provider_plugin.go) and starts the cloud's own plug-in for a package that is not named there, also when others
are.

The rule of this file: pure. It is asked first, because a question to a cloud goes where the shell is aimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infra.config.model import PULUMI_PACKAGES, Cloud
from infra.preflight.findings import Finding

PROVIDERS = "PULUMI_DEBUG_PROVIDERS"


def wrong_shell(
    stack: str, clouds: Iterable[Cloud], environ: Mapping[str, str], *, emulated: bool
) -> list[Finding]:
    """Why this shell does not fit the stack; empty if it does. emulated: the stack runs in the emulator."""
    given = environ.get(PROVIDERS, "")
    if not emulated:
        if not given:
            return []
        return [
            Finding(
                "shell",
                f"the stack {stack} is for real accounts, but this shell is aimed at the emulator "
                f'({PROVIDERS} is set, as `eval "$(skyfleet env)"` does), and its Pulumi state lies in '
                ".skyfleet/, which `make down` removes",
                f"Open a new shell and run `pulumi login`, `pulumi stack select --create {stack}` and "
                "`pulumi up` there",
            )
        ]
    # As the engine reads it: exact names, each with a port.
    pairs = [part.partition(":") for part in given.split(",")]
    named = {package for package, _, port in pairs if port}
    missing = [PULUMI_PACKAGES[cloud] for cloud in clouds if PULUMI_PACKAGES[cloud] not in named]
    if not missing:
        return []
    return [
        Finding(
            "shell",
            f"the stack {stack} is for the emulator (its config has skyfleet:emulator), but this shell is "
            f"aimed at real accounts ({PROVIDERS} does not name {', '.join(missing)})",
            'Run `make up`, or in this shell first `eval "$(.venv/bin/skyfleet env)"`',
        )
    ]
