"""Encryption at rest: what lies in the store of the resources that a configuration names.

The configuration is Kubernetes' EncryptionConfiguration with the providers `aesgcm` and `identity`. The first key writes, all
keys read; what another key than the first wrote is written anew at the next start. The place of an object is authenticated with
it, so that values can't be swapped. Source: Kubernetes documentation "Encrypting Confidential Data at Rest".
"""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from podling.base.errors import Failed, InvalidInput

Object = dict[str, Any]
Resource = tuple[str, str]
"""(group, plural)"""

PREFIX = b"k8s:enc:aesgcm:v1:"
NONCE = 12  # bytes; NIST SP 800-38D section 8.2
API_VERSION, KIND = "apiserver.config.k8s.io/v1", "EncryptionConfiguration"


class Undecipherable(Failed):
    """A stored value that no key opens; the message names its place, never its content."""


@dataclass(frozen=True, slots=True)
class Key:
    """A named key of 16, 24 or 32 bytes; the name goes before each value that it sealed."""

    name: str
    cipher: AESGCM

    @property
    def mark(self) -> bytes:
        return PREFIX + self.name.encode() + b":"


@dataclass(frozen=True, slots=True)
class Plain:
    """The provider `identity`: values as they are."""


Provider = Key | Plain


class Encryption:
    """Seals and opens the values of the store. `providers` are those of each encrypted resource; the first one writes."""

    def __init__(self, providers: Mapping[Resource, Sequence[Provider]]) -> None:
        self._providers = dict(providers)
        self._stale: dict[Resource, set[str]] = {}

    @property
    def stale(self) -> list[tuple[Resource, str]]:
        """What was read and isn't sealed as it would be now: (resource, key)."""
        return [(resource, key) for resource, keys in self._stale.items() for key in sorted(keys)]

    def is_stale(self, resource: Resource, key: str) -> bool:
        return key in self._stale.get(resource, ())

    def seal(self, resource: Resource, key: str, value: bytes) -> bytes:
        """The bytes that the store gets."""
        providers = self._providers.get(resource)
        if providers is None or isinstance(first := providers[0], Plain):
            return value
        nonce = secrets.token_bytes(NONCE)
        return first.mark + nonce + first.cipher.encrypt(nonce, value, _place(resource, key))

    def open(self, resource: Resource, key: str, sealed: bytes) -> bytes:
        """The value in what the store has. Raises Undecipherable."""
        providers = self._providers.get(resource)
        if providers is None and not sealed.startswith(PREFIX):
            return sealed
        for number, provider in enumerate(providers or ()):
            value = _opened(provider, resource, key, sealed)
            if value is not None:
                self._note(resource, key, stale=number > 0)
                return value
        raise Undecipherable(f"{'/'.join(filter(None, resource))} {key}: no key opens it; is it in the encryption configuration?")

    def forget(self, resource: Resource, key: str) -> None:
        """The object is gone."""
        self._note(resource, key, stale=False)

    def _note(self, resource: Resource, key: str, *, stale: bool) -> None:
        if stale:
            self._stale.setdefault(resource, set()).add(key)
        elif resource in self._stale:
            self._stale[resource].discard(key)


def _place(resource: Resource, key: str) -> bytes:
    return "/".join((*resource, key)).encode()


def _opened(provider: Provider, resource: Resource, key: str, sealed: bytes) -> bytes | None:
    if isinstance(provider, Plain):
        return None if sealed.startswith(PREFIX) else sealed
    mark = provider.mark
    if not sealed.startswith(mark):
        return None
    body = sealed[len(mark) :]
    try:
        return provider.cipher.decrypt(body[:NONCE], body[NONCE:], _place(resource, key))
    except (InvalidTag, ValueError):
        return None


NO_ENCRYPTION = Encryption({})


# the configuration


def fresh_configuration() -> Object:
    """Secrets under a new key; what was there before can be read."""
    key = {"name": "key1", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
    resources = {"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [key]}}, {"identity": {}}]}
    return {"apiVersion": API_VERSION, "kind": KIND, "resources": [resources]}


def read(content: bytes, source: str) -> Encryption:
    """What a configuration in JSON or YAML asks for. Raises InvalidInput, naming `source` and never a key."""
    try:
        return Encryption(_resources(_parsed(content)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error) if isinstance(error, _Wrong) else "it has not the shape of an EncryptionConfiguration"
        raise InvalidInput(f"{source}: {reason}") from None


class _Wrong(ValueError):
    """What is wrong, in words that may be told."""


def _parsed(content: bytes) -> Object:
    try:
        found = orjson.loads(content)
    except ValueError:
        import yaml  # what podling itself writes is JSON

        try:
            found = yaml.safe_load(content)
        except yaml.YAMLError:
            raise _Wrong("it is neither JSON nor YAML") from None
    if found.get("kind") != KIND:
        raise _Wrong(f"kind is not {KIND}")
    parsed: Object = found
    return parsed


def _resources(configuration: Object) -> dict[Resource, list[Provider]]:
    found: dict[Resource, list[Provider]] = {}
    for entry in configuration["resources"]:
        providers = [provider for each in entry["providers"] for provider in _providers(each)]
        if not providers:
            raise _Wrong("a resource without a provider")
        for name in entry["resources"]:
            plural, _, group = name.partition(".")
            found.setdefault((group, plural), providers)
    return found


def _providers(entry: Object) -> list[Provider]:
    ((name, settings),) = entry.items()
    if name == "identity":
        return [Plain()]
    if name != "aesgcm":
        raise _Wrong(f"the provider {name} is not known; known are aesgcm and identity")
    return [_key(key) for key in settings["keys"]]


def _key(key: Object) -> Key:
    name = key["name"]
    try:
        secret = base64.b64decode(key["secret"], validate=True)
        cipher = AESGCM(secret)
    except (binascii.Error, ValueError):
        raise _Wrong(f"the secret of the key {name} is not 16, 24 or 32 bytes in base64") from None
    if not name or ":" in name:
        raise _Wrong("a key has a name without a colon")
    return Key(name, cipher)
