"""Tests of the download of the Pulumi CLI's release archive, from a server on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from infra.setup.progress import Console
from infra.setup.pulumi.archive import Source, archive_name, fetch, published_sum
from infra.setup.pulumi.cli import FILES, LANGUAGE_HOST
from tests.infra.setup.fakes import NAME, SUMS, checksums, release, serving

QUIET = Console(None)


def test_an_archive_with_the_published_checksum_is_installed(tmp_path: Path) -> None:
    """The folder contains the four programs, which are executable, and nothing else."""
    packed = release()
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        assert fetch(source, tmp_path, QUIET) is None
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert all(path.stat().st_mode & 0o111 for path in tmp_path.iterdir())


def test_an_archive_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """A modified archive is never unpacked."""
    with serving({SUMS: checksums(NAME, b"other"), f"/archives/{NAME}": release()}) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert "SHA-256" in lack.reason
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_download_leaves_nothing(tmp_path: Path) -> None:
    """The error distinguishes it from a modified archive."""
    packed = release()
    path = f"/archives/{NAME}"
    with serving({SUMS: checksums(NAME, packed), path: packed}, cut=frozenset({path})) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert f"of {len(packed)} bytes" in lack.reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [False, True], ids=["no-checksums", "checksums-of-others"])
def test_without_a_published_checksum_nothing_is_installed(tmp_path: Path, there: bool) -> None:
    """An archive that cannot be verified is not used."""
    files = {f"/archives/{NAME}": release()} | ({SUMS: checksums("pulumi-other", b"")} if there else {})
    with serving(files) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert ("do not name" if there else "HTTP 404") in lack.reason


def test_an_incomplete_archive_is_refused(tmp_path: Path) -> None:
    """The CLI needs its language host."""
    packed = release(without=LANGUAGE_HOST)
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert LANGUAGE_HOST in lack.reason


def test_a_path_outside_the_folder_is_not_unpacked(tmp_path: Path) -> None:
    """Such a member of the archive is skipped."""
    packed = release(outside="../../evil")
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        assert fetch(source, inside, QUIET) is None
    assert not list(tmp_path.rglob("evil"))


def test_without_a_network_the_cause_is_reported(tmp_path: Path) -> None:
    """A closed port fails immediately, and the next source is tried."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
        lack = fetch(Source(base, base), tmp_path, QUIET)
    assert lack is not None
    assert "no download" in lack.reason


def test_a_silent_server_costs_only_seconds(tmp_path: Path) -> None:
    """The wait for the first byte is limited."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        lack = fetch(Source(base, base), tmp_path, QUIET, connect_s=0.1)
    assert lack is not None
    assert "timed out" in lack.reason or "no answer" in lack.reason


def test_names_of_archives_follow_the_machine() -> None:
    """They use Pulumi's names of systems and processors; other machines have no archive."""
    assert (archive_name("Linux", "x86_64") or "").endswith("-linux-x64.tar.gz")
    assert (archive_name("Darwin", "arm64") or "").endswith("-darwin-arm64.tar.gz")
    assert archive_name("Linux", "riscv64") is None


def test_a_checksum_is_found_by_the_exact_name() -> None:
    """A name with the same end and a short digest are ignored."""
    text = f"{'a' * 64}  x-{NAME}\nabc  {NAME}\n{'B' * 64} *{NAME}\n"
    assert published_sum(text, NAME) == "b" * 64
    assert published_sum("", NAME) is None
