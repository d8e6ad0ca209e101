"""Stand-ins for the set-up's tests: programs on a PATH, and a release server on loopback."""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from infra.setup.pulumi.archive import Source, archive_name
from infra.setup.pulumi.cli import FILES, PULUMI, RELEASE

CHECKOUT = Path(__file__).resolve().parents[3]
SUMS = f"/v{RELEASE}/pulumi-{RELEASE}-checksums.txt"


class Lines:
    """A stream that is not a terminal and records its text."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return False


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def pulumi_script(version: str) -> str:
    """A script that answers `pulumi version` with this version."""
    return f'[ "$1" = version ] && echo {version} || exit 7'


def install(folder: Path, version: str, *, without: str = "") -> Path:
    """Install a CLI in `folder`, without the file `without`."""
    for name in FILES:
        if name != without:
            script(folder / name, pulumi_script(version) if name == PULUMI else "exit 0")
    return folder


def release(version: str = f"v{RELEASE}", *, without: str = "", outside: str = "") -> bytes:
    """A release archive of Pulumi's layout. outside: the path of a further member."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in (*FILES, "pulumi-language-nodejs"):
            if name == without:
                continue
            content = f"#!/bin/sh\n{pulumi_script(version) if name == PULUMI else 'exit 0'}\n".encode()
            member = tarfile.TarInfo(f"pulumi/{name}")
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        if outside:
            member = tarfile.TarInfo(outside)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    return packed.getvalue()


def checksums(name: str, packed: bytes) -> bytes:
    """A checksums file with this archive and another one."""
    digest = hashlib.sha256(packed).hexdigest()
    return f"{'0' * 64}  pulumi-v{RELEASE}-windows-x64.zip\n{digest}  {name}\n".encode()


@contextmanager
def serving(files: Mapping[str, bytes], *, cut: frozenset[str] = frozenset()) -> Generator[Source]:
    """A server of `files`, of which those in `cut` are truncated."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path in cut else body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        yield Source(archives=f"{base}/archives", checksums=base)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


NAME = archive_name(platform.system(), platform.machine()) or ""
