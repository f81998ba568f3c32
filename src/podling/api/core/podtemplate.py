"""v1 PodTemplate. Source: Kubernetes API reference, "PodTemplate"."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.apps.replicas import container_columns
from podling.api.columns import NAME, joined
from podling.api.core import podspec
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object


def default(obj: Object) -> None:
    podspec.default_template(obj.setdefault("template", {}))


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from podspec.validate_template(at(new, "template"))


def _labels(obj: Object, _: float) -> str:
    return joined(objects.get(obj, "template.metadata.labels"))


POD_TEMPLATE = Kind(
    api_version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    generation=("template",),
    default=default,
    validate=validate,
    columns=(NAME, *container_columns("template", priority=0), Column("Pod Labels", _labels)),
)
