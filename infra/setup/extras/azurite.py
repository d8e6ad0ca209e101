"""Azurite, Microsoft's own implementation of Azure Storage, from npm; 3.35.0 is the last for Node 20."""

from __future__ import annotations

from infra.setup.extras.npm import NpmPackage

PACKAGE = NpmPackage(
    "azurite", "azurite", "3.35.0", "node_modules/azurite/dist/src/blob/main.js", least_node=18
)
AZURITE = PACKAGE.tool
