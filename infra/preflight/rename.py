"""Whether a deployment would replace the whole fleet, because the beginning of its names has changed.

Every name begins with `skyfleet:name` and the stack's name, and no cloud renames a function, a bucket or a
role: the provider creates another resource and deletes the old one. A preview of it is a hundred lines long.
So a changed name is refused, in `pulumi preview` too, until `skyfleet:replaces` in the stack config has the
deployed names' beginning. The key says what may be replaced; it changes nothing after that deployment.

The rule of this file: pure.
"""

from __future__ import annotations

from infra.config.model import Settings
from infra.preflight.findings import Finding

# The output of a stack with the beginning of its names.
OUTPUT = "namePrefix"


def check(settings: Settings, deployed: object) -> tuple[Finding, ...]:
    """What a change of the names does; nothing without a change.

    deployed: the output of the last deployment, or anything but text if there was none.
    """
    if not isinstance(deployed, str) or deployed in ("", settings.prefix):
        return ()
    what = (
        f"the names of this stack now begin with {settings.prefix}, those of the deployed fleet begin with "
        f"{deployed} (skyfleet:name or the stack's name has changed). Every resource of every cloud is "
        "created again and the old one is deleted: routers and agents get other URLs, the strategy set by "
        "`skyfleet strategy` and the stored replies to Idempotency-Keys are lost"
    )
    if settings.replaces == deployed:
        return (Finding("names", what, f"skyfleet:replaces permits it for {deployed}", stops=False),)
    remedy = (
        "To keep the fleet, set the former name again. To replace all of it, run "
        f"`pulumi config set skyfleet:replaces {deployed}` and deploy again"
    )
    return (Finding("names", what, remedy),)
