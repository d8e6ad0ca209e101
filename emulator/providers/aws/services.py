"""The services around a function: logs, secrets, schedules, queues, alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emulator.desired.periods import FIELD
from emulator.errors import CloudError
from emulator.providers.aws.common import (
    ACCOUNT,
    LOG_GROUP,
    QUEUE,
    SCHEDULE,
    SCHEDULE_GROUP,
    SECRET,
    SECRET_VERSION,
    arn,
    named,
    region,
    tags_all,
)
from emulator.providers.aws.iam import need_role
from emulator.providers.resource_types import Context, NameHold, ResourceType
from emulator.providers.rules import between, needs, one_of, pattern, rule, rules
from emulator.providers.schema import Failure
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, is_unknown, items, number, text

# docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html; 0: no expiry.
RETENTION = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
DAY_S = 86_400
FORCED_DELETION_S = 5.0
# How long the real providers repeat a creation, in seconds.
SECRET_REPEATED_S, QUEUE_REPEATED_S = 120.0, 90.0
SCHEDULE_REPEATED_S = 120.0  # terraform-provider-aws, internal/service/scheduler/retry.go
SCHEDULE_EXPRESSION = (
    rf"rate\([1-9]\d* (minute|hour|day)s?\)|cron\({FIELD} {FIELD}( \S+){{4}}\)|at\([0-9T:-]+\)"
)


def _log_group(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "name")
    return {
        "id": name,
        "arn": arn("logs", region(inputs), f"log-group:{name}"),
        "retentionInDays": inputs.get("retentionInDays", 0),
        "logGroupClass": inputs.get("logGroupClass", "STANDARD"),
        **tags_all(inputs, context),
    }


def _secret(inputs: Properties, context: Context) -> Properties:
    suffix = context.private.setdefault("suffix", context.hex(6))
    own = arn("secretsmanager", region(inputs), f"secret:{inputs['name']}-{suffix}")
    return {
        "id": own,
        "arn": own,
        "recoveryWindowInDays": inputs.get("recoveryWindowInDays", 30),
        **tags_all(inputs, context),
    }


def _secret_of(inputs: Properties, context: Context) -> Resource:
    wanted = text(inputs, "secretId")
    resource = context.find(SECRET, "arn", wanted) or context.find(SECRET, "name", wanted)
    if resource is None:
        said = "Secrets Manager can't find the specified secret: "
        raise CloudError("ResourceNotFoundException", f"{said}{wanted}")
    return resource


def _secret_version_key(inputs: Properties, context: Context) -> str:
    version = context.private.setdefault("version", context.uuid())
    return f"aws/secretVersion/{inputs['secretId']}/{version}"


def _secret_version(inputs: Properties, context: Context) -> Properties:
    own = text(_secret_of(inputs, context).outputs, "arn")
    version = context.private.setdefault("version", context.uuid())
    return {
        "id": f"{own}|{version}",
        "arn": own,
        "secretArn": own,
        "versionId": version,
        "versionStages": inputs.get("versionStages", ["AWSCURRENT"]),
    }


def _label(inputs: Properties, context: Context) -> None:
    """A new version takes the label AWSCURRENT, and the previous one gets AWSPREVIOUS
    (docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html).
    """
    if context.old is not None or "AWSCURRENT" not in inputs.get("versionStages", ["AWSCURRENT"]):
        return
    for resource in context.all(SECRET_VERSION):
        stages = items(resource.outputs, "versionStages")
        if stages and text(resource.inputs, "secretId") == text(inputs, "secretId"):
            left = ["AWSPREVIOUS"] if "AWSCURRENT" in stages else []
            context.extra.append(replace(resource, outputs={**resource.outputs, "versionStages": left}))


def _one_value(inputs: Properties) -> Iterator[Failure]:
    given = [name for name in ("secretString", "secretBinary", "secretStringWo") if name in inputs]
    if len(given) != 1:
        yield Failure("secretString", "give one of secretString, secretBinary, secretStringWo")


def _secret_hold(resource: Resource) -> NameHold:
    """The name stays taken during the recovery window, and for a moment after a forced deletion.

    Secrets Manager's API_DeleteSecret: "there might be a short delay". The provider repeats the creation for
    two minutes; its source has the two sentences (terraform-provider-aws, service/secretsmanager/secret.go).
    """
    days = number(resource.outputs, "recoveryWindowInDays")
    if days:
        said = (
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
        return NameHold(days * DAY_S, "InvalidRequestException", said, SECRET_REPEATED_S)
    said = "You can't perform this operation on the secret because it was deleted."
    return NameHold(FORCED_DELETION_S, "InvalidRequestException", said, SECRET_REPEATED_S)


def _queue_hold(resource: Resource) -> NameHold:
    """SQS error QueueDeletedRecently; the provider repeats for half its timeout of three minutes
    (terraform-provider-aws, internal/service/sqs/queue.go).
    """
    said = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    return NameHold(60, "AWS.SimpleQueueService.QueueDeletedRecently", said, QUEUE_REPEATED_S)


def _schedule_refers(inputs: Properties, context: Context) -> None:
    group = text(inputs, "groupName") or "default"
    if group != "default":
        refusal = CloudError("ResourceNotFoundException", f"Schedule group {group} does not exist.")
        context.need(SCHEDULE_GROUP, "name", group, refusal)
    name, code = text(inputs, "target", "roleArn"), "ValidationException"
    said = f"The execution role you provide must allow AWS EventBridge Scheduler to assume the role. ({name})"
    need_role(context, name, "scheduler.amazonaws.com", (code, said), SCHEDULE_REPEATED_S)


def _schedule(inputs: Properties, context: Context) -> Properties:
    group = text(inputs, "groupName") or "default"
    path = f"{group}/{inputs['name']}"
    return {
        "id": path,
        "arn": arn("scheduler", region(inputs), f"schedule/{path}"),
        "groupName": group,
        "state": inputs.get("state", "ENABLED"),
        "scheduleExpressionTimezone": inputs.get("scheduleExpressionTimezone", "UTC"),
    }


def _group(inputs: Properties, context: Context) -> Properties:
    now = context.timestamp()
    return {
        "id": inputs["name"],
        "arn": arn("scheduler", region(inputs), f"schedule-group/{inputs['name']}"),
        "state": "ACTIVE",
        "creationDate": context.keep("creationDate", lambda: now),
        "lastModificationDate": now,
        **tags_all(inputs, context),
    }


def _queue(inputs: Properties, context: Context) -> Properties:
    name, where = text(inputs, "name"), region(inputs)
    url = f"https://sqs.{where}.amazonaws.com/{ACCOUNT}/{name}"
    return {"id": url, "url": url, "arn": arn("sqs", where, name), **tags_all(inputs, context)}


def _alarm(inputs: Properties, context: Context) -> Properties:
    own = arn("cloudwatch", region(inputs), f"alarm:{inputs['name']}")
    return {"id": inputs["name"], "arn": own, **tags_all(inputs, context)}


def _targets_exist(inputs: Properties, context: Context) -> None:
    """Refuses a dead-letter queue that does not exist: it would lose events silently."""
    queue = text(inputs, "target", "deadLetterConfig", "arn")
    if queue:
        refusal = CloudError("ValidationException", f"the dead-letter queue {queue} does not exist")
        context.need(QUEUE, "arn", queue, refusal)
    _schedule_refers(inputs, context)


def _metric_rules(inputs: Properties) -> Iterator[Failure]:
    if not (items(inputs, "metricQueries") or is_unknown(inputs.get("metricQueries"))):
        for name in ("metricName", "namespace", "period", "comparisonOperator", "evaluationPeriods"):
            yield from needs(name, "an alarm on one metric needs it")(inputs)


_FORCE = frozenset(("name", "namePrefix", "region"))

RESOURCE_TYPES = (
    ResourceType(
        LOG_GROUP,
        lambda inputs, _: f"aws/logGroup/{region(inputs)}/{inputs['name']}",
        _log_group,
        naming=named(limit=512),
        force_new=_FORCE | {"logGroupClass"},
        filled=("region",),
        rules=rules(
            pattern("name", r"[a-zA-Z0-9_/.#-]{1,512}", "must be 1 to 512 letters, digits or _-/.#"),
            one_of("retentionInDays", *RETENTION),
        ),
        exists="ResourceAlreadyExistsException",
    ),
    ResourceType(
        SECRET,
        lambda inputs, _: f"aws/secret/{region(inputs)}/{inputs['name']}",
        _secret,
        naming=named(limit=512),
        force_new=_FORCE,
        filled=("region",),
        rules=rules(
            pattern("name", r"[\w/+=.@-]{1,512}", "must be 1 to 512 letters, digits or /_+=.@-"),
            rule("recoveryWindowInDays", lambda days: days == 0 or 7 <= days <= 30, "must be 0, or 7 to 30"),
        ),
        exists="ResourceExistsException",
        hold=_secret_hold,
    ),
    ResourceType(
        SECRET_VERSION,
        _secret_version_key,
        _secret_version,
        force_new=frozenset(("secretId", "secretString", "secretBinary", "region")),
        filled=("region",),
        rules=_one_value,
        effects=_label,
        numbered=True,
    ),
    ResourceType(
        SCHEDULE,
        lambda inputs, _: (
            f"aws/schedule/{region(inputs)}/{text(inputs, 'groupName') or 'default'}/{inputs['name']}"
        ),
        _schedule,
        naming=named(),
        force_new=_FORCE | {"groupName"},
        filled=("region",),
        rules=rules(
            pattern("name", r"[\w.-]{1,64}", "must be 1 to 64 letters, digits or _-."),
            pattern("scheduleExpression", SCHEDULE_EXPRESSION, "must be rate(...), cron(...) or at(...)"),
            one_of("flexibleTimeWindow.mode", "OFF", "FLEXIBLE"),
            one_of("state", "ENABLED", "DISABLED"),
            between("target.retryPolicy.maximumRetryAttempts", 0, 185),
            between("target.retryPolicy.maximumEventAgeInSeconds", 60, 86400, "seconds"),
        ),
        refers=_targets_exist,
        exists="ConflictException",
    ),
    ResourceType(
        SCHEDULE_GROUP,
        lambda inputs, _: f"aws/scheduleGroup/{region(inputs)}/{inputs['name']}",
        _group,
        naming=named(),
        force_new=_FORCE,
        filled=("region",),
        exists="ConflictException",
    ),
    ResourceType(
        QUEUE,
        lambda inputs, _: f"aws/queue/{region(inputs)}/{inputs['name']}",
        _queue,
        naming=named(limit=80),
        force_new=_FORCE | {"fifoQueue"},
        filled=("region",),
        rules=rules(
            pattern("name", r"[\w-]{1,80}(\.fifo)?", "must be 1 to 80 letters, digits, - or _"),
            between("messageRetentionSeconds", 60, 1209600, "seconds"),
            between("visibilityTimeoutSeconds", 0, 43200, "seconds"),
            between("delaySeconds", 0, 900, "seconds"),
        ),
        exists="QueueAlreadyExists",
        hold=_queue_hold,
    ),
    ResourceType(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        lambda inputs, _: f"aws/alarm/{region(inputs)}/{inputs['name']}",
        _alarm,
        naming=named(limit=255),
        force_new=_FORCE,
        filled=("region",),
        rules=_metric_rules,
        exists="AlreadyExists",
    ),
)
