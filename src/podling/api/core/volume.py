"""Volumes of a pod: defaulting and validation. Source: API reference "Volume".

The kinds that the node agent mounts are checked in full; others need only be the one source of their volume.
"""

from collections.abc import Callable, Iterable, Iterator

from podling.api import names
from podling.api.core import environment, resources
from podling.api.core.container import inside
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.known import Known
from podling.api.rules import chosen, one_of, present
from podling.base import quantity

MODE = 0o644
TOKEN_SECONDS = 3600
HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
Check = Callable[[Cursor], Iterable[FieldError]]


def default(volume: Object) -> None:
    sources = [name for name in volume if name != "name"]
    if not sources:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(name) is not None:
            volume[name].setdefault("defaultMode", MODE)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    _default_files(volume.get("downwardAPI"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        _default_files(source.get("downwardAPI"))
        if token := source.get("serviceAccountToken"):
            token.setdefault("expirationSeconds", TOKEN_SECONDS)
    if volume.get("image") is not None:
        volume["image"].setdefault("pullPolicy", "IfNotPresent")
    if template := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _default_files(source: Object | None) -> None:
    for item in (source or {}).get("items") or ():
        environment.default({"valueFrom": item})


def validate_all(volumes: Cursor) -> Iterator[FieldError]:
    seen: set[str] = set()
    for volume in volumes:
        yield from _source(volume)
        name = volume / "name"
        if not name.value:
            yield name.required()
            continue
        for complaint in names.label(name.value):
            yield name.invalid(complaint)
        if name.value in seen:
            yield name.duplicate()
        seen.add(name.value)


def _source(volume: Cursor) -> Iterator[FieldError]:
    sources = [name for name, value in volume.value.items() if name != "name" and value is not None]
    if not sources:
        yield volume.required("must specify a volume type")
    for name in sources[1:]:
        yield (volume / name).forbidden("may not specify more than 1 volume type")
    for name in sources[:1]:
        yield from validate_source(volume / name, name)


def validate_source(source: Cursor, name: str) -> Iterable[FieldError]:
    """The rules of one kind of source, where we know it: also those of a PersistentVolume."""
    check = _CHECKS.get(name)
    return check(source) if check is not None else ()


def _empty_dir(source: Cursor) -> Iterator[FieldError]:
    limit = source / "sizeLimit"
    if limit.value is not None and quantity.parse(limit.value).nanos < 0:
        yield limit.forbidden("SizeLimit field must be a valid resource quantity")


def _host_path(source: Cursor) -> Iterator[FieldError]:
    path = source / "path"
    if not path.value:
        yield path.required()
    else:
        yield from _no_way_up(path)
    yield from one_of(source / "type", HOST_PATH_TYPES)


def _no_way_up(path: Cursor) -> Iterator[FieldError]:
    if ".." in path.value.split("/"):
        yield path.invalid("must not contain '..'")


def _mode(mode: Cursor) -> Iterator[FieldError]:
    if mode.value is not None and not 0 <= mode.value <= 0o777:
        yield mode.invalid("must be a number between 0 and 0777 (octal), both inclusive")


def _items(source: Cursor) -> Iterator[FieldError]:
    for item in source / "items":
        if not item.get("key"):
            yield from present(item / "key")
        yield from _path(item)
        if "mode" in item:
            yield from _mode(item / "mode")


def _path(source: Cursor) -> Iterator[FieldError]:
    """Where a file comes to lie."""
    if not source.get("path"):
        yield from present(source / "path")
    else:
        yield from inside(source / "path")


def _secret(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "secretName")
    yield from _mode(source / "defaultMode")
    yield from _items(source)


def _config_map(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "name")
    yield from _mode(source / "defaultMode")
    yield from _items(source)


def _downward(source: Cursor) -> Iterator[FieldError]:
    if "defaultMode" in source:
        yield from _mode(source / "defaultMode")
    for item in source / "items":
        yield from _path(item)
        if "mode" in item:
            yield from _mode(item / "mode")
        field, amount = item / "fieldRef", item / "resourceFieldRef"
        if field.value is not None:
            yield from environment.field_reference(field, FIELDS)
            if amount.value is not None:
                yield item.invalid("fieldRef and resourceFieldRef can not be specified simultaneously", "resource")
        elif amount.value is not None:
            yield from resources.validate_reference(amount, in_volume=True)
        else:
            yield item.required("one of fieldRef and resourceFieldRef is required")


def _projected(source: Cursor) -> Iterator[FieldError]:
    yield from _mode(source / "defaultMode")
    for part in source / "sources":
        given = [name for name, value in (part.value or {}).items() if value is not None]
        if not given:
            yield part.required("must specify a projected volume type")
        for name in given[1:]:
            yield (part / name).forbidden("may not specify more than 1 volume type per source")
        for name in given[:1]:
            if check := _PARTS.get(name):
                yield from check(part / name)


def _projected_name(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "name")
    yield from _items(source)


def _token(source: Cursor) -> Iterator[FieldError]:
    seconds, path = source / "expirationSeconds", source / "path"
    if seconds.value is not None:
        if seconds.value < 600:
            yield seconds.invalid("may not specify a duration less than 10 minutes")
        elif seconds.value > 1 << 32:
            yield seconds.invalid("may not specify a duration larger than 2^32 seconds")
    yield from present(path)
    yield from inside(path)


def _claim(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "claimName")


def _nfs(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "server")
    yield from present(source / "path")
    if source.get("path") and not source.get("path").startswith("/"):
        yield (source / "path").invalid("must be an absolute path")


def _csi(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "driver")


def _image(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "reference")
    yield from chosen(source / "pullPolicy", ("Always", "IfNotPresent", "Never"))


_CHECKS: dict[str, Check] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": Known(_projected),
    "persistentVolumeClaim": _claim,
    "nfs": _nfs,
    "csi": _csi,
    "image": _image,
}
_PARTS: dict[str, Check] = {
    "secret": _projected_name,
    "configMap": _projected_name,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
}
