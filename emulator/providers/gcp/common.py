"""Google Cloud's identifiers and look-ups by them."""

from __future__ import annotations

import re

from emulator.providers.naming import Naming
from emulator.providers.values import Properties, fields, text

PROJECT = "skyfleet-emulator"  # project of the emulated credentials, for programs that configure none
PROJECT_NUMBER = "123456789012"
ACCESSOR = "roles/secretmanager.secretAccessor"

SERVICE = "gcp:projects/service:Service"
ACCOUNT = "gcp:serviceaccount/account:Account"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
BUCKET = "gcp:storage/bucket:Bucket"
OBJECT = "gcp:storage/bucketObject:BucketObject"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
FUNCTION = "gcp:cloudfunctionsv2/function:Function"
FUNCTION_MEMBER = "gcp:cloudfunctionsv2/functionIamMember:FunctionIamMember"
SERVICE_MEMBER = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
RUN_MEMBER = "gcp:cloudrun/iamMember:IamMember"
SECRET = "gcp:secretmanager/secret:Secret"  # noqa: S105 - a type's name
SECRET_VERSION = "gcp:secretmanager/secretVersion:SecretVersion"  # noqa: S105 - a type's name
SECRET_MEMBER = "gcp:secretmanager/secretIamMember:SecretIamMember"  # noqa: S105 - a type's name
JOB = "gcp:cloudscheduler/job:Job"
LOG_BUCKET = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
REPOSITORY_MEMBER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"


# cloud.google.com/run/docs/locations, 2026-11.
RUN_REGIONS = (
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"),
    *("asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1"),
    *("australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1"),
    *("europe-west1", "europe-west10", "europe-west12", "europe-west2", "europe-west3", "europe-west4"),
    *("europe-west6", "europe-west8", "europe-west9", "me-central1", "me-central2", "me-west1"),
    *("northamerica-northeast1", "northamerica-northeast2", "northamerica-south1", "southamerica-east1"),
    *("southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1"),
    *("us-west2", "us-west3", "us-west4"),
)

_MEMORY = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def named(prop: str = "name", limit: int = 63) -> Naming:
    return Naming(prop, "lower-dash", limit)


def last(reference: str) -> str:
    """The short name in a full one: `projects/p/secrets/s` -> `s`."""
    return reference.rpartition("/")[2]


def labels(inputs: Properties, prop: str = "labels") -> Properties:
    own = fields(inputs, prop)
    return {"pulumiLabels": own, "effectiveLabels": {**own, "goog-pulumi-provisioned": "true"}}


def memory_mb(said: str) -> int | None:
    """`512Mi`, `1G`, `256M` in units of 2**20 bytes; None for any other text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG]i?)?", said)
    if found is None or (found[2] or "") not in _MEMORY:
        return None
    return int(float(found[1]) * _MEMORY[found[2] or ""] / 2**20)


def runs_as(inputs: Properties) -> str:
    """Email of the function's identity; by default the project's compute account."""
    own = text(inputs, "serviceConfig", "serviceAccountEmail")
    return own or f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
