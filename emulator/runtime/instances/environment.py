"""The environment of an instance: the vendor's runtime variables plus the function's own. Pure.

It is complete: nothing is inherited from the daemon. A variable that points a vendor's library at the
emulator is
one that the library documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.desired.model import Function
from emulator.runtime.instances.interpreter import Interpreter


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials of one identity. The meaning of the fields depends on the cloud (identity.py)."""

    key_id: str
    secret: str
    token: str


@dataclass(frozen=True, slots=True)
class Place:
    """Files of one version of a function. root: unpacked package; wheels: import path before and after it."""

    root: Path
    interpreter: Interpreter
    wheels: tuple[Path, ...] = ()


def _base(spec: Function, interpreter: Interpreter) -> dict[str, str]:
    return {
        **spec.environment,
        "PATH": f"{interpreter.path.parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # The clouds' code folders are read-only; so is ours, except for root.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def aws(
    spec: Function, place: Place, credentials: Credentials, api: str, port: int, sandbox: str
) -> Mapping[str, str]:
    """Lambda's runtime variables. sandbox: id of the environment; port: of its web server."""
    environ = {
        **_base(spec, place.interpreter),
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(place.root),
        "_HANDLER": spec.entry,
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{sandbox}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_ACCESS_KEY_ID": credentials.key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_ENDPOINT_URL_S3": api,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": api,
        "AWS_ALLOW_HTTP": "true",  # obstore
        # Sandboxes share one network here, so each has its own port.
        "AWS_LWA_PORT": str(port),
        "PORT": str(port),
        "SKYFLEET_PYTHON": str(place.interpreter.path),
    }
    if place.wheels:  # before the vendored ones at the package's root, the working folder
        environ["PYTHONSAFEPATH"] = "1"
        environ["PYTHONPATH"] = ":".join(map(str, (*place.wheels, place.root)))
    return environ


def azure(
    spec: Function, place: Place, credentials: Credentials, api: str, instance: str
) -> Mapping[str, str]:
    """App Service's variables."""
    return {
        **_base(spec, place.interpreter),
        "WEBSITE_SITE_NAME": spec.name,
        "WEBSITE_INSTANCE_ID": instance,
        "WEBSITE_HOSTNAME": spec.authority or spec.name,
        "WEBSITE_SKU": "FlexConsumption",
        "REGION_NAME": spec.region,
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_WORKER_RUNTIME_VERSION": "3.13",
        "AzureWebJobsScriptRoot": str(place.root),
        "IDENTITY_ENDPOINT": f"{api}/msi/token",
        "IDENTITY_HEADER": credentials.secret,
        "AZURE_STORAGE_ENDPOINT": api,  # obstore
        "AZURE_ALLOW_HTTP": "true",  # obstore
    }


def gcp(spec: Function, place: Place, credentials: Credentials, api: str, port: int) -> Mapping[str, str]:
    """Cloud Run's container contract and the functions framework's variables."""
    host = api.removeprefix("http://")
    return {
        **_base(spec, place.interpreter),
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "K_SERVICE": spec.name,
        "K_REVISION": f"{spec.name}-{spec.package_hash[:8]}",
        "K_CONFIGURATION": spec.name,
        "FUNCTION_TARGET": spec.entry,
        "FUNCTION_SOURCE": str(place.root / "main.py"),
        "FUNCTION_SIGNATURE_TYPE": "http",
        "PYTHONPATH": ":".join(map(str, place.wheels)),
        # The path identifies the instance at the shared metadata server; real servers are one per instance.
        "GCE_METADATA_HOST": f"{host}/instance/{credentials.secret}",
        "GOOGLE_BASE_URL": api,  # obstore
        "GOOGLE_ALLOW_HTTP": "true",  # obstore
    }
