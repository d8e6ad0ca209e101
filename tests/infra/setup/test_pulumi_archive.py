"""The second way to a Pulumi CLI: the release archive, here from a server on the loopback."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

import pytest

from infra.setup.progress import Console
from infra.setup.pulumi.archive import Source, archive_name, fetch, published_sum
from infra.setup.pulumi.cli import FILES, LANGUAGE_HOST
from tests.infra.setup.fakes import SUMS, checksums, release, serving

NAME = archive_name(platform.system(), platform.machine()) or ""
QUIET = Console(None)


def test_the_archive_is_taken_when_its_checksum_is_the_published_one(tmp_path: Path) -> None:
    """The four files are there, may be run, and nothing else is left in the folder."""
    packed = release()
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        assert fetch(source, tmp_path, QUIET) is None
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert all(path.stat().st_mode & 0o111 for path in tmp_path.iterdir())


def test_a_wrong_checksum_refuses_the_archive(tmp_path: Path) -> None:
    """A changed archive is never unpacked."""
    with serving({SUMS: checksums(NAME, b"other"), f"/archives/{NAME}": release()}) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert "SHA-256" in lack.reason
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """Half an archive is named as such, not as a changed one."""
    packed = release()
    path = f"/archives/{NAME}"
    with serving({SUMS: checksums(NAME, packed), path: packed}, cut=frozenset({path})) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert f"of {len(packed)} bytes" in lack.reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [False, True], ids=["no-checksums", "checksums-of-others"])
def test_without_a_published_checksum_nothing_is_fetched(tmp_path: Path, there: bool) -> None:
    """An archive nobody vouches for is not used."""
    files = {f"/archives/{NAME}": release()} | ({SUMS: checksums("pulumi-other", b"")} if there else {})
    with serving(files) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert ("do not name" if there else "HTTP 404") in lack.reason


def test_an_archive_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    """Without the language host the CLI is of no use."""
    packed = release(without=LANGUAGE_HOST)
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        lack = fetch(source, tmp_path, QUIET)
    assert lack is not None
    assert LANGUAGE_HOST in lack.reason


def test_a_path_in_the_archive_does_not_decide_where_we_write(tmp_path: Path) -> None:
    """A member outside the folder is not unpacked."""
    packed = release(outside="../../evil")
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        assert fetch(source, inside, QUIET) is None
    assert not list(tmp_path.rglob("evil"))


def test_no_network_is_a_lack_with_its_cause(tmp_path: Path) -> None:
    """A closed port answers at once; the next way is tried."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
        lack = fetch(Source(base, base), tmp_path, QUIET)
    assert lack is not None
    assert "no download" in lack.reason


def test_a_server_that_says_nothing_costs_seconds_only(tmp_path: Path) -> None:
    """The wait for a first answer is bounded."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        lack = fetch(Source(base, base), tmp_path, QUIET, connect_s=0.1)
    assert lack is not None
    assert "timed out" in lack.reason or "no answer" in lack.reason


def test_names_of_archives_follow_the_machine() -> None:
    """Pulumi's names, not Python's; no name for what Pulumi does not publish."""
    assert (archive_name("Linux", "x86_64") or "").endswith("-linux-x64.tar.gz")
    assert (archive_name("Darwin", "arm64") or "").endswith("-darwin-arm64.tar.gz")
    assert archive_name("Linux", "riscv64") is None


def test_a_checksum_is_found_by_the_whole_name() -> None:
    """A name that only ends alike, or a short digest, is not it."""
    text = f"{'a' * 64}  x-{NAME}\nabc  {NAME}\n{'B' * 64} *{NAME}\n"
    assert published_sum(text, NAME) == "b" * 64
    assert published_sum("", NAME) is None
