"""The settings of a function, read once from its environment and its package.

All defaults of the package are here, each with its reason. All problems are reported at once.
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

# Of a checkout; a built package names its own.
DEFAULT_AGENT: Final = "functions.agent:agent"
# What /health says when the app was started by hand, outside any cloud.
DEFAULT_CLOUD: Final = "local"
DEFAULT_REGION: Final = "local"
# A checkout has no build.json; only a built package has.
DEFAULT_BUILD: Final = "dev"

PACKAGE_ROOT: Final = Path(__file__).resolve().parent.parent


@frozen
class Package:
    """What a built package says of itself. build: 16 hexadecimal digits over sources, locks and the agent's
    name, equal in all clouds; agent: "module:attribute"."""

    build: str = DEFAULT_BUILD
    agent: str = ""


@frozen
class Settings:
    """One agent function. environ: what the agent may see, so without the signing keys. fleet: the deployment
    it is of, as /health says it; empty when it was started by hand."""

    cloud: str
    region: str
    fleet: str
    agent: str
    build: str
    keys: Keys
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], root: Path = PACKAGE_ROOT) -> Settings:
        """Read the settings or raise one SetupError that lists every problem."""
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
            # The package first: settings reach a cloud before or after the code they were meant for.
            agent=package.agent or environ.get(contract.AGENT) or DEFAULT_AGENT,
            build=package.build,
            keys=keys,
            environ={name: value for name, value in environ.items() if name != contract.SIGNING_KEYS},
        )


def read_package(root: Path = PACKAGE_ROOT) -> Package:
    """What build.json in `root` says; a checkout has none."""
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
