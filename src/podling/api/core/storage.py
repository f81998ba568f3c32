"""What volumes and claims share: access modes, volume modes, amounts of storage."""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.rules import named, one_of
from podling.base import quantity

ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
VOLUME_MODES = ("Block", "Filesystem")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def validate_access_modes(modes: Cursor, missing: str = "") -> Iterator[FieldError]:
    if not modes.value:
        yield modes.required(missing)
    known = set()
    for mode in modes.value or ():
        if mode not in ACCESS_MODES:
            yield modes.unsupported(sorted(ACCESS_MODES), mode)
        else:
            known.add(mode)
    if "ReadWriteOncePod" in known and len(known) > 1:
        yield modes.forbidden("may not use ReadWriteOncePod with other access modes")


def validate_class_and_mode(spec: Cursor) -> Iterator[FieldError]:
    yield from named(spec / "storageClassName", names.subdomain)
    yield from one_of(spec / "volumeMode", VOLUME_MODES)


def validate_amount(amount: Cursor) -> Iterator[FieldError]:
    """A capacity or a request: more than nothing."""
    if quantity.parse(amount.value).nanos <= 0:
        yield amount.invalid("must be greater than zero")


def shown_modes(modes: list[str] | None) -> str:
    """`RWO,RWX`."""
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in (modes or ()))
