"""The real engine and Azure's vaults: secrets that come and go, a destroyed stack, an engine that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emulator.providers.azure import common as azure
from infra.operations.stack.process_cleanup import end_session
from tests.end_to_end.stack import Gate, Stack

pytestmark = pytest.mark.emulator

# A region's vault as the program makes it (infra/clouds/azure/region.py), with secrets of functions.
PROGRAM = """
import pulumi
from pulumi_azure_native import authorization, keyvault, resources
tenant = authorization.get_client_config_output().tenant_id
group = resources.ResourceGroup("fleet", resource_group_name="fleet", location="westeurope")
if @region@:
    sku = keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD)
    vault = keyvault.Vault("fleet", resource_group_name=group.name, vault_name=@name@,
        properties=keyvault.VaultPropertiesArgs(tenant_id=tenant, sku=sku, enable_rbac_authorization=True,
            soft_delete_retention_in_days=7))
    for what in @secrets@:
        keyvault.Secret(what, resource_group_name=group.name, vault_name=vault.name,
            properties=keyvault.SecretPropertiesArgs(value="x"),
            opts=pulumi.ResourceOptions(retain_on_delete=@retained@))
"""


@dataclass(frozen=True, slots=True)
class Program:
    """name: the vault's, else the provider makes one up. retained: the engine deletes no secret."""

    name: str | None
    retained: bool

    def give(self, stack: Stack, secrets: list[str], *, region: bool = True) -> None:
        """Make it the stack's program, with or without the region."""
        values = {"name": repr(self.name), "retained": self.retained}
        stack.program(PROGRAM, **values, secrets=secrets, region=region)

    def up(self, stack: Stack, secrets: list[str]) -> None:
        self.give(stack, secrets)
        said = stack.up()
        assert said.code == 0, said.text


NOW = Program(None, retained=True)
FORMER = Program("fleet-0a1b2c3d", retained=False)


@pytest.fixture
def stack(tmp_path: Path, pulumi_path: str) -> Generator[Stack]:
    stack = Stack(tmp_path, pulumi_path, delays=1.0)
    stack.init()
    try:
        yield stack
    finally:
        stack.stop()


def test_a_secret_comes_and_goes_without_a_role_in_its_vault(stack: Stack) -> None:
    """Removed, asked for again, and all of it destroyed: what the program gave up went with the vault."""
    both = ["keys", "model"]
    NOW.up(stack, both)
    NOW.up(stack, ["keys"])
    assert [resource.token for resource in stack.resource_store.resources.values()].count(azure.SECRET) == 2
    NOW.up(stack, both)
    said = stack.run("destroy", "--yes")
    assert said.code == 0, said.text
    assert not any(resource.token == azure.SECRET for resource in stack.resource_store.resources.values())


def test_the_former_program_could_not_be_destroyed(stack: Stack) -> None:
    """The engine deletes the secret first, and the vault refuses: the stack stays half destroyed."""
    FORMER.up(stack, ["keys"])
    said = stack.run("destroy", "--yes")
    assert said.code != 0
    assert "ForbiddenByRbac" in said.text


@pytest.mark.parametrize("program", [NOW, replace(FORMER, retained=True)], ids=["now", "former name"])
def test_an_engine_that_died_while_it_deleted_a_vault(stack: Stack, program: Program) -> None:
    """The region comes back in the next deployment. The vault is gone and its name taken: a refresh notices
    the first, a new name copes with the second."""
    program.up(stack, ["keys"])
    gate = Gate()
    stack.hosts = gate
    program.give(stack, [], region=False)
    with stack.popen("up", "--yes", "--skip-preview") as engine:
        gate.reached.wait()
        os.kill(engine.pid, signal.SIGKILL)
        end_session(engine.pid)  # its language host sits in a group of its own and would stay for ever
        engine.communicate()
    gate.opened.set()
    stack.run("cancel", "--yes")
    program.give(stack, ["keys"])
    refreshed = stack.run("refresh", "--yes", "--skip-preview")
    assert refreshed.code == 0, refreshed.text
    said = stack.up()
    if program.name is not None:
        assert "VaultAlreadyExists" in said.text, said.text
    else:
        assert said.code == 0, said.text
        assert stack.run("up", "--yes", "--expect-no-changes").code == 0
