"""Wheels that a cloud installs by itself, cached per user for all checkouts, by lock hash.

A folder under its final name is complete. An install goes to a private folder and is renamed at the end, so
an
interrupted one is never used and two at once do no harm.
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from emulator.runtime.errors import SetupError
from emulator.runtime.instances.interpreter import Interpreter

REPORT_CHARS = 1500  # of the installer's output in an error: its last lines hold the reason


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Per-user cache, outside every checkout."""
    if configured := environ.get("SKYFLEET_CACHE"):
        return Path(configured)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "skyfleet")


class Wheels:
    """Installs hash-pinned locks for an interpreter, each once."""

    def __init__(self, cache: Path, uv: Path, environ: Mapping[str, str]) -> None:
        self._root = cache / "wheels"
        self._uv = uv
        self._environ = dict(environ)
        self._busy: dict[str, asyncio.Lock] = {}

    async def install(self, lock: bytes, interpreter: Interpreter, *, version: str | None = None) -> Path:
        """Folder with the packages of `lock`, for the import path.

        version: install for this Python instead of the interpreter's own (pure packages that require a newer
        one).
        """
        target = version or interpreter.minor
        key = hashlib.sha256(lock + f"\n{target} {platform.machine()}".encode()).hexdigest()[:24]
        folder = self._root / f"py{target}-{key}"
        async with self._busy.setdefault(key, asyncio.Lock()):
            if not folder.is_dir():
                await self._fill(folder, lock, [str(interpreter.path), target])
        return folder

    async def _fill(self, folder: Path, lock: bytes, python: list[str]) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".{folder.name}.{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            requirements = draft / "requirements.txt"
            requirements.write_bytes(lock)
            if any(line[:1].isalnum() for line in lock.decode().splitlines()):
                await self._run(requirements, draft / "site", python)
            else:
                (draft / "site").mkdir()
            _rename(draft / "site", folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    async def _run(self, requirements: Path, target: Path, python: list[str]) -> None:
        interpreter, version = python
        process = await asyncio.create_subprocess_exec(
            str(self._uv),
            *("pip", "install", "--quiet", "--no-progress", "--require-hashes", "--no-deps"),
            *("--only-binary", ":all:", "--compile-bytecode", "--link-mode", "copy"),
            *("--python", interpreter, "--python-version", version),
            *("--target", str(target), "--requirements", str(requirements)),
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            said = output.decode(errors="replace").strip()[-REPORT_CHARS:]
            raise SetupError(
                f"requirements.txt did not install for Python {version}: {said}. "
                "Lock it again (`make lock`) and check that the package index answers"
            )


def _rename(draft: Path, folder: Path) -> None:
    """Publish a complete install; another process may have published the same content before."""
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
