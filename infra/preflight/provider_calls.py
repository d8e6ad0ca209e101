"""The questions of a preflight, put to the clouds' own Pulumi providers.

Rules
- A provider has the credential, region and project of the deployment. On the emulator's stacks the emulator
  answers.
- One question is one call of an SDK. `infra.preflight.aws`, `azure` and `gcp` decide what an answer means.
- A provider that does not accept its configuration ends the deployment by itself, in its own words.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import cast

from infra.preflight import aws as aws_checks
from infra.preflight import gcp as gcp_checks
from infra.preflight.findings import CloudError, words


@contextmanager
def cloud_errors() -> Generator[None]:
    """The SDKs raise bare Exceptions with the provider's words."""
    try:
        yield
    except Exception as error:
        raise CloudError(words(str(error)) or type(error).__name__) from error


class Aws:
    """An account (`infra.preflight.aws.Account`)."""

    def identity(self) -> tuple[str, str]:
        import pulumi_aws as aws

        with cloud_errors():
            caller = aws.get_caller_identity()
        return caller.account_id, caller.arn

    def regions(self) -> Collection[str]:
        import pulumi_aws as aws

        with cloud_errors():
            return aws.get_regions().names

    def concurrency(self, region: str) -> float:
        import pulumi_aws as aws

        with cloud_errors():
            return aws.servicequotas.get_service_quota(
                service_code=aws_checks.SERVICE, quota_code=aws_checks.QUOTA, region=region
            ).value


class Azure:
    """A subscription (`infra.preflight.azure.Subscription`)."""

    def identity(self) -> tuple[str, str]:
        from pulumi_azure_native import authorization

        with cloud_errors():
            client = authorization.get_client_config()
        return client.subscription_id, client.object_id

    def has_group(self, name: str) -> bool:
        from pulumi_azure_native import resources

        try:
            with cloud_errors():
                resources.get_resource_group(resource_group_name=name)
        except CloudError as refused:
            if "ResourceGroupNotFound" in str(refused):
                return False
            raise
        return True


class Gcp:
    """A project (`infra.preflight.gcp.Project`)."""

    def number(self, project: str) -> str:
        import pulumi_gcp as gcp

        with cloud_errors():
            return gcp.organizations.get_project(project_id=project).number

    def milli_cpu(self, project: str, region: str) -> float | None:
        """Of the entries that count for a region the most special one comes first."""
        import pulumi_gcp as gcp

        with cloud_errors():
            told = gcp.cloudquota.get_s_quota_info(
                parent=f"projects/{project}", service=gcp_checks.QUOTA_SERVICE, quota_id=gcp_checks.QUOTA
            )
        fit = [one for one in told.dimensions_infos if region in one.applicable_locations]
        fit.sort(key=lambda one: one.dimensions.get("region") != region)
        return next((float(detail.value) for one in fit for detail in one.details), None)


def deployed(output: str) -> object:
    """An output of this stack as the last deployment left it; None if there was none.

    The engine itself answers (builtin provider of pulumi/pulumi, pkg/resource/deploy/builtins.go,
    `readStackOutputs`), in a preview too, and no resource is registered.
    """
    import pulumi

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        with cloud_errors():
            found: object = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value
    except CloudError as error:
        pulumi.log.warn(
            f"the last deployment's outputs cannot be read, so a changed name is not noticed: {error}"
        )
        return None
    return _field(_field(found, "outputs"), output)


def _field(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def warn(line: str) -> None:
    """Show a line in a preview and in a deployment."""
    import pulumi

    pulumi.log.warn(line)
