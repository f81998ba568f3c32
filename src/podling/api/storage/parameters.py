"""What the classes of storage share: who provides it, and what is said to them. Source: pkg/apis/storage/validation."""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError

MOST, LARGEST = 512, 256 * 1024  # entries; bytes


def validate_provisioner(name: Cursor) -> Iterator[FieldError]:
    if not name.value:
        yield name.required()
    else:
        for complaint in names.qualified(name.value.lower()):
            yield name.invalid(complaint)


def validate_driver_name(name: Cursor) -> Iterator[FieldError]:
    text = name.value or ""
    if not text:
        yield name.required()
    if len(text) > 63:
        yield name.too_long(63)
    for complaint in names.subdomain(text.lower()):
        yield name.invalid(complaint, text)


def validate_parameters(parameters: Cursor) -> Iterator[FieldError]:
    entries = parameters.value or {}
    if len(entries) > MOST:
        yield parameters.too_long(MOST)
    if "" in entries:
        yield parameters.invalid("field can not be empty.", "")
    if sum(len(key.encode()) + len((value or "").encode()) for key, value in entries.items()) > LARGEST:
        yield parameters.too_long(LARGEST)
