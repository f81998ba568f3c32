"""Registry credentials as clients send them. Source: Docker Engine API, "Authentication". They never reach a log or an error."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from podling.base.errors import InvalidInput
from podling.docker.routing import Call
from podling.images.model import Credentials
from podling.oci.reference import DEFAULT_DOMAIN

_HUB = ("index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN)


def of_header(call: Call) -> Credentials:
    """X-Registry-Auth: a JSON object in base64url. What can't be read counts as none, as with the daemon."""
    text = call.headers.get("X-Registry-Auth")
    try:
        given = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) if text else {}
    except (binascii.Error, orjson.JSONDecodeError):
        given = {}
    return of_object(given if isinstance(given, dict) else {})


def of_object(given: Mapping[str, Any]) -> Credentials:
    """An AuthConfig."""
    username, password = given.get("username") or "", given.get("password") or ""
    if not username and given.get("auth"):
        username, password = _pair(given["auth"])
    return Credentials(username, password, given.get("identitytoken") or "", given.get("registrytoken") or "")


def _pair(text: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(text).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidInput("invalid auth configuration file") from None
    return username, password


def domain(address: str) -> str:
    """The registry's host[:port] of a `serveraddress`, which may be a URL."""
    host = address.partition("://")[2] if "://" in address else address
    host = host.partition("/")[0]
    return DEFAULT_DOMAIN if not host or host in _HUB else host
