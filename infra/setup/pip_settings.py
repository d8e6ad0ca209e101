"""Translate pip's settings (certificate, index, wheel folders, proxy) for uv, which does not read them.

A setting for uv takes precedence. Without any setting the result is empty.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

# pip's option -> uv's variable. uv reads a private CA from SSL_CERT_FILE only.
UV_NAMES: Mapping[str, str] = {
    "cert": "SSL_CERT_FILE",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "proxy": "ALL_PROXY",
}
# Other names with the same meaning for uv or requests.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "UV_DEFAULT_INDEX": ("UV_INDEX_URL",),
    "UV_INDEX": ("UV_EXTRA_INDEX_URL",),
    "ALL_PROXY": ("HTTPS_PROXY", "https_proxy", "all_proxy"),
}


def uv_environment(environ: Mapping[str, str], configs: Iterable[str]) -> dict[str, str]:
    """The variables to add for uv. configs: texts of pip's configuration files, the last takes precedence."""
    settings = _from_configs(configs) | _from_variables(environ)
    if "cert" not in settings and (bundle := environ.get("REQUESTS_CA_BUNDLE")):
        settings["cert"] = bundle
    added: dict[str, str] = {}
    for option, name in UV_NAMES.items():
        is_set = any(environ.get(known) for known in (name, *SYNONYMS.get(name, ())))
        if not is_set and (value := settings.get(option)):
            added[name] = ",".join(value.split()) if option == "find-links" else value
    return added


def read_configs(environ: Mapping[str, str]) -> list[str]:
    """The texts of pip's configuration files, in pip's order: global, user, PIP_CONFIG_FILE."""
    home = Path(environ.get("HOME", "/"))
    user = Path(environ.get("XDG_CONFIG_HOME", home / ".config"))
    paths = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user / "pip" / "pip.conf"]
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # pip: no configuration file
        return []
    if named:
        paths.append(Path(named))
    texts: list[str] = []
    for path in paths:
        try:
            texts.append(path.read_text())
        except (OSError, UnicodeDecodeError):
            continue  # missing or unreadable: pip reports that
    return texts


def _from_configs(configs: Iterable[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in configs:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for section in ("global", "install"):
            for option in UV_NAMES:
                if parser.has_option(section, option):
                    settings[option] = parser.get(section, option).strip()
    return settings


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = {option: "PIP_" + option.upper().replace("-", "_") for option in UV_NAMES}
    return {option: environ[name] for option, name in names.items() if environ.get(name)}
