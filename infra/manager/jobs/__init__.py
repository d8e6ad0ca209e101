"""One change at a time: queue, journal, the child process that runs Pulumi, recovery."""
