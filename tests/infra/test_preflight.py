"""Tests of the preflight of accounts: each problem is one line with a command that solves it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from infra import preflight
from infra.config.model import CLOUDS, Cloud, Settings
from infra.errors import PreflightError
from infra.preflight import aws, azure, gcp, org_policy
from infra.preflight.credentials import CredentialSources, without_credential
from infra.preflight.findings import CloudError, Finding, Report, words
from tests.infra.recorded import settings_for

T = TypeVar("T")
CRM_OFF = (
    "googleapi: Error 403: Cloud Resource Manager API has not been used in project 42 before or it is "
    "disabled. Enable it by visiting https://console.developers.google.com/apis, SERVICE_DISABLED"
)
PLENTY = 1_000_000.0


@pytest.fixture(autouse=True)
def new_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack without an earlier deployment; no engine runs here."""

    def deployed(output: str) -> object:
        return None

    monkeypatch.setattr(preflight.provider_calls, "deployed", deployed)


def answer(value: T | CloudError) -> T:
    if isinstance(value, CloudError):
        raise value
    return value


@dataclass(frozen=True)
class Aws:
    """An AWS account with given answers."""

    caller: tuple[str, str] | CloudError = ("123456789012", "arn:aws:iam::123456789012:user/me")
    enabled: Collection[str] | CloudError = ("eu-west-1", "us-east-1")
    quota: float | CloudError = 1000.0

    def identity(self) -> tuple[str, str]:
        return answer(self.caller)

    def regions(self) -> Collection[str]:
        return answer(self.enabled)

    def concurrency(self, region: str) -> float:
        return answer(self.quota)


@dataclass(frozen=True)
class Azure:
    """An Azure subscription with given answers."""

    caller: tuple[str, str] | CloudError = ("sub-1", "me")
    group: bool | CloudError = False

    def identity(self) -> tuple[str, str]:
        return answer(self.caller)

    def has_group(self, name: str) -> bool:
        assert name == "skyfleet-test-fleet-westeurope"
        return answer(self.group)


@dataclass(frozen=True)
class Gcp:
    """A Google project with given answers."""

    found: str | CloudError = "42"
    quotas: Mapping[str, float | CloudError | None] = field(
        default_factory=dict[str, float | CloudError | None]
    )

    def number(self, project: str) -> str:
        assert project == "test-project"
        return answer(self.found)

    def milli_cpu(self, project: str, region: str) -> float | None:
        return answer(self.quotas.get(region, PLENTY))


def test_suitable_accounts_are_named_without_findings() -> None:
    """The user can check that account, subscription and project are the intended ones."""
    report = Report.of([checked(Aws()), checked(Azure()), checked(Gcp())])
    assert report.findings == ()
    assert report.accounts == {
        "aws": "account 123456789012 as arn:aws:iam::123456789012:user/me",
        "azure": "subscription sub-1 as me",
        "gcp": "project test-project (42)",
    }


def checked(account: Aws | Azure | Gcp, **more: object) -> Report:
    """The report for a stack on all three clouds."""
    settings = settings_for(*CLOUDS, **more)
    match account:
        case Aws():
            return aws.check(settings, account)
        case Azure():
            return azure.check(settings, account)
        case Gcp():
            return gcp.check(settings, account)


@pytest.mark.parametrize(
    ("account", "found", "command"),
    [
        (
            Aws(caller=CloudError("ExpiredToken")),
            "aws: the credential is not accepted: ExpiredToken",
            "aws sso login",
        ),
        (
            Aws(enabled=("us-east-1",)),
            "aws: the region eu-west-1 is not enabled in account 123456789012",
            "aws account enable-region --region-name eu-west-1",
        ),
        (
            Azure(caller=CloudError("no token")),
            "azure: the credential is not accepted: no token",
            "az login",
        ),
        (
            Azure(group=CloudError('Code="SubscriptionNotFound" Message="..."')),
            "azure: there is no subscription sub-1 for this credential",
            "pulumi config set azure-native:subscriptionId ID",
        ),
        (
            Azure(group=CloudError("Status=403 AuthorizationFailed")),
            "azure: this credential may not read subscription sub-1",
            "az role assignment create",
        ),
        (
            Gcp(found=CloudError(CRM_OFF)),
            "gcp: the Cloud Resource Manager API is off in project test-project",
            (
                "gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com "
                "--project test-project"
            ),
        ),
        (
            Gcp(found=CloudError("projects/test-project not found")),
            "gcp: the project test-project is not there or may not be read",
            "gcloud projects list",
        ),
        (
            Gcp(found=CloudError("could not find default credentials")),
            "gcp: the credential is not accepted",
            "gcloud auth application-default login",
        ),
        (
            Gcp(quotas={"europe-west1": 1_000.0}),
            "gcp: Cloud Run may use 1 vCPU in europe-west1",
            "Set maxInstances in skyfleet:clouds.gcp to 1 or fewer",
        ),
    ],
)
def test_a_problem_that_would_fail_the_deployment_is_one_line_with_a_command(
    account: Aws | Azure | Gcp, found: str, command: str
) -> None:
    """Examples are an invalid credential, a wrong account, a disabled API and a small quota."""
    report = checked(account)
    (line,) = report.stops
    assert line.startswith(found)
    assert command in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("account", "found", "command"),
    [
        (
            Aws(quota=10.0),
            "aws: Lambda runs at most 10 requests at once in eu-west-1",
            "aws service-quotas request-service-quota-increase",
        ),
        (
            Aws(quota=CloudError("NoSuchResourceException")),
            "aws: Lambda's quota in eu-west-1 was not told: NoSuchResourceException",
            "aws lambda get-account-settings",
        ),
        (
            Aws(enabled=CloudError("UnauthorizedOperation")),
            "aws: its regions were not told",
            "ec2:DescribeRegions",
        ),
        (
            Gcp(quotas={"europe-west1": CloudError(CRM_OFF)}),
            "gcp: the quota of europe-west1 was not told: the Cloud Quotas API is off",
            "gcloud services enable cloudquotas.googleapis.com",
        ),
        (
            Gcp(quotas={"europe-west1": None}),
            "gcp: Google names no quota of vCPU in europe-west1",
            "gcloud beta quotas info list",
        ),
    ],
)
def test_a_note_does_not_stop_a_deployment(account: Aws | Azure | Gcp, found: str, command: str) -> None:
    """Examples are a low quota, an account without default quotas and a forbidden request."""
    report = checked(account)
    assert report.stops == ()
    (line,) = report.notes
    assert line.startswith(found)
    assert command in line


@pytest.mark.parametrize(
    "said",
    [
        "ServiceUnavailable: the cloud's management API answered 503",
        "googleapi: Error 429: Quota exceeded for requests per minute",
        "ThrottlingException: Rate exceeded",
        "dial tcp: lookup sts.amazonaws.com: no such host",
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
    ],
)
def test_an_unavailable_cloud_does_not_stop_a_deployment(said: str) -> None:
    """It gives no evidence about the account, and the other clouds are deployed."""
    for account in (Aws(caller=CloudError(said)), Azure(group=CloudError(said)), Gcp(found=CloudError(said))):
        report = checked(account)
        assert report.stops == ()
        assert "does not answer now" in report.notes[0]


def test_a_missing_credential_is_not_an_outage_of_the_cloud() -> None:
    """The request for the identity of the machine ends in a timeout."""
    refused = CloudError("no valid credential sources found: ec2imds: GetMetadata, request timed out")
    assert "the credential is not accepted" in checked(Aws(caller=refused)).stops[0]


def test_a_reservation_that_lambda_would_refuse_stops_the_deployment() -> None:
    """Agent and router of a region reserve it each, and 100 must remain unreserved."""
    assert checked(Aws(), aws={"concurrency": 450}).stops == ()
    (line,) = checked(Aws(), aws={"concurrency": 451}).stops
    assert "reserves 902 of the 1000 requests" in line
    own: dict[str, object] = {"clouds": {"aws": {"regions": [{"eu-west-1": {"maxInstances": 900}}]}}}
    assert checked(Aws(), **own).stops == ()
    (line,) = checked(Aws(), **own, aws={"concurrency": 1}).stops
    assert "reserves 901 of the 1000 requests" in line
    (line,) = checked(Aws(quota=10.0), aws={"concurrency": 1}).stops
    assert "aws service-quotas request-service-quota-increase" in line


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def around(home: Path, **environ: str) -> CredentialSources:
    return CredentialSources({}, environ, home, lambda: False)


def test_all_clouds_without_a_credential_are_reported_together(home: Path) -> None:
    """The report comes before the start of a provider, which would stop at the first problem."""
    found = without_credential(CLOUDS, around(home))
    assert list(found) == list(CLOUDS)
    for cloud, command in zip(CLOUDS, ("aws configure", "az login", "gcloud auth"), strict=True):
        assert command in found[cloud].line
        assert str(home) in found[cloud].line


@pytest.mark.parametrize(
    ("cloud", "environ", "file", "key"),
    [
        ("aws", {"AWS_PROFILE": "prod"}, ".aws/credentials", "aws:profile"),
        ("azure", {"ARM_CLIENT_ID": "c"}, ".azure/azureProfile.json", "azure-native:clientId"),
        (
            "gcp",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/k.json"},
            ".config/gcloud/application_default_credentials.json",
            "gcp:credentials",
        ),
    ],
)
def test_credentials_are_searched_where_the_providers_read_them(
    home: Path, cloud: Cloud, environ: dict[str, str], file: str, key: str
) -> None:
    """These are the environment, the vendor's files, the stack config and the identity of a machine."""
    assert without_credential([cloud], around(home, **environ)) == {}
    assert without_credential([cloud], CredentialSources({key: "x"}, {}, home, lambda: False)) == {}
    assert without_credential([cloud], CredentialSources({}, {}, home, lambda: True)) == {}
    (home / file).parent.mkdir(parents=True)
    (home / file).write_text("{}")
    assert without_credential([cloud], around(home)) == {}


def test_a_missing_credential_is_reported_with_the_results_of_other_clouds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud without a credential gets no request."""
    asked: list[str] = []

    def ask(settings: Settings, cloud: Cloud) -> Report:
        asked.append(cloud)
        return Report({}, (Finding(cloud, "wrong", "Mend it"),))

    monkeypatch.setattr(preflight, "ask", ask)
    monkeypatch.setattr(preflight, "metadata_answers", lambda: False)
    environ = {"HOME": str(home), "AWS_PROFILE": "prod"}
    with pytest.raises(PreflightError) as raised:
        preflight.require_accounts(settings_for(*CLOUDS), {}, environ)
    assert asked == ["aws"]
    assert len(raised.value.problems) == 3
    assert "aws: wrong. Mend it." in raised.value.problems


def test_a_preflight_alone_writes_a_report_and_deploys_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report covers the given clouds."""

    def ask(settings: Settings, cloud: Cloud) -> Report:
        return Report({cloud: "account 1"})

    monkeypatch.setattr(preflight, "ask", ask)
    path = home.parent / "report.json"
    environ = {
        "HOME": str(home),
        "AWS_PROFILE": "prod",
        "SKYFLEET_PREFLIGHT_REPORT": str(path),
        "SKYFLEET_PREFLIGHT_CLOUDS": "aws",
    }
    with pytest.raises(preflight.ReportWritten):
        preflight.require_accounts(settings_for(*CLOUDS), {}, environ)
    assert json.loads(path.read_text()) == {"accounts": {"aws": "account 1"}, "stops": [], "notes": []}


def test_a_providers_message_becomes_one_line() -> None:
    """The engine's prefix and the rest of a long message are left out."""
    said = words(
        "invocation of aws:index/x:x returned an error: 1 error occurred:\n\t* reading: AccessDenied.\n\n"
    )
    assert said == "reading: AccessDenied"
    assert len(words("word " * 200)) < 250


@pytest.mark.parametrize(
    ("printed", "restricted"),
    [
        ('{"constraint": "c", "listPolicy": {"allowedValues": ["C0123"]}}', True),
        ('{"listPolicy": {"allValues": "DENY"}}', True),
        ('{"listPolicy": {"allValues": "ALLOW"}}', False),
        ('{"constraint": "c"}', False),
    ],
)
def test_a_domain_restricted_organisation_stops_the_deployment(printed: str, restricted: bool) -> None:
    """Otherwise Google would refuse `allUsers` at the end of the deployment."""
    found = org_policy.check("my-project", lambda command: printed)
    assert (found is not None) == restricted
    if found is not None:
        assert found.stops
        assert "constraints/iam.allowedPolicyMemberDomains" in found.line
        assert "public: false" in found.line


@pytest.mark.parametrize("said", ["No such file or directory: 'gcloud'", "PERMISSION_DENIED"])
def test_an_unreadable_organisation_policy_is_a_note(said: str) -> None:
    """The note has the command that shows the policy."""

    def run(command: Sequence[str]) -> str:
        raise CloudError(said)

    found = org_policy.check("my-project", run)
    assert found is not None
    assert not found.stops
    assert "gcloud resource-manager org-policies describe" in found.line
    with pytest.raises(CloudError):
        org_policy.is_restricted("Listed 0 items.")
