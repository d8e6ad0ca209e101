"""What the operator's programs share: the command line and the manager.

    emulator/   the emulated clouds of this checkout
    routers/    the routers of a stack over HTTP
    stack/      Pulumi: config, process, state, outputs

The order of the packages is a contract in pyproject.toml; a package imports only those below it.
"""
