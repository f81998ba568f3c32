"""storage.k8s.io/v1 VolumeAttachment. Source: Kubernetes API reference, "VolumeAttachment"; pkg/apis/storage/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, fresh_status
from podling.api.rules import called, not_negative
from podling.api.storage.parameters import validate_driver_name

MOST_METADATA, LONGEST_MESSAGE = 256 * 1024, 1024  # bytes


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from validate_driver_name(spec / "attacher")
    yield from _source(spec / "source")
    if not spec.get("nodeName"):
        yield (spec / "nodeName").required()
    else:
        for complaint in names.subdomain(spec.get("nodeName")):
            yield (spec / "nodeName").invalid(complaint)


def _source(source: Cursor) -> Iterator[FieldError]:
    volume, inline = source / "persistentVolumeName", source / "inlineVolumeSpec"
    one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if volume.value is None and inline.value is None:
        yield source.required(one)
    elif volume.value is not None and inline.value is not None:
        yield source.forbidden(one)
    elif volume.value is not None:
        yield from called(volume, names.subdomain)
    elif inline.get("csi") is None:
        yield (inline / "csi").required("has to be specified in the context of inline volumes")


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    status = at(new, "status")
    metadata = status / "attachmentMetadata"
    if sum(len(key) + len(value or "") for key, value in (metadata.value or {}).items()) > MOST_METADATA:
        yield metadata.too_long(MOST_METADATA)
    for name in ("attachError", "detachError"):
        error = status / name
        if len(error.get("message", "")) > LONGEST_MESSAGE:
            yield (error / "message").too_long(LONGEST_MESSAGE)
        yield from not_negative(error / "errorCode")


VOLUME_ATTACHMENT = Kind(
    api_version="storage.k8s.io/v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    subresources=(STATUS,),
    immutable=("spec",),
    prepare=fresh_status(attached=False),
    unconditional=False,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Attacher", "spec.attacher", format="name"),
        Column("PV", lambda obj, _: objects.get(obj, "spec.source.persistentVolumeName", "")),
        Column("Node", "spec.nodeName"),
        Column("Attached", "status.attached", "boolean"),
        AGE,
    ),
)
