"""Why Pulumi itself cannot read a stack: no login, no such stack, no passphrase.

The same for all clouds, so it is told once. The texts are those of pulumi/pulumi v3.250.0:
pkg/backend/httpstate (PULUMI_ACCESS_TOKEN), pkg/cmd/pulumi/stack (`no stack named`), pkg/secrets/passphrase.

The rule of this file: pure. Other words of Pulumi are not judged here.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.preflight.findings import Finding

# Pulumi's words -> what that means, and what mends it.
KNOWN: Mapping[str, tuple[str, str]] = {
    "PULUMI_ACCESS_TOKEN must be set": (
        "Pulumi is logged in to no backend, which keeps the stack's state",
        "Run `pulumi login` (Pulumi Cloud), or `pulumi login s3://BUCKET` (azblob://, gs://, file://)",
    ),
    "no stack named": (
        "the backend has no stack {stack} (`pulumi whoami -v` says which backend that is)",
        "Run `pulumi stack init {stack}`, or `pulumi login` to the backend that has it",
    ),
    "passphrase must be set": (
        "the stack's secrets are encrypted, and their passphrase is not in this shell",
        "Run `export PULUMI_CONFIG_PASSPHRASE=...`, with the one that {stack} was made with",
    ),
    "incorrect passphrase": (
        "PULUMI_CONFIG_PASSPHRASE is not the passphrase of {stack}",
        "Run `export PULUMI_CONFIG_PASSPHRASE=...`, with the one that {stack} was made with",
    ),
}


def unreadable(said: str, stack: str) -> Finding | None:
    """What Pulumi's words say of the backend; None when they say nothing of it."""
    for words, (what, remedy) in KNOWN.items():
        if words in said:
            return Finding("pulumi", what.format(stack=stack), remedy.format(stack=stack))
    return None
