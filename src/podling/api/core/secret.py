"""v1 Secret. Source: Kubernetes API reference, "Secret"."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator

from podling.api.columns import AGE, NAME, count_of
from podling.api.core.configmap import SIZE_LIMIT, validate_frozen, validate_key
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, paths

TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - a type's name
DOCKER_CONFIG, DOCKER_CONFIG_JSON = "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"
BASIC_AUTH, SSH_AUTH, TLS = "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"


def default(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    if plain := obj.pop("stringData", None):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def decoded(secret: Object) -> dict[str, bytes]:
    """The values as bytes."""
    return {key: base64.b64decode(value or "") for key, value in (secret.get("data") or {}).items()}


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None and new.get("type") != old.get("type"):
        yield at(new, "type").invalid("field is immutable")
    yield from validate_frozen(new, old, "data")
    data = at(new, "data")
    size = 0
    for key, entry in data.entries():
        yield from validate_key(entry, key)
        try:
            size += len(base64.b64decode(entry.value or "", validate=True))
        except (binascii.Error, ValueError):
            yield entry.invalid("illegal base64 data", "<redacted>")
    if size > SIZE_LIMIT:
        yield data.too_long(SIZE_LIMIT)
    if rule := _RULES.get(new.get("type", "")):
        yield from rule(new, data)


def _token(new: Object, _: Cursor) -> Iterator[FieldError]:
    annotation = at(new, "metadata", "annotations")
    if not annotation.get("kubernetes.io/service-account.name"):
        yield Cursor(None, annotation, "[kubernetes.io/service-account.name]").required()


def _json_in(key: str) -> Callable[[Object, Cursor], Iterator[FieldError]]:
    def check(_: Object, data: Cursor) -> Iterator[FieldError]:
        entry = Cursor(data.get(key), data, f"[{key}]")
        if entry.value is None:
            yield entry.required()
            return
        try:
            json.loads(base64.b64decode(entry.value))
        except ValueError as error:
            yield entry.invalid(str(error), "<secret contents redacted>")

    return check


def _basic_auth(_: Object, data: Cursor) -> Iterator[FieldError]:
    if "username" not in data and "password" not in data:
        yield Cursor(None, data, "[username]").required()
        yield Cursor(None, data, "[password]").required()


def _keys(*needed: str) -> Callable[[Object, Cursor], Iterator[FieldError]]:
    def check(_: Object, data: Cursor) -> Iterator[FieldError]:
        for key in needed:
            if key not in data:
                yield Cursor(None, data, f"[{key}]").required()

    return check


_RULES: dict[str, Callable[[Object, Cursor], Iterator[FieldError]]] = {
    TOKEN: _token,
    DOCKER_CONFIG: _json_in(".dockercfg"),
    DOCKER_CONFIG_JSON: _json_in(".dockerconfigjson"),
    BASIC_AUTH: _basic_auth,
    SSH_AUTH: _keys("ssh-privatekey"),
    TLS: _keys("tls.crt", "tls.key"),
}

SECRET = Kind(
    api_version="v1",
    kind="Secret",
    plural="secrets",
    default=default,
    validate=validate,
    columns=(NAME, Column("Type", "type"), Column("Data", count_of("data")), AGE),
    fields=paths("type"),
)
