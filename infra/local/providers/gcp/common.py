"""Google Cloud's identifiers, and looking things up by them."""

from __future__ import annotations

import re

from infra.local.providers.naming import Naming
from infra.local.providers.values import Properties, fields, text

PROJECT = "skyfleet-sky"  # of the emulated credentials, for programs that name none
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
    """`512Mi`, `1G`, `256M` in MB of 2**20 bytes; None when it is no such size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG]i?)?", said)
    if found is None or (found[2] or "") not in _MEMORY:
        return None
    return int(float(found[1]) * _MEMORY[found[2] or ""] / 2**20)


def runs_as(inputs: Properties) -> str:
    """Email of the identity; the project's default compute account unless another is given."""
    own = text(inputs, "serviceConfig", "serviceAccountEmail")
    return own or f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
