"""Lambda: functions, their public URLs and permissions, aliases, settings of asynchronous calls.

Limits: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from emulator.errors import CloudError, NotYetReady
from emulator.providers import addresses, schema
from emulator.providers.aws.common import (
    BUCKET,
    FUNCTION,
    FUNCTION_URL,
    LOG_GROUP,
    OBJECT,
    PERMISSION,
    ROLE,
    arn,
    function_name,
    named,
    region,
    tags_all,
)
from emulator.providers.aws.concurrency import need_unreserved
from emulator.providers.aws.iam import allows, need_role
from emulator.providers.aws.regions import need_function_urls, need_layer
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import between, one_of, pattern, rule, rules
from emulator.providers.schema import Failure
from emulator.providers.storage import assets, objects
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, fields, has_unknown, is_unknown, items, number, text

# Runtimes that accept new functions and that the emulator can run.
PYTHONS = tuple(f"python3.{minor}" for minor in (10, 11, 12, 13, 14))
# 50 MB hold for a direct upload; from a bucket only the unpacked size counts (API_AccountLimit).
ZIPPED_MB, UNZIPPED_MB = 50, 250
ENVIRONMENT_BYTES = 4096
MOST_LAYERS = 5
PROVIDER_REPEATS_S = 300.0
# How long an update is in progress; the provider polls for its end every five seconds.
UPDATE_S = 5.0
# Variables that Lambda sets itself and refuses to have set.
RESERVED = {
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
}
# The only layer that the emulator provides: the AWS Lambda Web Adapter (its README).
WEB_ADAPTER = r"arn:aws:lambda:[a-z0-9-]+:753240598075:layer:LambdaAdapterLayer(X86|Arm64):\d+"


def _environment_rules(inputs: Properties) -> Iterator[Failure]:
    path, variables = "environment.variables", fields(inputs, "environment", "variables")
    reserved = sorted(RESERVED & variables.keys())
    if reserved:
        yield Failure(path, f"reserved keys cannot be set: {', '.join(reserved)}")
    for name in variables:
        if not name[:1].isalpha() or len(name) < 2 or not name.replace("_", "").isalnum():
            yield Failure(path, f"{name!r} is no variable's name ([a-zA-Z][a-zA-Z0-9_]+)")
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if not has_unknown(variables) and size > ENVIRONMENT_BYTES:
        yield Failure(path, f"all variables together are {size} bytes, Lambda's limit is {ENVIRONMENT_BYTES}")


def _code_rules(inputs: Properties) -> Iterator[Failure]:
    given = [name for name in ("code", "s3Bucket", "imageUri") if inputs.get(name) is not None]
    if len(given) != 1:
        found = ", ".join(given) or "none"
        yield Failure("code", f"give one of code, s3Bucket with s3Key, imageUri; got {found}")
    if "imageUri" in given or text(inputs, "packageType") == "Image":
        yield Failure("imageUri", "the emulator runs zip packages only")
    if "s3Bucket" in given and inputs.get("s3Key") is None:
        yield Failure("s3Key", "s3Bucket needs s3Key")
    for name in ("runtime", "handler"):
        if inputs.get(name) is None:
            yield Failure(name, f"{name} is mandatory for a function from a zip package")


def _layer_rules(inputs: Properties) -> Iterator[Failure]:
    layers, where = items(inputs, "layers"), region(inputs)
    if len(layers) > MOST_LAYERS:
        yield Failure("layers", f"{len(layers)} layers, Lambda's limit is {MOST_LAYERS}")
    for index, layer in enumerate(layers):
        known = pattern("layer", WEB_ADAPTER, "the emulator has only the layer of the Lambda Web Adapter")
        yield from (Failure(f"layers[{index}]", f.reason) for f in known({"layer": layer}))
        if not is_unknown(layer) and where and f":lambda:{where}:" not in str(layer):
            yield Failure(f"layers[{index}]", f"a layer must be in the function's region {where}")


def _refers(inputs: Properties, context: Context) -> None:
    """Checks role, layers and concurrency. The provider repeats a refusal that ends by itself.

    terraform-provider-aws, internal/service/lambda/function.go `retryFunctionOp`: five minutes, for a role
    that Lambda cannot assume and for a function with an update in progress.
    """
    _not_updating(context)
    name, code = text(inputs, "role"), "InvalidParameterValueException"
    refusal = f"The role defined for the function cannot be assumed by Lambda. ({name})"
    need_role(context, name, "lambda.amazonaws.com", (code, refusal), PROVIDER_REPEATS_S)
    for layer in items(inputs, "layers"):
        need_layer(str(layer), region(inputs))
    need_unreserved(inputs, context)


def _not_updating(context: Context) -> None:
    """Refuses a second update while one is in progress
    (docs.aws.amazon.com/lambda/latest/dg/functions-states.html; the sentence:
    github.com/claudiajs/claudia/issues/226).
    """
    old = context.old
    if old is not None and context.machine.clock() < number(old.private, "updatingUntil"):
        raise NotYetReady(
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress for resource: "
            f"{old.outputs['arn']}",
            PROVIDER_REPEATS_S,
        )


def _take_code(inputs: Properties, context: Context) -> None:
    """Copies the package: a later change of the object does not change the function."""
    if "code" in inputs:
        target = context.machine.code / f".direct-{context.hex(12)}.zip"
        written = assets.write_asset(inputs["code"], context.machine.program_folder, target, context.undo)
        context.undo.commit.append(lambda: target.unlink(missing_ok=True))
        sha256, size, zipped = written.sha256, written.size, ZIPPED_MB
    else:
        target, sha256, size = _from_s3(text(inputs, "s3Bucket"), text(inputs, "s3Key"), context)
        zipped = UNZIPPED_MB
    objects.keep_package(target, sha256, context, (zipped, UNZIPPED_MB))
    context.private["size"] = size
    context.private["updatingUntil"] = context.machine.clock() + context.machine.scaled(UPDATE_S)
    context.private["version"] = int(context.private.get("version", 0)) + bool(inputs.get("publish"))


def _from_s3(bucket: str, key: str, context: Context) -> tuple[Path, str, int]:
    said = "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}"
    code = "InvalidParameterValueException"
    no_bucket = CloudError(code, said.format("NoSuchBucket", f"no bucket {bucket}"))
    context.need(BUCKET, "id", bucket, no_bucket)
    no_key = CloudError(code, said.format("NoSuchKey", f"no object {key} in {bucket}"))
    resource = context.need(OBJECT, "id", f"{bucket}/{key}", no_key)
    if not objects.object_alive(resource, context.machine):
        raise no_key
    return (
        objects.object_file(resource, context.machine),
        resource.private["sha256"],
        int(resource.private["size"]),
    )


def _function(inputs: Properties, context: Context) -> Properties:
    name, where = text(inputs, "name"), region(inputs)
    own = arn("lambda", where, f"function:{name}")
    version = str(context.private["version"]) if inputs.get("publish") else "$LATEST"
    invoke = f"arn:aws:apigateway:{where}:lambda:path/2015-03-31/functions/{own}"
    digest = assets.base64_of(context.private["package"])
    return {
        "id": name,
        "arn": own,
        "qualifiedArn": f"{own}:{version}",
        "invokeArn": f"{invoke}/invocations",
        "qualifiedInvokeArn": f"{invoke}:{version}/invocations",
        "responseStreamingInvokeArn": f"{invoke}/response-streaming-invocations",
        "version": version,
        "lastModified": context.timestamp(),
        "codeSha256": digest,
        "sourceCodeHash": inputs.get("sourceCodeHash", digest),
        "sourceCodeSize": context.private["size"],
        "memorySize": inputs.get("memorySize", 128),
        "timeout": inputs.get("timeout", 3),
        "packageType": "Zip",
        "architectures": inputs.get("architectures", ["x86_64"]),
        "ephemeralStorage": inputs.get("ephemeralStorage", {"size": 512}),
        "tracingConfig": inputs.get("tracingConfig", {"mode": "PassThrough"}),
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{name}"}
        | fields(inputs, "loggingConfig"),
        "reservedConcurrentExecutions": inputs.get("reservedConcurrentExecutions", -1),
        "publish": inputs.get("publish", False),
        **tags_all(inputs, context),
    }


def function_key(inputs: Properties, prop: str) -> str:
    return f"aws/function/{region(inputs)}/{function_name(text(inputs, prop))}"


def _function_exists(prop: str, inputs: Properties, context: Context) -> Resource:
    resource = context.resources.get(function_key(inputs, prop))
    if resource is None:
        missing = arn("lambda", region(inputs), f"function:{function_name(text(inputs, prop))}")
        raise CloudError("ResourceNotFoundException", f"Function not found: {missing}")
    return resource


def _url(inputs: Properties, context: Context) -> Properties:
    resource = _function_exists("functionName", inputs, context)
    url_id = str(context.keep("urlId", lambda: addresses.spelled(context.hex(32), 32)))
    host = addresses.lambda_url(url_id, region(inputs))
    return {
        "id": resource.id,
        "functionArn": resource.outputs["arn"],
        "functionUrl": f"http://{host}:{context.port()}/",
        "urlId": url_id,
        "invokeMode": inputs.get("invokeMode", "BUFFERED"),
    }


def _permission_rules(inputs: Properties) -> Iterator[Failure]:
    yield from pattern("action", r"lambda:[A-Za-z]+|lambda:\*", "must be an action of lambda")(inputs)
    if inputs.get("functionUrlAuthType") and text(inputs, "action") == "lambda:InvokeFunction":
        yield Failure("functionUrlAuthType", "only goes with the action lambda:InvokeFunctionUrl")


def _alias(inputs: Properties, context: Context) -> Properties:
    resource = _function_exists("functionName", inputs, context)
    version = text(inputs, "functionVersion")
    published = int(resource.private.get("version", 0))
    if version != "$LATEST" and not (version.isdigit() and 1 <= int(version) <= published):
        raise CloudError(
            "ResourceNotFoundException", f"Function not found: {resource.outputs['arn']}:{version}"
        )
    own = f"{resource.outputs['arn']}:{inputs['name']}"
    invoke = f"arn:aws:apigateway:{region(inputs)}:lambda:path/2015-03-31/functions/{own}/invocations"
    return {"id": own, "arn": own, "invokeArn": invoke}


def _need(prop: str) -> Callable[[Properties, Context], None]:
    """A check that the function named by `prop` exists."""

    def refers(inputs: Properties, context: Context) -> None:
        _function_exists(prop, inputs, context)

    return refers


def _url_refers(inputs: Properties, context: Context) -> None:
    _function_exists("functionName", inputs, context)
    need_function_urls(region(inputs))


def _leave_logs(resource: Resource, context: Context) -> None:
    """Leaves the log group that Lambda creates at the first call, unless the program created it. It stays
    with its content (github.com/aws/aws-cdk/pull/21820).
    """
    group = text(resource.outputs, "loggingConfig", "logGroup")
    role = context.find(ROLE, "arn", text(resource.inputs, "role"))
    made = any(text(each.inputs, "name") == group for each in context.all(LOG_GROUP))
    if role is not None and not made and allows(role, "logs:CreateLogGroup", context.resources.values()):
        where = region(resource.outputs)
        context.leave(
            f"aws/logGroup/{where}/{group}",
            f"log group {group} in {where}, made by Lambda, kept for ever",
            costs="0.03 USD per GB and month",
        )


def _parts(resource: Resource, context: Context) -> Iterator[str]:
    """Its URL, permissions, aliases and asynchronous settings
    (docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction; hashicorp/terraform-provider-aws,
    internal/service/lambda: each read of one then answers ResourceNotFoundException).
    """
    return (key for key in context.resources if key.startswith(f"{resource.key}/"))


_NAMES = pattern("name", r"[a-zA-Z0-9_-]{1,64}", "must be 1 to 64 letters, digits, - or _")

RESOURCE_TYPES = (
    ResourceType(
        FUNCTION,
        lambda inputs, _: function_key(inputs, "name"),
        _function,
        volatile=(
            "lastModified",
            "version",
            "qualifiedArn",
            "codeSha256",
            "sourceCodeHash",
            "sourceCodeSize",
        ),
        naming=named(),
        force_new=frozenset(("name", "packageType", "region")),
        filled=("region",),
        rules=rules(
            _NAMES,
            _code_rules,
            _environment_rules,
            _layer_rules,
            one_of("runtime", *PYTHONS),
            between("memorySize", 128, 10240, "MB"),
            between("timeout", 1, 900, "seconds"),
            rule("reservedConcurrentExecutions", lambda value: value >= -1, "must be -1 or more"),
            between("ephemeralStorage.size", 512, 10240, "MB"),
            rule(
                "architectures",
                lambda value: value == ["x86_64"],
                "the emulator's machine is an x86_64: must be ['x86_64']",
            ),
        ),
        refers=_refers,
        effects=_take_code,
        on_delete=_leave_logs,
        parts=_parts,
        exists="ResourceConflictException",
    ),
    ResourceType(
        FUNCTION_URL,
        lambda inputs, _: f"{function_key(inputs, 'functionName')}/url/{text(inputs, 'qualifier')}",
        _url,
        force_new=frozenset(("functionName", "qualifier", "region")),
        filled=("region",),
        rules=rules(
            one_of("authorizationType", "NONE", "AWS_IAM"),
            one_of("invokeMode", "BUFFERED", "RESPONSE_STREAM"),
        ),
        refers=_url_refers,
        exists="ResourceConflictException",
    ),
    ResourceType(
        PERMISSION,
        lambda inputs, _: f"{function_key(inputs, 'function')}/permission/{inputs['statementId']}",
        lambda inputs, _: {"id": inputs["statementId"]},
        naming=Naming("statementId", "dash", 100),
        force_new=frozenset(schema.properties_of(schema.args_class(PERMISSION))),
        filled=("region",),
        rules=rules(
            _permission_rules,
            pattern("statementId", r"[a-zA-Z0-9_-]{1,100}", "must be 1 to 100 letters, digits, - or _"),
        ),
        refers=_need("function"),
        exists="ResourceConflictException",
    ),
    ResourceType(
        "aws:lambda/alias:Alias",
        lambda inputs, _: f"{function_key(inputs, 'functionName')}/alias/{inputs['name']}",
        _alias,
        naming=named(limit=128),
        force_new=frozenset(("functionName", "name", "region")),
        filled=("region",),
        exists="ResourceConflictException",
    ),
    ResourceType(
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        lambda inputs, _: f"{function_key(inputs, 'functionName')}/async/{text(inputs, 'qualifier')}",
        lambda inputs, _: {"id": inputs["functionName"]},
        force_new=frozenset(("functionName", "qualifier", "region")),
        filled=("region",),
        rules=rules(
            between("maximumRetryAttempts", 0, 2),
            between("maximumEventAgeInSeconds", 60, 21600, "seconds"),
        ),
        refers=_need("functionName"),
        exists="ResourceConflictException",
    ),
)
