"""Tests of packages: equal inputs give equal packages, and a failed build leaves none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.config.model import CLOUDS
from infra.errors import AgentError, PackageError
from infra.package import KINDS, Package
from infra.packaging import Packages, size_limits, sources, zips
from infra.packaging.sources import File, asked_for, locked_names
from tests.infra.checkout import Checkout

# One worker builds what the tests share.
pytestmark = pytest.mark.xdist_group("packages")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose packages were built; tests change nothing in it."""
    return Checkout(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def built(first: Checkout) -> Packages:
    """The packages of `first`."""
    return first.build()


@pytest.fixture
def checkout(tmp_path: Path, first: Checkout, built: Packages) -> Checkout:
    """A checkout for one test, with copies of the packages and of the result of the agent's check."""
    assert built.built
    checkout = Checkout(tmp_path)
    shutil.copytree(first.packages, checkout.packages)
    shutil.copytree(first.cache, checkout.cache)
    return checkout


@pytest.fixture
def on_aws(tmp_path: Path, first: Checkout, built: Packages) -> Checkout:
    """A checkout of a stack on AWS alone, without packages. The result of its agent's check is known."""
    assert built.built
    checkout = Checkout(tmp_path, ("aws",))
    checkout.packages.mkdir(parents=True)
    for result in first.packages.glob("agent-*.json"):
        shutil.copy2(result, checkout.packages)
    shutil.copytree(first.cache, checkout.cache)
    return checkout


def names(package: Package) -> set[str]:
    with zipfile.ZipFile(package.path) as archive:
        return set(archive.namelist())


def read(package: Package, name: str) -> bytes:
    with zipfile.ZipFile(package.path) as archive:
        return archive.read(name)


def test_one_input_makes_one_package(tmp_path: Path, built: Packages) -> None:
    """Two checkouts of the same sources build packages with equal names, build ids and bytes."""
    two = Checkout(tmp_path).build()
    assert built.build == two.build
    for key, package in built.built.items():
        other = two.built[key]
        assert package.path.name == other.path.name
        assert package.path.read_bytes() == other.path.read_bytes()


def test_a_second_build_reuses_the_packages(on_aws: Checkout) -> None:
    """Valid packages in the cache are not built again."""
    before = {package.path: package.path.stat().st_mtime_ns for package in on_aws.build().built.values()}
    on_aws.said.clear()
    after = {package.path: package.path.stat().st_mtime_ns for package in on_aws.build().built.values()}
    assert before == after
    assert not [said for said in on_aws.said if said.startswith("building")]


def test_the_build_id_is_the_same_for_all_clouds_and_is_in_the_package(built: Packages) -> None:
    """build.json has the build id that `/health` reports and whether the agent is repeatable; in an
    agent's package it also names the agent."""
    for (kind, cloud), package in built.built.items():
        assert json.loads(read(package, "build.json")) == {
            "build": built.build[kind],
            "kind": kind,
            "repeatable": built.agent.repeatable,
            **({"agent": "functions.agent:agent"} if kind == "agent" else {}),
        }
        assert package.path.name == f"{kind}-{cloud}-{package.inputs}.zip"
    assert built.build["agent"] != built.build["router"]
    assert all(len(build) == 16 for build in built.build.values())


def test_a_changed_source_changes_the_builds_that_contain_it(checkout: Checkout) -> None:
    """A change of the agent does not change the router's build; a change of the signing code changes both."""
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


def test_another_entry_is_another_build_without_a_changed_file(checkout: Checkout) -> None:
    """A cloud that still runs the former agent then reports another build id."""
    checkout.write("functions/two.py", "async def one(request):\n    return 1\n\n\nother = one\n")
    one, other = checkout.build(agent="functions.two:one"), checkout.build(agent="functions.two:other")
    assert one.build["agent"] != other.build["agent"]
    assert one.build["router"] == other.build["router"]
    for cloud in CLOUDS:
        assert json.loads(read(other.built["agent", cloud], "build.json"))["agent"] == "functions.two:other"


def test_a_changed_lock_of_one_cloud_changes_the_build_on_all_clouds(
    on_aws: Checkout, built: Packages
) -> None:
    """The build id covers the dependencies of all clouds."""
    assert on_aws.build().build["agent"] == built.build["agent"]
    on_aws.write("locks/agent-gcp.txt", "# another\n")
    assert on_aws.build().build["agent"] != built.build["agent"]


def test_each_cloud_finds_its_entry_at_the_root(built: Packages) -> None:
    """Each vendor requires files with certain names; the files of the other clouds are left out."""
    wanted = {"aws": {"run.sh"}, "azure": {"host.json", "function_app.py"}, "gcp": {"main.py"}}
    for (_, cloud), package in built.built.items():
        found = names(package) & {"run.sh", "host.json", "function_app.py", "main.py"}
        assert found == wanted[cloud]
        assert "requirements.txt" in names(package)


def test_a_package_contains_only_its_own_modules(on_aws: Checkout) -> None:
    """An agent's package has no router, a router's has no agent, and no package has caches or the client of a
    fleet."""
    on_aws.write("functions/__pycache__/agent.cpython-311.pyc", "")
    on_aws.write("functions/.agent.py.swp", "")
    packages = on_aws.build()
    agent, router = names(packages.built["agent", "aws"]), names(packages.built["router", "aws"])
    assert not [name for name in agent if name.startswith("router/")]
    assert "functions/agent.py" in agent - router
    assert {"functions/__init__.py", "skyfleet/keys.py", "skyfleet/signing.py", "router/app.py"} <= router
    for found in (agent, router):
        assert not [n for n in found if any(p in n for p in (".swp", "cpython-311", "runtimes/entry"))]
        assert not [name for name in found if name.endswith(".in") or name.startswith("skyfleet/client/")]


def test_members_have_fixed_dates_and_modes(on_aws: Checkout) -> None:
    """They depend neither on the clock nor on the file system; entry programs are executable."""
    with zipfile.ZipFile(on_aws.build().built["agent", "aws"].path) as archive:
        members = archive.infolist()
    assert [member.filename for member in members] == sorted(member.filename for member in members)
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    modes = {member.filename: member.external_attr >> 16 for member in members}
    assert modes.pop("run.sh") == 0o100755
    assert set(modes.values()) == {0o100644}


@pytest.mark.parametrize("module", ["mine.py", "mine/__init__.py"])
def test_an_agent_at_the_root_of_the_checkout_is_packaged(checkout: Checkout, module: str) -> None:
    """The agent may be a module or a package. It has a folder of its own, where it meets no entry file."""
    checkout.write(module, "async def app(scope, receive, send):\n    pass\n")
    packages = checkout.build(agent="mine:app")
    assert f"agent_files/{module}" in names(packages.built["agent", "gcp"])
    assert packages.agent.repeatable is False


def test_all_files_of_an_agent_are_shipped_but_its_secrets(checkout: Checkout) -> None:
    """Tests, templates of requirements and hidden files are there at run time. What is not is told."""
    checkout.write(
        "mine/__init__.py", "async def app(scope, receive, send):\n    asyncio.create_task(log())\n"
    )
    kept = ("tests/data.json", "prompts.in", ".config/settings.toml", ".gitignore", "bin/tool", "bin/notes")
    for name in kept:
        checkout.write(f"mine/{name}", "#!/bin/sh\n" if name == "bin/tool" else "")
    checkout.write("mine/.env", "KEY=1")
    packages = checkout.build(agent="mine:app")
    for cloud in CLOUDS:
        found = names(packages.built["agent", cloud])
        assert {f"agent_files/mine/{name}" for name in kept} <= found
        assert not [name for name in found if name.endswith(".env")]
    assert packages.left_out.startswith("left out of the agent's package: mine/.env (may hold secrets). ")
    assert [note.partition(" (")[0] for note in packages.notes[1:]] == ["work that goes on after a reply"]
    with zipfile.ZipFile(packages.built["agent", "aws"].path) as archive:
        modes = {
            name: archive.getinfo(f"agent_files/mine/bin/{name}").external_attr >> 16
            for name in ("tool", "notes")
        }
    assert modes == {"tool": 0o100755, "notes": 0o100644}


def test_nothing_is_told_of_an_agent_that_is_shipped_whole(on_aws: Checkout) -> None:
    """A build without losses, of an agent that works within its requests, prints nothing."""
    assert on_aws.build().notes == []


def test_an_agent_deep_in_folders_without_init_is_found(on_aws: Checkout) -> None:
    """Python imports such folders too (namespace packages)."""
    on_aws.write("mine/sub/mod.py", "async def app(scope, receive, send):\n    pass\n")
    assert "agent_files/mine/sub/mod.py" in names(
        on_aws.build(agent="mine.sub.mod:app").built["agent", "aws"]
    )


def test_python_and_the_package_mean_the_same_module(on_aws: Checkout) -> None:
    """Of `mine.py` and `mine/__init__.py` Python imports the package, so the package is shipped."""
    on_aws.write("mine.py", "")
    on_aws.write("mine/__init__.py", "async def app(scope, receive, send):\n    pass\n")
    found = names(on_aws.build(agent="mine:app").built["agent", "aws"])
    assert "agent_files/mine/__init__.py" in found
    assert "agent_files/mine.py" not in found


@pytest.mark.parametrize(("agent", "line"), [("mine:agent", "__init__.py"), ("mine.inner.app:agent", "*.py")])
def test_an_agent_that_its_ignore_file_leaves_out_is_told_the_file(
    on_aws: Checkout, agent: str, line: str
) -> None:
    """And not that there is no such module."""
    on_aws.write("mine/__init__.py", "async def agent(request): return 'x'\n")
    on_aws.write("mine/inner/app.py", "async def agent(request): return 'x'\n")
    on_aws.write("mine/.skyfleetignore", f"{line}\n")
    with pytest.raises(AgentError, match=r"is left out of its package\. Look at mine/\.skyfleetignore"):
        on_aws.build(agent=agent)


def test_a_file_name_that_is_not_utf8_is_one_line(on_aws: Checkout) -> None:
    """It is told with the name as it is on the disk, and what to do."""
    folder = on_aws.write("mine/__init__.py", "async def app(scope, receive, send):\n    pass\n").parent
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("")
    with pytest.raises(AgentError, match=r"b'mine/caf\\xe9\.txt' is not UTF-8 \(byte 8\)") as caught:
        on_aws.build(agent="mine:app")
    assert "\n" not in str(caught.value)


def test_a_missing_agent_is_reported_with_the_searched_paths(checkout: Checkout) -> None:
    """The error has the name, both paths and an advice."""
    with pytest.raises(AgentError, match=r"neither mine\.py nor a package mine/"):
        checkout.build(agent="mine:app")


def test_a_package_that_a_cloud_would_refuse_is_not_built(
    on_aws: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deployed, in no cloud."""
    on_aws.write("mine/__init__.py", "async def app(scope, receive, send):\n    pass\n")
    on_aws.write("mine/data/words.txt", "x" * 3_000_000)
    monkeypatch.setattr(size_limits, "LIMITS", {"aws": 3_000_000})
    with pytest.raises(PackageError, match=r"aws: 3\.\d MB; at most 250 MB") as caught:
        on_aws.build(agent="mine:app")
    assert "Its biggest parts: mine/data/ 2.9 MB" in str(caught.value)
    assert list(on_aws.packages.glob("*.zip")) == []


def test_a_damaged_package_is_built_again(checkout: Checkout) -> None:
    """A cached package is used only if its hash is right."""
    package = checkout.build().built["router", "gcp"]
    whole = package.path.read_bytes()
    package.path.write_bytes(whole[: len(whole) // 2])
    assert not zips.is_whole(package.path)
    assert checkout.build().built["router", "gcp"].path.read_bytes() == whole


def test_a_package_without_its_record_is_built_again(checkout: Checkout) -> None:
    """A build may be killed between the writes of the two files."""
    package = checkout.build().built["router", "gcp"]
    package.path.with_suffix(".sha256").unlink()
    checkout.build()
    assert zips.is_whole(package.path)


def test_an_interrupted_build_leaves_no_package(tmp_path: Path) -> None:
    """Neither the package nor its temporary file is left."""

    def interrupted() -> Iterator[File]:
        yield File("a.py", b"1")
        raise KeyboardInterrupt

    path = tmp_path / "agent-aws-x.zip"
    with pytest.raises(KeyboardInterrupt):
        zips.write(path, interrupted(), None, "")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported(on_aws: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the disk, no partial file is left, and the next build with free space succeeds."""

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as broken:
        broken.setattr(zips, "write", full)
        with pytest.raises(PackageError, match=r"No space left on device .*no half-built package is left"):
            on_aws.build()
    assert list(on_aws.packages.glob("*.zip")) == []
    assert len(on_aws.build().built) == len(KINDS)


def test_a_requirement_without_a_lock_is_named(checkout: Checkout) -> None:
    """The error has the file of the requirement, the incomplete locks and the command `make lock`."""
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


def test_a_requirement_with_a_marker_may_be_none_for_the_clouds(tmp_path: Path) -> None:
    """No lock has it then, and `make lock` would change nothing. Options and comments ask for nothing."""
    lines = (
        'tomli; python_version < "3.11"',
        "-r more.in",
        "--index-url https://x.test/",
        "# why",
        "idna#1 # x",
    )
    (tmp_path / "a.in").write_text("\n".join(lines))
    assert set(asked_for(tmp_path, ["a.in"])) == {"idna"}


@pytest.mark.parametrize(
    "line",
    [
        "mine @ https://x.test/mine.whl#sha256=0",
        "mine[extra]@git+https://x.test/mine",
        "git+ssh://git@x.test/mine",
        "https://x.test/mine.whl",
        "./mine",
        "../mine",
        "/home/mine",
        "file:mine",
        "-e .",
    ],
)
def test_a_requirement_without_a_version_is_named(tmp_path: Path, line: str) -> None:
    """Its lock would have no hash. The advice is not `make lock`, which changes nothing."""
    (tmp_path / "a.in").write_text(f"idna\n{line}  # mine\n")
    with pytest.raises(PackageError, match=r"a\.in asks for .*agent's folder"):
        asked_for(tmp_path, ["a.in"])


def test_requirements_that_are_not_utf8_are_named(checkout: Checkout) -> None:
    """An editor may have saved them in another encoding."""
    (checkout.root / "functions" / "requirements.in").write_bytes(b"httpx  # caf\xe9\n")
    with pytest.raises(PackageError, match=r"requirements\.in is not text in UTF-8 \(byte 12\)"):
        checkout.build()


def test_a_missing_lock_is_named(checkout: Checkout) -> None:
    """The error has its path."""
    (checkout.root / "locks" / "router-gcp.txt").unlink()
    with pytest.raises(PackageError, match=r"router-gcp\.txt is missing; run `make lock`"):
        checkout.build()


def test_a_failed_install_is_reported_with_the_output_of_uv(tmp_path: Path) -> None:
    """The error has its last lines, and the cache stays empty. uv gets `--require-hashes`."""
    checkout = Checkout(tmp_path)
    checkout.write("locks/agent-aws.txt", "no-such-package==1 \\\n    --hash=sha256:zz\n")
    with pytest.raises(PackageError, match="uv could not install") as caught:
        checkout.build()
    assert "hash" in str(caught.value)
    assert [p for p in (checkout.cache / "site-packages").iterdir() if "py3" in p.name] == []


def test_old_packages_are_deleted(on_aws: Checkout) -> None:
    """The newest few of each kind and cloud are kept."""
    for number in range(zips.KEPT + 2):
        old = on_aws.packages / f"agent-aws-{number}.zip"
        zips.write(old, [File("a.py", b"1")], None, "")
        os.utime(old, (number, number))
    packages = on_aws.build()
    kept = {path.name for path in on_aws.packages.glob("agent-aws-*.zip")}
    newest = {f"agent-aws-{number}.zip" for number in range(3, zips.KEPT + 2)}
    assert kept == newest | {packages.built["agent", "aws"].path.name}
    assert len(list(on_aws.packages.glob("agent-aws-*.sha256"))) == zips.KEPT


def test_distribution_names_are_normalised(tmp_path: Path) -> None:
    """Case, dots, dashes and underscores are equal; extras and comments are not part of a name."""
    (tmp_path / "a.in").write_text("# only\nA.b_C[x]>=1 # why\n\n-r other.in\n")
    assert set(asked_for(tmp_path, ["a.in"])) == {"a-b-c"}
    assert locked_names("a_B.c==1 \\\n    --hash=sha256:x\nd[e]==2\n# f==3\n") == {"a-b-c", "d"}


def test_hashes_cover_names_modes_and_contents() -> None:
    """Any exchange of names, modes or bytes between files changes the hash."""
    one = [File("a", b"1"), File("b", b"2")]
    assert sources.digest(one) == sources.digest(list(reversed(one)))
    others = (
        [File("a", b"2"), File("b", b"1")],
        [File("a", b"1", executable=True), File("b", b"2")],
        one[:1],
    )
    assert len({sources.digest(files) for files in (one, *others)}) == 4
