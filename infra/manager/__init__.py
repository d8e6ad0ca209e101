"""The manager: an HTTP API that changes a fleet, and a page that shows it.

    access/    tokens, roles, origins, rate limits, audit log
    desired/   the stack config as the desired state: what a change makes of it, compare-and-set by version
    jobs/      one change at a time: queue, journal, the child process that runs Pulumi, recovery
    fleet/     the picture: what routers report, folded into one frozen value
    page/      the picture as HTML

Rules
- Desired state is the stack config alone: no second copy could disagree with `pulumi up`.
- What a page or a reply shows is a pure function of frozen values.
- Only `jobs` starts processes, and only `fleet` asks routers.
"""
