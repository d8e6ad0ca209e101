"""Second way: the official release archive, taken only when its SHA-256 is the published one.

The checksums come from the release page, the archive from the download site, so one compromised site is not
enough. Never run against the real addresses: the tests use a server on the loopback, and the form of
the names is that of Pulumi's releases.
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import queue
import shutil
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from infra.setup.progress import Console
from infra.setup.pulumi.cli import FILES, RELEASE, Lack

WAY = "the official release archive"
REMEDY = "give this machine a way to the internet (HTTPS_PROXY is honoured)"
# Without a network, name resolution may hang for minutes.
CONNECT_S = 4.0
# A download without a byte for this time has failed.
STALL_S = 30.0
CHUNK = 1 << 20

SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Source:
    """The addresses of the releases, without a slash at the end."""

    archives: str = "https://get.pulumi.com/releases/sdk"
    checksums: str = "https://github.com/pulumi/pulumi/releases/download"


class _Refused(Exception):
    """The archive or its checksums are invalid; the text has the reason."""


def archive_name(system: str, machine: str) -> str | None:
    """The name of the release for a system and machine of `platform`, None when there is none."""
    if system not in SYSTEMS or machine not in MACHINES:
        return None
    return f"pulumi-v{RELEASE}-{SYSTEMS[system]}-{MACHINES[machine]}.tar.gz"


def published_sum(text: str, name: str) -> str | None:
    """The SHA-256 of `name` in the text of a checksums file (`<hex>  <file>` a line)."""
    for line in text.splitlines():
        match line.split():
            case [digest, file] if file.lstrip("*") == name and len(digest) == 64:
                return digest.lower()
            case _:
                continue
    return None


def fetch(source: Source, folder: Path, console: Console, connect_s: float = CONNECT_S) -> Lack | None:
    """Put the files of the CLI into `folder`; None on success, else the reason."""
    name = archive_name(platform.system(), platform.machine())
    if name is None:
        return Lack(WAY, f"there is none for {platform.system()} on {platform.machine()}", "use another way")
    packed = folder / name
    try:
        sums = _read_soon(f"{source.checksums}/v{RELEASE}/pulumi-{RELEASE}-checksums.txt", connect_s)
        if (wanted := published_sum(sums, name)) is None:
            raise _Refused(f"the published checksums do not name {name}")
        console.line(f"pulumi: fetching {name}")
        found = _download(f"{source.archives}/{name}", packed, connect_s)
        if found != wanted:
            raise _Refused(f"{name} has SHA-256 {found}, published is {wanted}: it is not used")
        _unpack(packed, folder)
    except _Refused as refusal:
        return Lack(
            WAY, str(refusal), "try again later; if it stays so, something changes the download on its way"
        )
    except (OSError, http.client.HTTPException, tarfile.TarError) as error:
        return Lack(WAY, f"no download: {_cause(error)}", REMEDY)
    finally:
        packed.unlink(missing_ok=True)
    return None


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the reply's socket
        return f"HTTP {error.code} from {error.url}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__


def _within(seconds: float, work: Callable[[], str]) -> str:
    """Run `work` in a thread with a time limit, since name resolution cannot be interrupted."""
    answers: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(work())
        except Exception as error:  # carried over to the waiting thread and raised there
            answers.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read_soon(url: str, connect_s: float) -> str:
    def read() -> str:
        with urllib.request.urlopen(url, timeout=connect_s) as reply:  # noqa: S310 - our own constant or a test's
            return reply.read(1 << 20).decode(errors="replace")

    return _within(2 * connect_s, read)


def _download(url: str, packed: Path, connect_s: float) -> str:
    digest = hashlib.sha256()
    got = 0
    with urllib.request.urlopen(url, timeout=max(STALL_S, connect_s)) as reply, packed.open("wb") as file:  # noqa: S310
        length = reply.headers.get("content-length")
        while chunk := reply.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
            got += len(chunk)
    if length is not None and got != int(length):
        raise _Refused(f"the download broke off after {got} of {length} bytes")
    return digest.hexdigest()


def _unpack(packed: Path, folder: Path) -> None:
    """Extract the required files by their base names, so the archive cannot choose the paths."""
    missing = set(FILES)
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            content: IO[bytes] | None = (
                archive.extractfile(member) if name in missing and member.isfile() else None
            )
            if content is None:
                continue
            with content, (folder / name).open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK)
            (folder / name).chmod(0o755)
            missing.discard(name)
    if missing:
        raise _Refused(f"the archive lacks {', '.join(sorted(missing))}")
