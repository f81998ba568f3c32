"""node.k8s.io/v1 RuntimeClass. Source: Kubernetes API reference, "RuntimeClass"; pkg/apis/node/validation."""

from collections.abc import Iterator

from podling.api import metadata, names
from podling.api.columns import AGE, NAME
from podling.api.core import placement, resources
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import called


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from called(at(new, "handler"), names.label)
    overhead, scheduling = at(new, "overhead"), at(new, "scheduling")
    if overhead.value is not None:
        fixed = overhead.get("podFixed")
        yield from resources.validate(Cursor({"limits": fixed}, None, "overhead"))
    yield from metadata.validate_labels(scheduling / "nodeSelector")
    yield from placement.validate_tolerations(scheduling / "tolerations")
    seen: list[Object] = []
    for toleration in scheduling / "tolerations":
        key = {name: value for name, value in (toleration.value or {}).items() if name != "tolerationSeconds"}
        if key in seen:
            yield toleration.duplicate()
        seen.append(key)


RUNTIME_CLASS = Kind(
    api_version="node.k8s.io/v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    immutable=("handler",),
    create_on_update=True,
    unconditional=False,
    validate=validate,
    columns=(NAME, Column("Handler", "handler"), AGE),
)
