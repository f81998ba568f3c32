"""Which login a registry gets, by the image pull secrets. Pure. Source: Kubernetes, "Pull an Image from a Private Registry"."""

import base64
import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from podling.node.pod.spec import Object
from podling.node.runtime import Login
from podling.node.volumes.projected import contents

_DOCKER_HUB = "docker.io"


def logins_for(image: str, secrets: Iterable[Object]) -> list[Login]:
    """The logins that fit the image's registry, most specific path first."""
    registry, path = _registry_of(image)
    found: list[tuple[int, Login]] = []
    for secret in secrets:
        for place, entry in _entries(secret).items():
            host, _, prefix = _stripped(place).partition("/")
            if _fits(registry, _plain(host)) and f"{path}/".startswith(prefix):
                login = _login(entry)
                found += [(len(prefix), login)] if login else []
    return [login for _, login in sorted(found, key=lambda each: -each[0])]


def _fits(registry: str, pattern: str) -> bool:
    """Whether the host is meant: a `*` stands for what is between two dots and no more."""
    labels, globs = registry.split("."), pattern.split(".")
    return len(labels) == len(globs) and all(map(fnmatchcase, labels, globs))


def _registry_of(image: str) -> tuple[str, str]:
    first, _, rest = image.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return _DOCKER_HUB, image


def _stripped(place: str) -> str:
    place = place.removeprefix("https://").removeprefix("http://").rstrip("/")
    return place.removesuffix("/v1").removesuffix("/v2")


def _plain(host: str) -> str:
    return _DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def _entries(secret: Object) -> dict[str, Any]:
    """Place -> entry, of those that are objects at all: nobody has checked what a Secret holds."""
    data = contents(secret)
    try:
        if ".dockerconfigjson" in data:
            found = json.loads(data[".dockerconfigjson"])["auths"]
        else:
            found = json.loads(data.get(".dockercfg", b"{}"))
        return {place: entry for place, entry in found.items() if isinstance(entry, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _login(entry: dict[str, Any]) -> Login | None:
    if entry.get("username"):
        return Login(str(entry["username"]), str(entry.get("password") or ""))
    try:
        name, colon, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (ValueError, TypeError):
        return None
    return Login(name, password) if colon else None
