"""The settings of a function, read at its start from the environment and the package.

All defaults are here with their reasons. All problems are reported in one error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final, cast

from functions.errors import SetupError
from skyfleet import contract
from skyfleet.signing import Keys, KeysError
from skyfleet.values import frozen

# For a checkout; a built package names its agent.
DEFAULT_AGENT: Final = "functions.agent:agent"
# For /health of a manually started application.
DEFAULT_CLOUD: Final = "local"
DEFAULT_REGION: Final = "local"
# For a checkout, which has no build.json.
DEFAULT_BUILD: Final = "dev"

PACKAGE_ROOT: Final = Path(__file__).resolve().parent.parent


@frozen
class Package:
    """The content of build.json. build: the build id, 16 hexadecimal digits. agent: "module:attribute"."""

    build: str = DEFAULT_BUILD
    agent: str = ""


@frozen
class Settings:
    """The settings of an agent function.

    environ: for the agent, without the signing keys. fleet: the deployment in /health, empty for a manual
    start.
    """

    cloud: str
    region: str
    fleet: str
    agent: str
    build: str
    keys: Keys
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], root: Path = PACKAGE_ROOT) -> Settings:
        """Read the settings. Raises a SetupError that lists all problems."""
        problems: list[str] = []
        keys, package = None, Package()
        try:
            keys = _keys(environ)
        except SetupError as error:
            problems.append(str(error))
        try:
            package = read_package(root)
        except SetupError as error:
            problems.append(str(error))
        if keys is None or problems:
            raise SetupError("\n".join(problems))
        return cls(
            cloud=environ.get(contract.CLOUD) or DEFAULT_CLOUD,
            region=environ.get(contract.REGION) or DEFAULT_REGION,
            fleet=environ.get(contract.FLEET) or "",
            # The package takes precedence, since settings may reach a cloud before or after their code.
            agent=package.agent or environ.get(contract.AGENT) or DEFAULT_AGENT,
            build=package.build,
            keys=keys,
            environ={name: value for name, value in environ.items() if name != contract.SIGNING_KEYS},
        )


def read_package(root: Path = PACKAGE_ROOT) -> Package:
    """Read build.json in `root`, which a checkout does not have."""
    file = root / "build.json"
    if not file.is_file():
        return Package()
    try:
        facts: object = json.loads(file.read_text())
    except ValueError:
        facts = None
    said = cast("dict[str, object]", facts) if isinstance(facts, dict) else {}
    build, agent = said.get("build"), said.get("agent")
    if not isinstance(build, str):
        raise SetupError(
            f'{file} names no build. Expected {{"build": "<16 hex>", ...}}; build the package again.'
        )
    return Package(build, agent if isinstance(agent, str) else "")


def _keys(environ: Mapping[str, str]) -> Keys:
    text = environ.get(contract.SIGNING_KEYS)
    if not text:
        raise SetupError(
            f"{contract.SIGNING_KEYS} is not set, so no request could be authenticated. "
            'Set it to JSON like {"k1": "<secret>"}; the Pulumi program does.'
        )
    try:
        return Keys.parse(text)
    except KeysError as error:
        raise SetupError(f"{contract.SIGNING_KEYS}: {error}") from error
