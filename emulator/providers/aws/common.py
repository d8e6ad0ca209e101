"""AWS identifiers and look-ups by them."""

from __future__ import annotations

from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context
from emulator.providers.values import Properties, fields, text

ACCOUNT = "123456789012"  # the account of AWS's own documentation
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/operator"
PARTITION = "aws"

FUNCTION = "aws:lambda/function:Function"
FUNCTION_URL = "aws:lambda/functionUrl:FunctionUrl"
PERMISSION = "aws:lambda/permission:Permission"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE_POLICY_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type's name
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105 - a type's name
SCHEDULE = "aws:scheduler/schedule:Schedule"
SCHEDULE_GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
QUEUE = "aws:sqs/queue:Queue"


def arn(service: str, region: str, rest: str) -> str:
    """`arn:aws:lambda:eu-west-1:123456789012:function:agent`; region is empty for global services."""
    return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{rest}"


def region(inputs: Properties) -> str:
    return text(inputs, "region")


def named(prop: str = "name", limit: int = 64) -> Naming:
    return Naming(prop, "dash", limit)


def tags_all(inputs: Properties, context: Context) -> Properties:
    """Own tags, merged over the provider's default tags."""
    common = fields(context.config.get("defaultTags"), "tags")
    return {"tagsAll": {**common, **fields(inputs, "tags")}}


def function_name(reference: str) -> str:
    """The name in a function's name, ARN or partial ARN."""
    return reference.partition(":function:")[2].partition(":")[0] or reference.partition(":")[0]
