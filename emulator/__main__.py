"""The emulated clouds as one process: `python -m emulator --root .skyfleet`.

Locks its folder, restores the previous state, opens the admin API, starts the Pulumi providers and then
writes
`emulator.json`. SIGTERM and SIGINT stop everything, child processes included. Starting needs no network:
what the clouds install is installed during a deployment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import functools
import json
import logging
import logging.handlers
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.admin import Admin
from emulator.desired.model import DesiredState
from emulator.errors import EmulatorError
from emulator.runtime.errors import SetupError
from emulator.runtime.instances import interpreter
from emulator.runtime.instances.wheels import Wheels, cache_folder
from emulator.runtime.json_document import Document, write_private
from emulator.runtime.ports import Ports
from emulator.runtime.reconciler import Reconciler, Settings

if TYPE_CHECKING:
    from emulator.providers.server import Providers

log = logging.getLogger("emulator")

LOG_BYTES = 5 * 1024 * 1024
APPLY_S = 600.0  # a deployment may install wheels from a slow index


@dataclass(frozen=True, slots=True)
class Options:
    """root: the checkout's `.skyfleet`; project: the checkout; python: runs functions, None: our own."""

    root: Path
    project: Path
    python: Path | None = None

    @property
    def emulator(self) -> Path:
        """State of the emulator."""
        return self.root / "emulator"

    @property
    def logs(self) -> Path:
        """Folder of all logs."""
        return self.root / "logs"

    @property
    def note(self) -> Path:
        """Path of `emulator.json`."""
        return self.root / "emulator.json"


def options(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="emulator", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the emulator (.skyfleet)")
    parser.add_argument("--project", type=Path, help="the checkout (default: the folder of --root)")
    parser.add_argument("--python", type=Path, help="the Python that functions run on (default: this one)")
    found = parser.parse_args(arguments)
    root: Path = found.root.resolve()
    project: Path | None = found.project
    return Options(root, (project or root.parent).resolve(), found.python)


@contextlib.contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock of the folder. Raises SetupError when another daemon holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SetupError(
                f"another daemon (pid {holder}) serves {path.parent}; run `make down` or kill that pid"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def log_to(folder: Path) -> None:
    """The daemon's own log, rotated by size."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(folder / "emulator.log", maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def uv_program() -> Path:
    """The uv beside our own interpreter, or else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = beside if beside.is_file() else shutil.which("uv")
    if found is None:
        raise SetupError("uv was found neither in the project's venv nor on PATH; run `make setup`")
    return Path(found)


def adapter_program(environ: Mapping[str, str]) -> Path | None:
    """The real Lambda Web Adapter, where it is installed."""
    program = environ.get("SKYFLEET_LAMBDA_ADAPTER") or shutil.which(
        "lambda-adapter", path=environ.get("PATH")
    )
    if program and not Path(program).is_file():
        raise SetupError(
            f"SKYFLEET_LAMBDA_ADAPTER names {program}, which is not a file; unset it or correct it"
        )
    return Path(program) if program else None


async def serve(chosen: Options, environ: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    uv = uv_program()
    settings = Settings(
        folder=chosen.emulator,
        logs=chosen.logs,
        interpreter=interpreter.at(chosen.python) if chosen.python else interpreter.own(),
        wheels=Wheels(cache_folder(environ), uv, environ),
        azure_lock=chosen.project / "locks" / "emulator-azure.txt",
        adapter=adapter_program(environ),
    )
    document = Document(chosen.emulator / "settings.json")
    ports = Ports(document)
    token = document.content.setdefault("token", secrets.token_urlsafe(32))
    emulator = Reconciler(settings, ports, document)
    async with contextlib.AsyncExitStack() as open_things:
        open_things.callback(ports.close)
        open_things.push_async_callback(emulator.close)
        await emulator.start()
        providers, addresses = await _providers(chosen, emulator, ports, open_things)
        admin = Admin(ports.named("admin"), token, emulator, providers.operations)
        open_things.push_async_callback(admin.close)
        await admin.open()
        write_note(chosen.note, admin.address, token, addresses, str(settings.interpreter))
        open_things.callback(chosen.note.unlink, missing_ok=True)
        log.info("ready: %s, functions run on Python %s", admin.address, settings.interpreter)
        await stop.wait()
        log.info("stopping")


async def _providers(
    chosen: Options, emulator: Reconciler, ports: Ports, open_things: contextlib.AsyncExitStack
) -> tuple[Providers, Mapping[str, int]]:
    """Restore the desired state from the resource store, then serve the providers to the engine."""
    from emulator.providers.registry import PACKAGES
    from emulator.providers.server import Providers
    from emulator.providers.storage.resource_store import ResourceStore

    loop = asyncio.get_running_loop()

    def apply(desired: DesiredState) -> None:
        """Called from the providers' threads."""
        asyncio.run_coroutine_threadsafe(emulator.apply(desired), loop).result(APPLY_S)

    kept: dict[str, int] = {}
    for package in PACKAGES:
        kept[package] = ports.named(f"provider {package}")
    table = ResourceStore(chosen.emulator / "resources.json")
    program_folder = chosen.project / "infra"
    providers = Providers(
        table, apply, kept, ports.allocate, chosen.emulator, program_folder, emulator.delays
    )
    desired = providers.desired()
    for spec in desired.functions:
        if spec.port is not None:
            ports.reserve(spec.port, f"function {spec.key}")
    await emulator.restore(desired)
    # Stopping waits for running operations, which wait for this loop.
    open_things.push_async_callback(functools.partial(asyncio.to_thread, providers.stop))
    return providers, await asyncio.to_thread(providers.start)


def write_note(path: Path, admin: str, token: str, providers: Mapping[str, int], python: str) -> None:
    """Write emulator.json. It is written last: when it exists, everything is ready."""
    note = {
        "pid": os.getpid(),
        "admin": admin,
        "token": token,
        "providers": ",".join(f"{name}:{port}" for name, port in providers.items()),
        "python": python,
    }
    write_private(path, json.dumps(note, indent=1) + "\n")


def main(arguments: list[str]) -> int:
    """Entry point. Messages for the user go to standard error."""
    chosen = options(arguments)
    try:
        with exclusive(chosen.root / "emulator" / "daemon.lock"):
            log_to(chosen.logs)
            asyncio.run(serve(chosen, os.environ))
    except EmulatorError as error:
        sys.stderr.write(f"{error}\n")
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
