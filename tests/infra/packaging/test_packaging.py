"""Packages: the same input is the same package, whatever happens on the way."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.component import KINDS, Package
from infra.config.model import CLOUDS
from infra.errors import AgentError, PackageError
from infra.packaging import sources, zips
from infra.packaging.sources import File, asked_for, locked_names
from tests.infra.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout nobody else builds in."""
    return Checkout(tmp_path)


def names(package: Package) -> set[str]:
    with zipfile.ZipFile(package.path) as archive:
        return set(archive.namelist())


def read(package: Package, name: str) -> bytes:
    with zipfile.ZipFile(package.path) as archive:
        return archive.read(name)


def test_one_input_makes_one_package(tmp_path: Path) -> None:
    """Two checkouts of the same sources agree on names, build ids and every byte."""
    first, second = Checkout(tmp_path / "one"), Checkout(tmp_path / "two")
    one, two = first.build(), second.build()
    assert one.build == two.build
    for key, package in one.built.items():
        other = two.built[key]
        assert package.path.name == other.path.name
        assert package.path.read_bytes() == other.path.read_bytes()


def test_a_second_build_makes_nothing_anew(checkout: Checkout) -> None:
    """The packages are found, whole, and taken as they are."""
    before = {package.path: package.path.stat().st_mtime_ns for package in checkout.build().built.values()}
    checkout.said.clear()
    after = {package.path: package.path.stat().st_mtime_ns for package in checkout.build().built.values()}
    assert before == after
    assert not [said for said in checkout.said if said.startswith("building")]


def test_the_build_id_is_one_for_all_clouds_and_is_written_inside(checkout: Checkout) -> None:
    """Each package says in build.json what `/health` reports, and that the agent may be asked twice; an
    agent's package also says which agent it is."""
    packages = checkout.build()
    for (kind, cloud), package in packages.built.items():
        assert json.loads(read(package, "build.json")) == {
            "build": packages.build[kind],
            "kind": kind,
            "repeatable": packages.repeatable,
            **({"agent": "functions.agent:agent"} if kind == "agent" else {}),
        }
        assert package.path.name == f"{kind}-{cloud}-{package.inputs}.zip"
    assert packages.build["agent"] != packages.build["router"]
    assert all(len(build) == 16 for build in packages.build.values())


def test_a_changed_source_changes_the_build_of_those_that_carry_it(checkout: Checkout) -> None:
    """An edited agent leaves routers alone; an edited signature changes both."""
    before = checkout.build()
    path = checkout.root / "functions" / "agent.py"
    path.write_text(path.read_text() + "\n# edited\n")
    edited = checkout.build()
    assert edited.build["agent"] != before.build["agent"]
    assert edited.build["router"] == before.build["router"]
    assert all(edited.built["router", cloud] == before.built["router", cloud] for cloud in CLOUDS)
    signing = checkout.root / "skyfleet" / "signing.py"
    signing.write_text(signing.read_text() + "\n# edited\n")
    assert checkout.build().build["router"] != before.build["router"]


def test_another_entry_is_another_build_though_no_file_changed(checkout: Checkout) -> None:
    """The agent's name travels with its code: a cloud that still runs the other agent reports another
    build."""
    checkout.write("functions/two.py", "async def one(request):\n    return 1\n\n\nother = one\n")
    one, other = checkout.build(agent="functions.two:one"), checkout.build(agent="functions.two:other")
    assert one.build["agent"] != other.build["agent"]
    assert one.build["router"] == other.build["router"]
    for cloud in CLOUDS:
        assert json.loads(read(other.built["agent", cloud], "build.json"))["agent"] == "functions.two:other"


def test_a_changed_lock_of_one_cloud_is_a_new_build_in_all(checkout: Checkout) -> None:
    """Identical means the dependencies too."""
    before = checkout.build()
    checkout.write("locks/agent-gcp.txt", "# another\n")
    assert checkout.build().build["agent"] != before.build["agent"]


def test_each_cloud_finds_its_entry_at_the_root(checkout: Checkout) -> None:
    """Vendors demand their files by name; the other two clouds' files stay out."""
    packages = checkout.build()
    wanted = {"aws": {"run.sh"}, "azure": {"host.json", "function_app.py"}, "gcp": {"main.py"}}
    for (_, cloud), package in packages.built.items():
        found = names(package) & {"run.sh", "host.json", "function_app.py", "main.py"}
        assert found == wanted[cloud]
        assert "requirements.txt" in names(package)


def test_a_package_carries_what_it_needs_and_no_more(checkout: Checkout) -> None:
    """No router in an agent, no agent in a router, no tests, no leftovers, no entry files twice."""
    checkout.write("functions/tests/test_x.py", "")
    checkout.write("functions/__pycache__/agent.cpython-311.pyc", "")
    checkout.write("functions/.agent.py.swp", "")
    packages = checkout.build()
    agent, router = names(packages.built["agent", "aws"]), names(packages.built["router", "aws"])
    assert not [name for name in agent if name.startswith("router/")]
    assert "functions/agent.py" in agent - router
    assert {"functions/__init__.py", "skyfleet/keys.py", "skyfleet/signing.py", "router/app.py"} <= router
    for found in (agent, router):
        bad = ("tests/", ".swp", "cpython-311", "runtimes/entry", ".in")
        assert not [
            name
            for name in found
            if any(part in name for part in bad if part != ".in") or name.endswith(".in")
        ]


def test_members_have_fixed_dates_and_modes(checkout: Checkout) -> None:
    """Neither the clock nor a file system's modes get in; what must be executable is."""
    with zipfile.ZipFile(checkout.build().built["agent", "aws"].path) as archive:
        members = archive.infolist()
    assert [member.filename for member in members] == sorted(member.filename for member in members)
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    modes = {member.filename: member.external_attr >> 16 for member in members}
    assert modes.pop("run.sh") == 0o100755
    assert set(modes.values()) == {0o100644}


@pytest.mark.parametrize("module", ["mine.py", "mine/__init__.py"])
def test_an_agent_beside_the_rooms_is_taken_along(checkout: Checkout, module: str) -> None:
    """A module or package at the root, tests excepted."""
    checkout.write(module, "async def app(scope, receive, send):\n    pass\n")
    checkout.write("mine/tests/test_mine.py", "") if "/" in module else None
    packages = checkout.build(agent="mine:app")
    assert module in names(packages.built["agent", "gcp"])
    assert not [name for name in names(packages.built["agent", "gcp"]) if "test_mine" in name]
    assert packages.repeatable is False


def test_an_agent_that_is_nowhere_is_told_where_it_was_sought(checkout: Checkout) -> None:
    """The name, both places, and what to do."""
    with pytest.raises(AgentError, match=r"neither mine\.py nor a package mine/"):
        checkout.build(agent="mine:app")


def test_a_damaged_package_is_built_anew(checkout: Checkout) -> None:
    """What is in the cache is believed only when its hash is right."""
    package = checkout.build().built["router", "gcp"]
    whole = package.path.read_bytes()
    package.path.write_bytes(whole[: len(whole) // 2])
    assert not zips.is_whole(package.path)
    assert checkout.build().built["router", "gcp"].path.read_bytes() == whole


def test_a_package_without_its_record_is_built_anew(checkout: Checkout) -> None:
    """A build killed between the two files leaves nothing that is trusted."""
    package = checkout.build().built["router", "gcp"]
    package.path.with_suffix(".sha256").unlink()
    checkout.build()
    assert zips.is_whole(package.path)


def test_an_interrupted_build_leaves_no_package(tmp_path: Path) -> None:
    """Neither under its name nor under the one it is written with."""

    def interrupted() -> Iterator[File]:
        yield File("a.py", b"1")
        raise KeyboardInterrupt

    path = tmp_path / "agent-aws-x.zip"
    with pytest.raises(KeyboardInterrupt):
        zips.write(path, interrupted(), None, "")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is full, and that nothing half-built is left; with room again the build goes on."""

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as broken:
        broken.setattr(zips, "write", full)
        with pytest.raises(PackageError, match=r"No space left on device .*no half-built package is left"):
            checkout.build()
    assert list(checkout.packages.glob("*.zip")) == []
    assert len(checkout.build().built) == len(CLOUDS) * len(KINDS)


def test_a_requirement_without_a_lock_is_named(checkout: Checkout) -> None:
    """With the file that asks for it and the locks that lack it; `make lock` is the way out."""
    checkout.write("functions/requirements.in", "Some_Package[extra]>=1  # why\nother\n")
    checkout.write(
        "locks/agent-aws.txt", "other==1 --hash=sha256:0\nsome-package[extra]==1 --hash=sha256:0\n"
    )
    with pytest.raises(PackageError, match="run `make lock`") as caught:
        checkout.build()
    assert "some-package (asked for in functions/requirements.in, missing in locks/agent-azure.txt)" in str(
        caught.value
    )
    assert "agent-aws.txt" not in str(caught.value)


def test_a_missing_lock_is_named(checkout: Checkout) -> None:
    """By its path."""
    (checkout.root / "locks" / "router-gcp.txt").unlink()
    with pytest.raises(PackageError, match=r"router-gcp\.txt is missing; run `make lock`"):
        checkout.build()


def test_a_failing_install_says_what_uv_said(checkout: Checkout) -> None:
    """Its last lines, and nothing is left in the cache; uv is asked for hashes, so a wrong one fails
    early."""
    checkout.write("locks/agent-aws.txt", "no-such-package==1 \\\n    --hash=sha256:zz\n")
    with pytest.raises(PackageError, match="uv could not install") as caught:
        checkout.build()
    assert "hash" in str(caught.value)
    assert [p for p in (checkout.cache / "site-packages").iterdir() if "py3" in p.name] == []


def test_old_packages_make_room(checkout: Checkout) -> None:
    """The newest few of each kind and cloud stay."""
    for number in range(zips.KEPT + 2):
        checkout.write("functions/note.py", f"NUMBER = {number}\n")
        checkout.build()
    packages = checkout.build()
    kept = list(checkout.packages.glob("agent-aws-*.zip"))
    assert len(kept) == zips.KEPT
    assert packages.built["agent", "aws"].path in kept


def test_names_are_compared_as_indexes_do(tmp_path: Path) -> None:
    """Case, dots, dashes and underscores make no difference; extras, markers and comments are no part of a
    name."""
    (tmp_path / "a.in").write_text('# only\nA.b_C[x]>=1 ; python_version < "4"\n\n-r other.in\n')
    assert set(asked_for(tmp_path, ["a.in"])) == {"a-b-c"}
    assert locked_names("a_B.c==1 \\\n    --hash=sha256:x\nd[e]==2\n# f==3\n") == {"a-b-c", "d"}


def test_hashes_cover_names_modes_and_contents() -> None:
    """Two files cannot trade places or bytes without notice."""
    one = [File("a", b"1"), File("b", b"2")]
    assert sources.digest(one) == sources.digest(list(reversed(one)))
    others = (
        [File("a", b"2"), File("b", b"1")],
        [File("a", b"1", executable=True), File("b", b"2")],
        one[:1],
    )
    assert len({sources.digest(files) for files in (one, *others)}) == 4
