"""Service accounts and IAM members: one role of one principal on one resource.

A role takes effect after two minutes: cloud.google.com/iam/docs/access-change-propagation ("typically
within 2 minutes, potentially 7 minutes or longer").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emulator.errors import CloudError
from emulator.providers import schema
from emulator.providers.gcp.common import (
    ACCOUNT,
    BUCKET,
    BUCKET_MEMBER,
    FUNCTION,
    FUNCTION_MEMBER,
    PROJECT_MEMBER,
    REPOSITORY,
    REPOSITORY_MEMBER,
    RUN_MEMBER,
    SECRET,
    SECRET_MEMBER,
    SERVICE_MEMBER,
    last,
)
from emulator.providers.gcp.project import need_api, need_project, settings_of
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import pattern, rules
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, at, text

EFFECTIVE_S = 120.0
# The emulated conditions: a prefix of the objects of one bucket; on a project, a prefix of buckets.
BUCKETS = r'resource\.name\.startsWith\("projects/_/buckets/([^/"]+)"\)'
CONDITION = r'resource\.name\.startsWith\("projects/_/buckets/([^/"]+)/objects/([^"]+)"\)'
MEMBER = r"allUsers|allAuthenticatedUsers|(user|group|serviceAccount):[^@\s]+@[^@\s]+|domain:\S+|principal(Set)?://\S+"
ROLE = r"(roles|projects/[^/]+/roles|organizations/[^/]+/roles)/[A-Za-z0-9_.]+"


def _account(inputs: Properties, context: Context) -> Properties:
    email = f"{inputs['accountId']}@{inputs['project']}.iam.gserviceaccount.com"
    name = f"projects/{inputs['project']}/serviceAccounts/{email}"
    return {
        "id": name,
        "name": name,
        "email": email,
        "member": f"serviceAccount:{email}",
        "uniqueId": context.keep("uniqueId", lambda: context.digits(21)),
    }


def need_account(context: Context, reference: str) -> Resource:
    """The service account with this email or full name. Raises CloudError."""
    email = last(reference)
    missing = CloudError("NOT_FOUND", f"Service account {email} does not exist.")
    return context.need(ACCOUNT, "email", email, missing)


def members_of(context: Context, token: str, prop: str, name: str, role: str) -> set[str]:
    """Principals that have `role` in effect on the resource `name`, by members of type `token`."""
    resources = [
        resource for resource in context.all(token) if last(text(resource.inputs, prop)) == last(name)
    ]
    acting = [
        resource
        for resource in resources
        if text(resource.inputs, "role") == role and context.effective(resource)
    ]
    return {text(resource.inputs, "member") for resource in acting}


_CONDITIONS = {BUCKET_MEMBER: CONDITION, PROJECT_MEMBER: BUCKETS}


@dataclass(frozen=True, slots=True)
class Members:
    """Members of one type of resource.

    prop: the input that names the resource. path: the resource's full name, with inputs in it.
    roles: prefix of the roles that such a resource has. on: checks that the resource exists.
    """

    token: str
    prop: str
    path: str
    roles: str
    on: Callable[[Properties, Context], None]

    def id(self, inputs: Properties) -> str:
        full = self.path.format_map({**inputs, self.prop: last(text(inputs, self.prop))})
        title = text(inputs, "condition", "title")
        return f"{full}/{inputs['role']}/{inputs['member']}{title and f'/{title}'}"

    def refers(self, inputs: Properties, context: Context) -> None:
        self.on(inputs, context)
        _permitted(inputs, context)
        kind, _, email = text(inputs, "member").partition(":")
        own = email.endswith(f"@{text(inputs, 'project')}.iam.gserviceaccount.com")
        if kind == "serviceAccount" and (own or email.endswith(".iam.gserviceaccount.com")):
            need_account(context, email)

    def resource_type(self) -> ResourceType:
        known = schema.properties_of(schema.args_class(self.token))
        return ResourceType(
            self.token,
            lambda inputs, _: f"gcp/member/{self.id(inputs)}",
            lambda inputs, context: {
                "id": self.id(inputs),
                "etag": context.keep("etag", lambda: f"BwY{context.hex(8)}="),
            },
            force_new=frozenset(known),
            filled=("project",) if "project" in known else (),
            rules=rules(
                pattern("member", MEMBER, "must be allUsers, user:EMAIL, serviceAccount:EMAIL or alike"),
                pattern("role", ROLE, "must be the full name of a role"),
                pattern(
                    "condition.expression",
                    _CONDITIONS.get(self.token, r"(?!)"),
                    "must be, on a bucket, "
                    'resource.name.startsWith("projects/_/buckets/NAME/objects/PREFIX"), or on a project '
                    'resource.name.startsWith("projects/_/buckets/PREFIX"); the emulated cloud evaluates no '
                    "other condition",
                ),
                pattern(
                    "role",
                    rf"{self.roles}.+|(projects|organizations)/.+",
                    f"must be one that such a resource has ({self.roles.replace(chr(92), '')}...)",
                ),
            ),
            refers=self.refers,
            effective_after_s=EFFECTIVE_S,
        )


def _permitted(inputs: Properties, context: Context) -> None:
    """Domain restricted sharing; the words of
    github.com/GoogleCloudPlatform/genai-for-marketing/issues/153.
    """
    public = text(inputs, "member") in ("allUsers", "allAuthenticatedUsers")
    if public and settings_of(context, text(inputs, "project")).domain_restricted:
        raise CloudError(
            "failedPrecondition",
            "Error 400: One or more users named in the policy do not belong to a permitted customer, perhaps "
            "due to an organization policy.",
        )


def _on_bucket(inputs: Properties, context: Context) -> None:
    name = text(inputs, "bucket")
    missing = CloudError("notFound", f"The specified bucket does not exist: {name}")
    bucket = context.need(BUCKET, "name", name, missing)
    public = text(inputs, "member") in ("allUsers", "allAuthenticatedUsers")
    if public and at(bucket.inputs, "publicAccessPrevention") == "enforced":
        raise CloudError(
            "conditionNotMet",
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access "
            f"prevention is enforced on {name}.",
        )
    if "condition" in inputs and not bucket.inputs.get("uniformBucketLevelAccess"):
        raise CloudError(
            "invalid", f"Conditions need uniform bucket-level access, which {name} has not switched on."
        )


def _on_function(prop: str) -> Callable[[Properties, Context], None]:
    """A check that the function exists; its Cloud Run service has its name."""

    def on(inputs: Properties, context: Context) -> None:
        name, where = last(text(inputs, prop)), text(inputs, "location")
        found = [resource.outputs for resource in context.all(FUNCTION) if resource.outputs["name"] == name]
        if not any(not where or where == text(outputs, "location") for outputs in found):
            said = f"Resource '{name}' of kind 'SERVICE' in region '{where}' does not exist."
            raise CloudError("NOT_FOUND", said)

    return on


def _on_secret(inputs: Properties, context: Context) -> None:
    name = last(text(inputs, "secretId"))
    context.need(SECRET, "secretId", name, CloudError("NOT_FOUND", f"Secret [{name}] not found."))


def _on_project(inputs: Properties, context: Context) -> None:
    """The project's policy is read and written through Cloud Resource Manager:
    github.com/terraform-google-modules/terraform-google-project-factory/issues/717
    """
    need_project(context, text(inputs, "project"))


def _on_repository(inputs: Properties, context: Context) -> None:
    name = last(text(inputs, "repository"))
    missing = CloudError("NOT_FOUND", f"Requested entity was not found: repository {name}")
    context.need(REPOSITORY, "name", name, missing)


def _iam_is_on(inputs: Properties, context: Context) -> None:
    need_api(context, text(inputs, "project"), "iam")


_RUN = "projects/{project}/locations/{location}/services"


def _granted(resource: Resource, context: Context) -> Iterator[str]:
    """The account's role bindings. A policy names a deleted account `deleted:serviceAccount:EMAIL?uid=N`; a
    new account of its name is another one (cloud.google.com/iam/docs/service-accounts-delete-undelete).
    """
    member = f"serviceAccount:{text(resource.outputs, 'email')}"
    for each in context.resources.values():
        if each.key.startswith("gcp/member/") and text(each.inputs, "member") == member:
            yield each.key


RESOURCE_TYPES = (
    ResourceType(
        ACCOUNT,
        lambda inputs, _: f"gcp/serviceAccount/{inputs['project']}/{inputs['accountId']}",
        _account,
        naming=Naming("accountId", "lower-dash", 30),
        force_new=frozenset(("accountId", "project")),
        filled=("project",),
        rules=pattern(
            "accountId",
            r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
            "must be 6 to 30 lower-case letters, digits or hyphens",
        ),
        refers=_iam_is_on,
        parts=_granted,
    ),
    Members(PROJECT_MEMBER, "project", "{project}", "roles/", _on_project).resource_type(),
    Members(BUCKET_MEMBER, "bucket", "b/{bucket}", r"roles/storage\.", _on_bucket).resource_type(),
    Members(
        SECRET_MEMBER,
        "secretId",
        "projects/{project}/secrets/{secretId}",
        r"roles/secretmanager\.",
        _on_secret,
    ).resource_type(),
    Members(
        REPOSITORY_MEMBER,
        "repository",
        "projects/{project}/locations/{location}/repositories/{repository}",
        r"roles/artifactregistry\.",
        _on_repository,
    ).resource_type(),
    Members(SERVICE_MEMBER, "name", f"{_RUN}/{{name}}", r"roles/run\.", _on_function("name")).resource_type(),
    Members(
        RUN_MEMBER, "service", f"v1/{_RUN}/{{service}}", r"roles/run\.", _on_function("service")
    ).resource_type(),
    Members(
        FUNCTION_MEMBER,
        "cloudFunction",
        "projects/{project}/locations/{location}/functions/{cloudFunction}",
        r"roles/cloudfunctions\.",
        _on_function("cloudFunction"),
    ).resource_type(),
)
