"""Amazon: Lambda behind a function URL that streams, EventBridge Scheduler, Secrets Manager, S3.

Same skeleton as azure.py and gcp.py: identity, package, function, public URL, schedule, register_outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra.clouds.aws.iam import assumed_by, only_for, policy, statement
from infra.clouds.aws.region import (
    CONTROL_OBJECT,
    HEALTH_PREFIX,
    REPLIES_PREFIX,
    SECRET_RECOVERY_DAYS,
    RegionBase,
)
from infra.clouds.aws.web_adapter import layer
from infra.component import LOG_RETENTION_DAYS, FunctionEndpoint, FunctionSpec, made_of, ready
from infra.config.model import AwsSettings
from infra.names import regional_name
from skyfleet import contract

RUNTIME = "python3.13"
ARCHITECTURE = "x86_64"  # the platform the packages' wheels are chosen for
# Lambda's own Python runtime cannot stream; the AWS Lambda Web Adapter layer runs any web server and does.
WEB_ADAPTER: Mapping[str, str] = {
    "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
    "AWS_LWA_INVOKE_MODE": "response_stream",
    "AWS_LWA_PORT": "8080",
    # Any answer below 500 will do. This path answers 4xx without work in every role; /health would use up the
    # one reply that says `cold`.
    "AWS_LWA_READINESS_CHECK_PATH": "/_skyfleet/health",
    "AWS_LWA_PASS_THROUGH_PATH": "/events",
}
# To Lambda a reply of any status is a success; a run of a checker that failed is none (the adapter's README).
FAILED_RUNS = {"AWS_LWA_ERROR_STATUS_CODES": "500-599"}
# The next minute's run is a better second try than a late first one.
SCHEDULE_RETRIES, SCHEDULE_AGE_S = 1, 60
DEAD_LETTER_S = 14 * 24 * 3600  # the longest SQS keeps a message


class Function(pulumi.ComponentResource):
    """One Lambda function with all it needs and nothing more."""

    def __init__(self, spec: FunctionSpec, shared: RegionBase, amazon: AwsSettings) -> None:
        self.name = f"{shared.fleet.prefix}-{spec.role}"
        self._resource = f"aws-{shared.place.region}-{spec.role}"
        super().__init__("skyfleet:aws:Function", self._resource, opts=pulumi.ResourceOptions(parent=shared))
        self.spec, self.shared, self.amazon = spec, shared, amazon
        self.region = shared.place.region
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = shared.fleet.labels(spec.role)

        logs = self._logs()
        secret, stored = self._secret()
        role, grants = self._identity(logs, secret)
        package = self._package()
        function = self._function(package, role, secret, [logs, grants, stored])
        url = self._public_url(function) if spec.public else pulumi.Output.from_input("")
        if spec.schedule:
            self._schedule(function)
        self._alarm(function)
        self.endpoint = FunctionEndpoint("aws", self.region, self.name, url)
        self.register_outputs({"url": url})

    def _logs(self) -> aws.cloudwatch.LogGroup:
        """Before the function, which would make one that keeps everything for ever."""
        return aws.cloudwatch.LogGroup(
            self._resource,
            name=f"/aws/lambda/{self.name}",
            retention_in_days=LOG_RETENTION_DAYS,
            region=self.region,
            tags=self._tags,
            opts=self._child,
        )

    def _secret(self) -> tuple[aws.secretsmanager.Secret, aws.secretsmanager.SecretVersion]:
        """All secrets of this function in one, by variable: a start costs one request, and none of them is in
        the configuration, which every read-only role of an account may see."""
        fleet, role = self.shared.fleet, self.spec.role
        secret = aws.secretsmanager.Secret(
            self._resource,
            name=fleet.suffix.apply(lambda suffix: f"{fleet.prefix}/{role}-{suffix}"),
            description=f"What the {role} of {fleet.prefix} in {self.region} must keep to itself",
            recovery_window_in_days=SECRET_RECOVERY_DAYS,
            region=self.region,
            tags=self._tags,
            opts=self._child,
        )
        stored = aws.secretsmanager.SecretVersion(
            self._resource,
            secret_id=secret.arn,
            secret_string=pulumi.Output.secret(pulumi.Output.json_dumps(dict(self.spec.secrets))),
            region=self.region,
            opts=self._child,
        )
        return secret, stored

    def _identity(
        self, logs: aws.cloudwatch.LogGroup, secret: aws.secretsmanager.Secret
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            self._resource,
            name=regional_name(self.shared.fleet.prefix, self.spec.role, self.region, 64),
            assume_role_policy=assumed_by("lambda.amazonaws.com"),
            tags=self._tags,
            opts=self._child,
        )
        allowed = [
            logs.arn.apply(
                lambda arn: statement("Allow", ["logs:CreateLogStream", "logs:PutLogEvents"], [f"{arn}:*"])
            ),
            secret.arn.apply(lambda arn: statement("Allow", ["secretsmanager:GetSecretValue"], [arn])),
        ]
        allowed += self._may_store()
        grants = aws.iam.RolePolicy(self._resource, role=role.name, policy=policy(*allowed), opts=self._child)
        return role, grants

    def _may_store(self) -> list[pulumi.Output[dict[str, object]]]:
        """Its own part of the bucket. A conditional put needs no more than the put and, to replace what has
        not changed, the get.
        """
        if self.spec.stores is None:
            return []
        objects = (
            [f"{HEALTH_PREFIX}*", CONTROL_OBJECT] if self.spec.stores == "health" else [f"{REPLIES_PREFIX}*"]
        )
        arn = self.shared.bucket.arn
        allowed = [
            arn.apply(
                lambda arn: statement(
                    "Allow", ["s3:GetObject", "s3:PutObject"], [f"{arn}/{each}" for each in objects]
                )
            )
        ]
        if self.spec.stores == "health":
            # S3 answers 404 for a missing object only to a role that may list. A read has no prefix, so the
            # grant cannot have a condition on it.
            allowed.append(arn.apply(lambda arn: statement("Allow", ["s3:ListBucket"], [arn])))
        return allowed

    def _package(self) -> aws.s3.BucketObjectv2:
        """One object per content: its name never changes meaning, so what is there need not be sent again."""
        package = self.spec.package
        return aws.s3.BucketObjectv2(
            f"{self._resource}-{package.inputs}",
            bucket=self.shared.bucket.bucket,
            key=f"packages/{self.spec.role}/{package.inputs}.zip",
            source=pulumi.FileAsset(str(package.path)),
            content_type="application/zip",
            region=self.region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["source"]),
        )

    def _function(
        self,
        package: aws.s3.BucketObjectv2,
        role: aws.iam.Role,
        secret: aws.secretsmanager.Secret,
        before: Sequence[pulumi.Resource],
    ) -> aws.lambda_.Function:
        own: dict[str, pulumi.Input[str]] = {**WEB_ADAPTER, contract.SECRET_ARN: secret.arn}
        if self.spec.stores:
            own[contract.BUCKET] = self.shared.bucket.bucket.apply(lambda bucket: f"s3://{bucket}")
        if self.spec.schedule:
            own |= FAILED_RUNS
        return aws.lambda_.Function(
            self._resource,
            name=self.name,
            role=role.arn,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            handler="run.sh",
            layers=[layer(self.region)],
            s3_bucket=package.bucket,
            s3_key=package.key,
            memory_size=self.spec.memory_mb,
            timeout=self.spec.timeout_s,
            reserved_concurrent_executions=self._reserved(),
            environment=aws.lambda_.FunctionEnvironmentArgs(variables={**self.spec.environment, **own}),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(
                log_format="JSON", log_group=f"/aws/lambda/{self.name}"
            ),
            region=self.region,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )

    def _reserved(self) -> int | None:
        """What a flood of requests, signed or not, may take of the account's quota; a checker has no URL.

        An instance runs one request at a time, so this is also the most instances.
        """
        if not self.spec.public:
            return None
        own = self.spec.max_instances
        return self.amazon.concurrency if own is None else own

    def _public_url(self, function: aws.lambda_.Function) -> pulumi.Output[str]:
        """The URL is public: agents check the HMAC signature of a request, routers its API key.

        A new function URL needs both permissions; with one of them AWS answers 403.
        """
        url = aws.lambda_.FunctionUrl(
            self._resource,
            function_name=function.name,
            authorization_type="NONE",
            invoke_mode="RESPONSE_STREAM",
            region=self.region,
            opts=self._child,
        )
        by_url = aws.lambda_.Permission(
            f"{self._resource}-url",
            action="lambda:InvokeFunctionUrl",
            function=function.name,
            principal="*",
            function_url_auth_type="NONE",
            region=self.region,
            opts=self._child,
        )
        invoke = aws.lambda_.Permission(
            f"{self._resource}-invoke",
            action="lambda:InvokeFunction",
            function=function.name,
            principal="*",
            invoked_via_function_url=True,
            region=self.region,
            opts=self._child,
        )
        return ready(url.function_url, [by_url.id, invoke.id])

    def _schedule(self, function: aws.lambda_.Function) -> None:
        resource = f"{self._resource}-schedule"
        lost = aws.sqs.Queue(
            resource,
            name=f"{self.name}-lost",
            message_retention_seconds=DEAD_LETTER_S,
            sqs_managed_sse_enabled=True,
            region=self.region,
            tags=self._tags,
            opts=self._child,
        )
        role, grants = self._scheduler(resource, function, lost)
        aws.lambda_.FunctionEventInvokeConfig(
            resource,
            function_name=function.name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=SCHEDULE_AGE_S,
            region=self.region,
            opts=self._child,
        )
        aws.scheduler.Schedule(
            resource,
            name=self.name,
            description="Probes every agent once a minute",
            schedule_expression="rate(1 minute)",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(
                arn=function.arn,
                role_arn=role.arn,
                dead_letter_config=aws.scheduler.ScheduleTargetDeadLetterConfigArgs(arn=lost.arn),
                retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                    maximum_event_age_in_seconds=SCHEDULE_AGE_S, maximum_retry_attempts=SCHEDULE_RETRIES
                ),
            ),
            region=self.region,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[grants]),
        )

    def _scheduler(
        self, resource: str, function: aws.lambda_.Function, lost: aws.sqs.Queue
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """The scheduler's role: it may invoke this function and store events that it could not deliver."""
        role = aws.iam.Role(
            resource,
            name=regional_name(self.shared.fleet.prefix, "scheduler", self.region, 64),
            assume_role_policy=made_of(function.arn, _schedules_of_its_account),
            tags=self._tags,
            opts=self._child,
        )
        grants = aws.iam.RolePolicy(
            resource,
            role=role.name,
            policy=policy(
                function.arn.apply(lambda arn: statement("Allow", ["lambda:InvokeFunction"], [arn])),
                lost.arn.apply(lambda arn: statement("Allow", ["sqs:SendMessage"], [arn])),
            ),
            opts=self._child,
        )
        return role, grants

    def _alarm(self, function: aws.lambda_.Function) -> None:
        """To Lambda a 500 of the web server behind the adapter is a successful invocation; the URL counts it,
        and failed invocations too (lambda/latest/dg/urls-monitoring.html).
        """
        metric, what = ("Url5xxCount", "Replies of 5xx") if self.spec.public else ("Errors", "Failed runs")
        aws.cloudwatch.MetricAlarm(
            self._resource,
            name=f"{self.name}-errors",
            alarm_description=f"{what} of {self.name}",
            namespace="AWS/Lambda",
            metric_name=metric,
            dimensions={"FunctionName": function.name},
            statistic="Sum",
            period=300,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            treat_missing_data="notBreaching",
            region=self.region,
            tags=self._tags,
            opts=self._child,
        )


def _schedules_of_its_account(function_arn: str) -> str:
    """The trust of a scheduler's role: schedules of the function's own account alone.

    AWS recommends a condition on the ARN of the schedule's group besides (scheduler/latest/UserGuide,
    cross-service-confused-deputy-prevention.html), and its CDK writes one (aws-cdk-lib/aws-scheduler-targets,
    target.ts). Three public projects saw their schedules refused with it; the account alone is always taken.
    """
    return assumed_by("scheduler.amazonaws.com", only_for(function_arn.split(":")[4]))
