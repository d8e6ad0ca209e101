"""Claims about docs/reference: it says what the code says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest
from click.testing import CliRunner

from infra.cli.commands import outputs
from router.net import fields
from tests.differential import compare
from tools.reference import commands, config, pages, sources
from tools.reference.text import IncompleteText, described

ROOT: Final = Path(__file__).parents[2]
ON_DISK: Final = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/reference").iterdir())


@pytest.fixture(scope="module")
def made() -> Mapping[str, str]:
    """The pages as the code makes them: not at import, which each worker would wait for."""
    return pages.pages(ROOT)


def test_each_page_is_there(made: Mapping[str, str]) -> None:
    """And no other."""
    assert sorted(made) == ON_DISK


@pytest.mark.parametrize("name", ON_DISK)
def test_a_page_is_up_to_date(name: str, made: Mapping[str, str]) -> None:
    """`make docs-reference` would change nothing."""
    assert (ROOT / name).read_text("utf-8") == made[name]


def test_the_help_of_a_command_does_not_depend_on_how_it_was_called_before() -> None:
    """click keeps the help option of the first call."""
    vars(outputs.command)["_help_option"] = None
    CliRunner().invoke(outputs.command, ["--help"])
    assert (ROOT / "docs/reference/cli.md").read_text("utf-8").endswith(f"{commands.page()}\n")


def test_a_key_without_a_sentence_and_a_sentence_without_its_key_are_named() -> None:
    """A renamed key is both."""
    with pytest.raises(IncompleteText, match=r"new\.key: has no description\n  name: is in no source"):
        described("config", [*(key for key in config.known() if key != "name"), *policy(), "new.key"])


def test_every_set_of_fields_that_routers_leave_out_is_on_the_page(made: Mapping[str, str]) -> None:
    """A new set in `router.net.fields` has to be described."""
    sets: dict[str, frozenset[bytes]] = {
        name: frozenset(cast("frozenset[bytes]", value))
        for name, value in vars(fields).items()
        if isinstance(value, frozenset | tuple) and all(isinstance(one, bytes) for one in cast("Any", value))
    }
    listed = {name: sets.pop(name) for name in sources.GROUPS}
    assert all(left <= frozenset().union(*listed.values()) for left in sets.values()), sets.keys()
    page = made["docs/reference/http.md"]
    assert all(f"`{name.decode()}" in page for names in listed.values() for name in names)


def test_the_differential_suite_allows_no_difference_that_is_not_on_the_page(
    made: Mapping[str, str],
) -> None:
    """What it leaves out of a comparison is documented."""
    page = made["docs/reference/http.md"]
    allowed = compare.OF_REQUEST | compare.OF_REPLY
    assert [name for name in sorted(allowed) if f"`{name.decode()}`" not in page] == []


def policy() -> list[str]:
    return [f"{config.POLICY}{name}" for name in config.policy_names()]


def test_keys_of_the_config_are_those_that_its_reader_knows() -> None:
    """Of every level, and with what a value has to be."""
    known = list(config.known())
    assert {"clouds.CLOUD.regions", "clouds.gcp.public", "router.strategy", "name"} <= set(known)
    assert config.expected("checks.probes").endswith("from 1 to 600")
    assert config.default("checks.probes") == "`3`"


def test_defaults_of_the_policy_are_the_routers() -> None:
    """Each key of the policy changes one number of it."""
    assert config.policy_default("router.policy.fall") == "`3`"
    assert config.policy_default("router.policy.hedge") == "`auto`"


def test_fields_codes_and_names_are_found_in_sources(tmp_path: Path) -> None:
    """Nested fields, statuses of either branch, inherited statuses, and names in strings only."""
    (tmp_path / "a.py").write_text(
        "def status(x):\n    return {'a': {'b': 1}, 'c': [{'d': 1, **_more(y)} for y in x], 'e': []}\n"
        "def _more(y):\n    return {'f': y}\n"
        "def fail(x):\n    raise Wrong(504 if x else 502, 'may-be', 'text')\n"
        "def say(x):\n    reply(x, 413, {'error': {'code': 'too-much', 'message': x}})\n"
        "class One(Exception):\n    status: int = 404\n"
        "class Two(One):\n    code = 'not-there'\n"
        'HEADER = b"x-skyfleet-made-up"\nNAME = "SKYFLEET_MADE_UP"  # x-skyfleet-other\n'
        'path = f"{AGENT_FOLDER}/x"\n'
    )
    assert sources.status_fields(tmp_path / "a.py") == ["a.b", "c[].d", "c[].f", "e"]
    assert sources.error_codes([tmp_path]) == {"may-be": {502, 504}, "too-much": {413}}
    assert sources.class_codes([tmp_path]) == {"not-there": {404}}
    assert sources.matches(sources.HEADER, [tmp_path]) == {"x-skyfleet-made-up"}
    assert sources.matches(sources.VARIABLE, [tmp_path]) == {"SKYFLEET_MADE_UP"}


def test_variables_that_are_read_are_found_whatever_their_names(tmp_path: Path) -> None:
    """From a mapping of the environment in Python, and in scripts; other strings are no variables."""
    (tmp_path / "a.py").write_text(
        'a = environ.get("PACE_MS") or os.environ["PORT"]\nb = fields.get("GET")\n'
    )
    (tmp_path / "run.sh").write_text('cd "${TASK_ROOT:-$(dirname "$0")}" && echo $HOME\n')
    assert sources.matches(sources.READ, [tmp_path]) == {"PACE_MS", "PORT", "TASK_ROOT", "HOME"}


def test_every_command_is_there_with_its_options() -> None:
    """As `--help` prints them."""
    helps = dict(commands.helps())
    assert "--scope" in helps["skyfleet chaos"]
    assert len(helps) > 9
