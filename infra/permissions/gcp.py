"""Google: permissions by type of resource, written as a custom role; and the predefined roles that hold them.

Sources: the permissions reference (cloud.google.com/iam/docs/permissions-reference) for the calls in the
provider's create, read, update and delete (hashicorp/terraform-provider-google, `google/services/*`, which
pulumi-gcp carries). Deleting a bucket that is not empty also looks for its caches; a service is read with its
project; acting as an account is needed to run, build or schedule something as it.
"""

from __future__ import annotations

from collections.abc import Mapping

CRUD = "create get update delete"
POLICY = "getIamPolicy setIamPolicy"


def of(resource: str, verbs: str) -> tuple[str, ...]:
    return tuple(f"{resource}.{verb}" for verb in verbs.split())


PREFLIGHT = (
    *of("resourcemanager.projects", "get"),
    *of("serviceusage.services", "get list"),
    *of("cloudquotas.quotas", "get"),
)
ACT_AS = of("iam.serviceAccounts", "actAs")
TYPES: Mapping[str, tuple[str, ...]] = {
    "gcp:artifactregistry/repository:Repository": of("artifactregistry.repositories", CRUD),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": of(
        "artifactregistry.repositories", POLICY
    ),
    "gcp:cloudfunctionsv2/function:Function": (
        *of("cloudfunctions.functions", CRUD),
        *of("cloudfunctions.operations", "get list"),
        *of("run.services", "get"),
        *of("storage.objects", "get"),  # the package is read as its caller
        *ACT_AS,
    ),
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": of("run.services", f"get {POLICY}"),
    "gcp:cloudscheduler/job:Job": (*of("cloudscheduler.jobs", f"{CRUD} enable pause"), *ACT_AS),
    "gcp:monitoring/alertPolicy:AlertPolicy": of("monitoring.alertPolicies", CRUD),
    "gcp:projects/iAMMember:IAMMember": of("resourcemanager.projects", f"get {POLICY}"),
    "gcp:projects/service:Service": (
        *of("serviceusage.services", "enable get list use"),
        *of("resourcemanager.projects", "get"),
    ),
    "gcp:secretmanager/secret:Secret": of("secretmanager.secrets", CRUD),
    "gcp:secretmanager/secretIamMember:SecretIamMember": of("secretmanager.secrets", POLICY),
    "gcp:secretmanager/secretVersion:SecretVersion": (
        *of("secretmanager.versions", "add get access enable disable destroy"),
    ),
    "gcp:serviceaccount/account:Account": of("iam.serviceAccounts", CRUD),
    "gcp:storage/bucket:Bucket": (
        *of("storage.buckets", CRUD),
        *of("storage.objects", "list delete"),
        *of("storage.anywhereCaches", "list disable"),
    ),
    "gcp:storage/bucketIAMMember:BucketIAMMember": of("storage.buckets", POLICY),
    "gcp:storage/bucketObject:BucketObject": of("storage.objects", "create get delete"),
}


def role() -> dict[str, object]:
    """For `gcloud iam roles create --file`."""
    own = {permission for entry in (*TYPES.values(), PREFLIGHT) for permission in entry}
    return {
        "title": "Skyfleet deployer",
        "description": "Deploys and destroys a fleet of Skyfleet",
        "stage": "GA",
        "includedPermissions": sorted(own),
    }
