"""One Pulumi provider in the engine's gRPC protocol.

It only translates: messages become plain values, `operations` acts, results and refusals become messages.
Each
provider instance of a program (`aws.Provider("eu", region=...)`) has its own connection, so the connection's
peer identifies its configuration. It does not accept wrapped secrets: the engine unwraps them and marks
outputs
of the same name as secret again. The SDKs mark those that are secret from the start (RandomPassword.result).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from emulator.errors import CloudError, EmulatorError
from emulator.providers import plan, schema
from emulator.providers.operations import Operations, Subject
from emulator.providers.registry import cloud, invoke_of, resource_type_of
from emulator.providers.resource_types import Context
from emulator.providers.values import Json, Properties, from_struct, program_inputs, to_struct

_INTERNAL = {"version", "pluginDownloadURL", "__internal"}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider of one `package`, on top of the shared operations."""

    def __init__(self, package: str, operations: Operations) -> None:
        self._package = package
        self._operations = operations
        self._configs: dict[str, Mapping[str, Json]] = {}

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=False, accept_resources=False, accept_outputs=False
        )

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=schema.sdk_version(self._package))

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Name and version only: the SDK of the program is the schema."""
        said = {"name": self._package, "version": schema.sdk_version(self._package)}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(said))

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        config = _decoded(self._package, from_struct(request.news))
        failures = schema.check_config(self._package, config)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        same = from_struct(request.olds) == from_struct(request.news)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        )

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        given = _decoded(self._package, from_struct(request.args))
        self._configs[context.peer()] = {**cloud(self._package).DEFAULTS, **given}
        return provider_pb2.ConfigureResponse(
            acceptSecrets=False, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        with _refusals(context):
            asked = plan.Asked(
                self._subject(request.urn, context),
                from_struct(request.olds),
                from_struct(request.news),
                request.randomSeed,
                self._operations.resources,
            )
            inputs, failures = plan.checked(asked)
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        with _refusals(context):
            subject = self._subject(request.urn, context)
            old = from_struct(request.old_inputs) or from_struct(request.olds)
            difference = plan.difference(subject, old, from_struct(request.news), self._operations)
        return _difference(difference)

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        with _refusals(context):
            subject = self._subject(request.urn, context)
            inputs = from_struct(request.properties)
            if request.preview:
                return provider_pb2.CreateResponse(properties=to_struct(plan.foreseen(subject, inputs)))
            if subject.type.stateless:
                outputs = subject.type.outputs(inputs, self._operations.context(subject))
                return provider_pb2.CreateResponse(
                    id=outputs["id"], properties=to_struct({**program_inputs(inputs), **outputs})
                )
            resource = self._operations.create(subject, inputs)
        return provider_pb2.CreateResponse(id=resource.id, properties=to_struct(resource.outputs))

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """The resource as it is now; an empty answer when it is absent, which a refresh then records."""
        with _refusals(context):
            subject = self._subject(request.urn, context)
            if subject.type.stateless:
                if not request.properties.fields:
                    raise CloudError("NotFound", f"{subject.type.token} lives only in a stack's own state")
                return provider_pb2.ReadResponse(
                    id=request.id, properties=request.properties, inputs=request.inputs
                )
            resource = self._operations.read(subject, request.id)
            if resource is None:
                return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=resource.id, properties=to_struct(resource.outputs), inputs=to_struct(resource.inputs)
        )

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        with _refusals(context):
            subject = self._subject(request.urn, context)
            news = from_struct(request.news)
            if request.preview or subject.type.stateless:
                later = plan.updated(subject, from_struct(request.olds), news, preview=request.preview)
                return provider_pb2.UpdateResponse(properties=to_struct(later))
            resource = self._operations.update(subject, request.id, news)
        return provider_pb2.UpdateResponse(properties=to_struct(resource.outputs))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        with _refusals(context):
            subject = self._subject(request.urn, context)
            if not subject.type.stateless:
                self._operations.delete(subject, request.id)
        return empty_pb2.Empty()

    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        with _refusals(context):
            answer = invoke_of(request.tok)(from_struct(request.args), self._view(context))
        response = provider_pb2.InvokeResponse()
        # The field is called `return`, a keyword in Python.
        getattr(response, "return").CopyFrom(to_struct(answer))
        return response

    def Call(
        self, request: provider_pb2.CallRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CallResponse:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the emulator has no methods, so not {request.tok}")

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the emulator has no components, so not {request.type}")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Changes are short and atomic: there is nothing to cancel."""
        return empty_pb2.Empty()

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def _subject(self, urn: str, context: grpc.ServicerContext) -> Subject:
        """`urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`."""
        _, _, qualified, name = urn.split("::", 3)
        type = resource_type_of(qualified.rpartition("$")[2])
        return Subject(type, name, urn, self._config(context), context.peer())

    def _config(self, context: grpc.ServicerContext) -> Mapping[str, Json]:
        return self._configs.get(context.peer(), cloud(self._package).DEFAULTS)

    def _view(self, context: grpc.ServicerContext) -> Context:
        return self._operations.view(self._config(context))


@contextmanager
def _refusals(context: grpc.ServicerContext) -> Generator[None]:
    """Maps a refusal to a status that tells the engine that nothing was changed."""
    try:
        yield
    except EmulatorError as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


def _decoded(package: str, config: Properties) -> Properties:
    """Decodes provider configuration: every value arrives as text, JSON unless the property is a text."""
    known = schema.properties_of(schema.provider_args_class(package))
    decoded: Properties = {}
    for name, value in config.items():
        if name in _INTERNAL:
            continue
        decoded[name] = value
        if isinstance(value, str) and name in known and not _is_text(known[name]):
            # Text that is not JSON stays as it is, and the check that follows names it.
            with suppress(ValueError):
                decoded[name] = json.loads(value)
    return decoded


def _is_text(prop: schema.Property) -> bool:
    return str in schema.alternatives(prop.annotation)


def _failures(failures: list[schema.Failure]) -> list[provider_pb2.CheckFailure]:
    """The path is part of the reason: in its own field, the engine would print the value too, even
    a secret.
    """
    return [provider_pb2.CheckFailure(reason=f"{f.path}: {f.reason}") for f in failures]


_VERBS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


def _difference(found: plan.Difference) -> provider_pb2.DiffResponse:
    tops = [change.path.split(".")[0].split("[")[0] for change in found.changes]
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found.changes else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=[top for top, change in zip(tops, found.changes, strict=True) if change.replaces],
        diffs=list(dict.fromkeys(tops)),
        deleteBeforeReplace=found.delete_before_replace,
        hasDetailedDiff=True,
        detailedDiff={
            change.path: provider_pb2.PropertyDiff(kind=_VERBS[change.verb][change.replaces], inputDiff=True)
            for change in found.changes
        },
    )
