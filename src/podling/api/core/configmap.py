"""v1 ConfigMap. Source: Kubernetes API reference, "ConfigMap"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME, count_of
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object

SIZE_LIMIT = 1024 * 1024  # bytes of all values together


def validate_key(entry: Cursor, key: str) -> Iterator[FieldError]:
    """A key of ConfigMap.data or Secret.data names a file."""
    for complaint in names.config_key(key):
        yield entry.invalid(complaint, key)


def validate_frozen(new: Object, old: Object | None, *members: str) -> Iterator[FieldError]:
    """Once `immutable` is true, it stays so, and with it `members`."""
    if not (old and old.get("immutable")):
        return
    if not new.get("immutable"):
        yield at(new, "immutable").forbidden("field is immutable when `immutable` is set")
    for member in members:
        if (new.get(member) or {}) != (old.get(member) or {}):
            yield at(new, member).forbidden("field is immutable when `immutable` is set")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from validate_frozen(new, old, "data", "binaryData")
    data, binary = at(new, "data"), at(new, "binaryData")
    size = 0
    for key, entry in data.entries():
        yield from validate_key(entry, key)
        if key in binary:
            yield entry.invalid("duplicate of key present in binaryData", key)
        size += len(entry.value.encode())
    for key, entry in binary.entries():
        yield from validate_key(entry, key)
        size += len(entry.value) * 3 // 4 - entry.value[-2:].count("=")
    if size > SIZE_LIMIT:
        yield FieldError("FieldValueTooLong", "", None, f"may not be more than {SIZE_LIMIT} bytes")


CONFIG_MAP = Kind(
    api_version="v1",
    kind="ConfigMap",
    plural="configmaps",
    short=("cm",),
    validate=validate,
    columns=(NAME, Column("Data", count_of("data", "binaryData"), "string"), AGE),
)
