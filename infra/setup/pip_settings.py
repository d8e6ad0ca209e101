"""Carry what a user told pip (certificate, index, folders of wheels, proxy) over to uv, which does not read
it.

Nothing is invented here: a machine without any setting gives an empty result, and a setting made for uv wins.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

# pip's option -> the variable uv reads. SSL_CERT_FILE is the one place uv looks for a private CA.
UV_NAMES: Mapping[str, str] = {
    "cert": "SSL_CERT_FILE",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "proxy": "ALL_PROXY",
}
# Older or neighbouring names that mean the same to uv or to requests.
ALREADY_SAID: Mapping[str, tuple[str, ...]] = {
    "UV_DEFAULT_INDEX": ("UV_INDEX_URL",),
    "UV_INDEX": ("UV_EXTRA_INDEX_URL",),
    "ALL_PROXY": ("HTTPS_PROXY", "https_proxy", "all_proxy"),
}


def uv_environment(environ: Mapping[str, str], configs: Iterable[str]) -> dict[str, str]:
    """Variables to add for uv. `configs`: texts of pip's configuration files, the weakest first."""
    told = _from_configs(configs) | _from_variables(environ)
    if "cert" not in told and (bundle := environ.get("REQUESTS_CA_BUNDLE")):
        told["cert"] = bundle
    added: dict[str, str] = {}
    for option, name in UV_NAMES.items():
        said = any(environ.get(known) for known in (name, *ALREADY_SAID.get(name, ())))
        if not said and (value := told.get(option)):
            added[name] = ",".join(value.split()) if option == "find-links" else value
    return added


def read_configs(environ: Mapping[str, str]) -> list[str]:
    """The texts of pip's configuration files that are there, in pip's own order (global, user, named)."""
    home = Path(environ.get("HOME", "/"))
    user = Path(environ.get("XDG_CONFIG_HOME", home / ".config"))
    paths = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user / "pip" / "pip.conf"]
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # pip's way of saying: no configuration file at all
        return []
    if named:
        paths.append(Path(named))
    texts: list[str] = []
    for path in paths:
        try:
            texts.append(path.read_text())
        except (OSError, UnicodeDecodeError):
            continue  # not there, or not ours to judge: pip itself will complain
    return texts


def _from_configs(configs: Iterable[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for text in configs:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for section in ("global", "install"):
            for option in UV_NAMES:
                if parser.has_option(section, option):
                    told[option] = parser.get(section, option).strip()
    return told


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = {option: "PIP_" + option.upper().replace("-", "_") for option in UV_NAMES}
    return {option: environ[name] for option, name in names.items() if environ.get(name)}
