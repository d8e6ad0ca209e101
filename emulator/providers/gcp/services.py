"""The services around a function: Secret Manager, Cloud Scheduler, Logging, Monitoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emulator.desired.periods import FIELD
from emulator.errors import CloudError
from emulator.providers.gcp.common import (
    JOB,
    LOG_BUCKET,
    PROJECT_NUMBER,
    SECRET,
    SECRET_VERSION,
    labels,
    last,
    named,
)
from emulator.providers.gcp.iam import need_account
from emulator.providers.gcp.project import need_api
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, NameHold, ResourceType
from emulator.providers.rules import between, needs, one_of, pattern, rule, rules
from emulator.providers.schema import Failure
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, at, number, text

# docs.cloud.google.com/scheduler/docs/locations and its release notes of 2026: fewer than Cloud Run has.
SCHEDULER_REGIONS = (
    *("asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3", "asia-south1"),
    *("asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1", "europe-central2"),
    *("europe-west1", "europe-west12", "europe-west2", "europe-west3", "europe-west4", "europe-west6"),
    *("me-central1", "me-central2", "me-west1", "northamerica-northeast1", "northamerica-northeast2"),
    *("southamerica-east1", "us-central1", "us-east1", "us-east4", "us-west1", "us-west2", "us-west3"),
    "us-west4",
)
CRON = rf"{FIELD} {FIELD}( \S+){{3}}"


def _secret(inputs: Properties, context: Context) -> Properties:
    return {
        "id": f"projects/{inputs['project']}/secrets/{inputs['secretId']}",
        "name": f"projects/{PROJECT_NUMBER}/secrets/{inputs['secretId']}",
        "createTime": context.keep("createTime", context.timestamp),
        "effectiveAnnotations": inputs.get("annotations", {}),
        **labels(inputs),
    }


def _secret_on(inputs: Properties, context: Context) -> None:
    need_api(context, text(inputs, "project"), "secretmanager")


def _replication(inputs: Properties) -> Iterator[Failure]:
    """Exactly one of automatic replication and chosen locations."""
    given = [name for name in ("auto", "userManaged") if at(inputs, "replication", name) is not None]
    if isinstance(inputs["replication"], dict) and len(given) != 1:
        yield Failure("replication", "give one of auto, userManaged")


def _secret_of(inputs: Properties, context: Context) -> Resource | None:
    return context.find(SECRET, "secretId", last(text(inputs, "secret")))


def _version_number(inputs: Properties, context: Context) -> int:
    """The version's number: they count up for each secret and are never reused."""
    if "version" not in context.private:
        secret = _secret_of(inputs, context)
        context.private["version"] = (int(secret.private.get("versions", 0)) if secret else 0) + 1
    return int(context.private["version"])


def _count_version(inputs: Properties, context: Context) -> None:
    secret = _secret_of(inputs, context)
    if secret is None:
        raise CloudError("NOT_FOUND", f"Secret [{text(inputs, 'secret')}] not found.")
    count = max(_version_number(inputs, context), int(secret.private.get("versions", 0)))
    context.extra.append(replace(secret, private={**secret.private, "versions": count}))


def _version(inputs: Properties, context: Context) -> Properties:
    number_of = str(_version_number(inputs, context))
    name = f"{inputs['secret']}/versions/{number_of}"
    return {
        "id": name,
        "name": name,
        "version": number_of,
        "createTime": context.keep("createTime", context.timestamp),
        "enabled": inputs.get("enabled", True),
    }


def _job(inputs: Properties, context: Context) -> Properties:
    path = f"projects/{inputs['project']}/locations/{inputs['region']}/jobs/{inputs['name']}"
    state = "PAUSED" if inputs.get("paused") else "ENABLED"
    return {"id": path, "state": state, "timeZone": inputs.get("timeZone", "Etc/UTC")}


def _job_refers(inputs: Properties, context: Context) -> None:
    need_api(context, text(inputs, "project"), "cloudscheduler")
    email = text(inputs, "httpTarget", "oidcToken", "serviceAccountEmail")
    if email:
        need_account(context, email)


def _is_attempt(said: Json) -> bool:
    seconds = str(said).removesuffix("s")
    return str(said).endswith("s") and seconds.replace(".", "", 1).isdigit() and 15 <= float(seconds) <= 1800


def _log_bucket(inputs: Properties, context: Context) -> Properties:
    path = f"{_parent(inputs)}/locations/{inputs['location']}/buckets/{inputs['bucketId']}"
    return {
        "id": path,
        "name": path,
        "lifecycleState": "ACTIVE",
        "retentionDays": int(number(inputs, "retentionDays", default=30)),
    }


def _log_bucket_held(resource: Resource) -> NameHold:
    """A deleted log bucket is pending for seven days, and its name is taken:
    cloud.google.com/logging/docs/buckets and github.com/GoogleCloudPlatform/cloud-foundation-fabric/pull/1898
    """
    said = f"Error 400: Buckets must be in an ACTIVE state to be modified: {resource.id} is DELETE_REQUESTED"
    return NameHold(7 * 86400, "FAILED_PRECONDITION", said)


def _parent(inputs: Properties) -> str:
    project = text(inputs, "project")
    return project if project.startswith("projects/") else f"projects/{project}"


def _sink(inputs: Properties, context: Context) -> Properties:
    writer = f"serviceAccount:service-{PROJECT_NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
    return {"id": f"{_parent(inputs)}/sinks/{inputs['name']}", "writerIdentity": writer}


def _sink_refers(inputs: Properties, context: Context) -> None:
    destination = text(inputs, "destination")
    bucket = destination.removeprefix("logging.googleapis.com/")
    if bucket != destination and not bucket.endswith(("/_Default", "/_Required")):
        missing = CloudError("NOT_FOUND", f"Sink destination {destination} does not exist.")
        context.need(LOG_BUCKET, "id", bucket, missing)


def _policy_number(context: Context) -> str:
    return str(context.private.setdefault("number", context.digits(20)))


def _policy(inputs: Properties, context: Context) -> Properties:
    name = f"projects/{inputs['project']}/alertPolicies/{_policy_number(context)}"
    return {"id": name, "name": name, "enabled": inputs.get("enabled", True)}


def _monitoring_on(inputs: Properties, context: Context) -> None:
    need_api(context, text(inputs, "project"), "monitoring")


RESOURCE_TYPES = (
    ResourceType(
        SECRET,
        lambda inputs, _: f"gcp/secret/{inputs['project']}/{inputs['secretId']}",
        _secret,
        naming=named("secretId", 255),
        force_new=frozenset(("secretId", "project", "replication")),
        filled=("project",),
        rules=rules(
            pattern("secretId", r"[\w-]{1,255}", "must be 1 to 255 letters, digits, - or _"), _replication
        ),
        refers=_secret_on,
        exists="ALREADY_EXISTS",
    ),
    ResourceType(
        SECRET_VERSION,
        lambda inputs, context: f"gcp/secretVersion/{inputs['secret']}/{_version_number(inputs, context)}",
        _version,
        force_new=frozenset(("secret", "secretData", "isSecretDataBase64")),
        rules=needs("secretData", "a version needs secretData"),
        effects=_count_version,
        numbered=True,
    ),
    ResourceType(
        JOB,
        lambda inputs, _: f"gcp/job/{inputs['project']}/{inputs['region']}/{inputs['name']}",
        _job,
        naming=named(limit=500),
        force_new=frozenset(("name", "project", "region")),
        filled=("project", "region"),
        rules=rules(
            pattern("name", r"[a-zA-Z0-9_-]{1,500}", "must be 1 to 500 letters, digits, - or _"),
            needs("schedule", "a job needs a schedule"),
            pattern("schedule", CRON, "must be five fields of unix-cron, such as * * * * *"),
            needs("httpTarget", "the emulator's jobs have an HTTP target"),
            one_of("region", *SCHEDULER_REGIONS),
            rule("attemptDeadline", _is_attempt, "must be 15s to 1800s"),
        ),
        refers=_job_refers,
        exists="ALREADY_EXISTS",
    ),
    ResourceType(
        LOG_BUCKET,
        lambda inputs, _: f"gcp/logBucket/{_parent(inputs)}/{inputs['location']}/{inputs['bucketId']}",
        _log_bucket,
        force_new=frozenset(("bucketId", "location", "project")),
        rules=rules(
            pattern("bucketId", r"[\w.-]{1,100}", "must be 1 to 100 letters, digits or _-."),
            between("retentionDays", 1, 3650, "days"),
        ),
        hold=_log_bucket_held,
        exists="ALREADY_EXISTS",
    ),
    ResourceType(
        "gcp:logging/projectSink:ProjectSink",
        lambda inputs, _: f"gcp/sink/{_parent(inputs)}/{inputs['name']}",
        _sink,
        naming=Naming("name", "dash", 100),
        force_new=frozenset(("name", "project")),
        filled=("project",),
        rules=pattern("name", r"[\w.-]{1,100}", "must be 1 to 100 letters, digits or _-."),
        refers=_sink_refers,
        exists="ALREADY_EXISTS",
    ),
    ResourceType(
        "gcp:monitoring/alertPolicy:AlertPolicy",
        lambda inputs, context: f"gcp/alertPolicy/{_policy_number(context)}",
        _policy,
        force_new=frozenset(("project",)),
        filled=("project",),
        refers=_monitoring_on,
        numbered=True,
    ),
)
