"""Whether there is a credential for each cloud, before a provider is started with none.

A provider without one ends the whole deployment by itself, in its own words and before the other clouds were
asked. So the places are looked at where the providers look: pulumi.com/registry/packages/{aws,azure-native,
gcp}/installation-configuration. That one is there does not say that it is valid: the provider says that.

The rule of this file: pure but for `metadata_answers`. The environment, the home folder and that are
arguments.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.config.model import Cloud
from infra.preflight.findings import Finding

METADATA = ("169.254.169.254", 80)  # the same address on the machines of all three clouds
METADATA_S = 0.5


@dataclass(frozen=True, slots=True)
class Places:
    """Where a provider finds a credential. config: keys of the stack's config, without their namespace."""

    namespace: str
    config: tuple[str, ...]
    variables: tuple[str, ...]
    files: Callable[[Mapping[str, str], Path], tuple[Path, ...]]
    remedy: str


def _aws_files(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    folder = home / ".aws"
    return (
        Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials"),
        Path(environ.get("AWS_CONFIG_FILE") or folder / "config"),
    )


def _azure_files(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    return (Path(environ.get("AZURE_CONFIG_DIR") or home / ".azure") / "azureProfile.json",)


def _gcp_files(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    folder = Path(environ.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
    return (folder / "application_default_credentials.json",)


PLACES: Mapping[Cloud, Places] = {
    "aws": Places(
        "aws",
        ("accessKey", "profile"),
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        _aws_files,
        "Run `aws configure sso` (or `aws configure`), or set AWS_PROFILE",
    ),
    "azure": Places(
        "azure-native",
        ("clientId", "useMsi", "useOidc"),
        ("ARM_CLIENT_ID", "ARM_USE_MSI", "ARM_USE_OIDC"),
        _azure_files,
        "Run `az login` and `az account set --subscription ID`, or set ARM_CLIENT_ID and its kin",
    ),
    "gcp": Places(
        "gcp",
        ("credentials", "accessToken"),
        (
            "GOOGLE_CREDENTIALS",
            "GOOGLE_CLOUD_KEYFILE_JSON",
            "GCLOUD_KEYFILE_JSON",
            "GOOGLE_OAUTH_ACCESS_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        _gcp_files,
        "Run `gcloud auth application-default login`, or set GOOGLE_CREDENTIALS",
    ),
}


@dataclass(frozen=True, slots=True)
class CredentialSources:
    """What is looked at. config: all of the stack's, by full key; metadata: whether a cloud's own answers."""

    config: Mapping[str, object]
    environ: Mapping[str, str]
    home: Path
    metadata: Callable[[], bool]


def without_credential(clouds: Iterable[Cloud], around: CredentialSources) -> dict[Cloud, Finding]:
    """The clouds that no credential is found for."""
    missing: list[Cloud] = [cloud for cloud in clouds if not _found(PLACES[cloud], around)]
    if not missing or around.metadata():
        return {}
    return {
        cloud: Finding(
            cloud,
            f"no credential was found (stack config {PLACES[cloud].namespace}:, environment, "
            f"{_listed(PLACES[cloud].files(around.environ, around.home))}, this machine's identity)",
            PLACES[cloud].remedy,
        )
        for cloud in missing
    }


def metadata_answers() -> bool:
    """Whether this is a machine of a cloud, which may have an identity of its own."""
    try:
        with socket.create_connection(METADATA, METADATA_S):
            return True
    except OSError:
        return False


def _found(places: Places, around: CredentialSources) -> bool:
    return (
        any(f"{places.namespace}:{key}" in around.config for key in places.config)
        or any(around.environ.get(name) for name in places.variables)
        or any(path.is_file() for path in places.files(around.environ, around.home))
    )


def _listed(paths: Iterable[Path]) -> str:
    return " and ".join(map(str, paths))
