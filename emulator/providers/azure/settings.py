"""A site's app settings, which are its environment."""

from __future__ import annotations

from emulator.providers.values import Json, Properties, at, items, text


def app_settings(inputs: Properties) -> dict[str, Json]:
    listed = items(inputs, "siteConfig", "appSettings")
    return {text(setting, "name"): at(setting, "value") for setting in listed if text(setting, "name")}
