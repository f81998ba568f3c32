"""Environment variables of a container. Source: API reference "EnvVar", "EnvFromSource"."""

import re
from collections.abc import Iterator

from podling.api import names
from podling.api.core import resources
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import present

FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]").fullmatch
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ONE_SOURCE = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"


def default(variable: Object) -> None:
    source = variable.get("valueFrom") or {}
    if field := source.get("fieldRef"):
        field.setdefault("apiVersion", "v1")
    if amount := source.get("resourceFieldRef"):
        amount.setdefault("divisor", "0")


def validate(container: Cursor) -> Iterator[FieldError]:
    """`env` and `envFrom`."""
    for variable in container / "env":
        value: Object = variable.value or {}
        name = value.get("name")
        if not name:
            yield (variable / "name").required()
        else:
            for complaint in names.env_name(name):
                yield (variable / "name").invalid(complaint)
        if "valueFrom" in value:
            yield from _source(variable)
    for source in container / "envFrom":
        yield from _from(source)


def _source(variable: Cursor) -> Iterator[FieldError]:
    source = variable / "valueFrom"
    chosen = [name for name in _SOURCES if source.get(name) is not None]
    if not chosen:
        yield source.invalid(_ONE_SOURCE, "")
    elif variable.get("value"):
        yield source.invalid("may not be specified when `value` is not empty", "")
    elif len(chosen) > 1:
        yield source.invalid("may not have more than one field specified at a time", "")
    for name in chosen:
        yield from _reference(name, source / name)


def _reference(name: str, reference: Cursor) -> Iterator[FieldError]:
    match name:
        case "fieldRef":
            yield from field_reference(reference, FIELDS)
        case "resourceFieldRef":
            yield from resources.validate_reference(reference, in_volume=False)
        case "configMapKeyRef" | "secretKeyRef":
            yield from present(reference / "name")
            key = reference / "key"
            yield from present(key)
            for complaint in names.config_key(key.value) if key.value else ():
                yield key.invalid(complaint)


def field_reference(reference: Cursor, supported: tuple[str, ...]) -> Iterator[FieldError]:
    """An ObjectFieldSelector on a pod."""
    version, path = reference / "apiVersion", reference / "fieldPath"
    if not version.value:
        yield version.required()
    elif not path.value:
        yield path.required()
    elif subscript := _SUBSCRIPT(path.value):
        kind, key = subscript.groups()
        for complaint in names.qualified(key.lower() if kind.endswith("annotations") else key):
            yield path.invalid(complaint, key)
    elif "[" in path.value:
        yield path.invalid("does not support subscript")
    elif path.value not in supported:
        yield path.unsupported(supported)


def _from(source: Cursor) -> Iterator[FieldError]:
    if source.get("prefix"):
        for complaint in names.env_name(source.get("prefix")):
            yield (source / "prefix").invalid(complaint)
    chosen = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
    for name in chosen:
        yield from present(source / name / "name")
    if not chosen:
        yield source.invalid("must specify one of: `configMapRef` or `secretRef`", "")
    elif len(chosen) > 1:
        yield source.invalid("may not have more than one field specified at a time", "")
