"""apps/v1 ControllerRevision: a former template of a StatefulSet or DaemonSet. Source: Kubernetes API reference."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import not_negative


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from not_negative(at(new, "revision"))
    data = at(new, "data")
    if old is None:
        if data.value is None:
            yield data.required("data is mandatory")
        elif not isinstance(data.value, dict):
            yield data.required("data must be a valid JSON object")


def _controller(obj: Object, _: float) -> str:
    """`statefulset.apps/web`."""
    owner = objects.controller_of(obj)
    if owner is None:
        return "<none>"
    group = objects.group_of(owner["apiVersion"])
    kind = owner["kind"].lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


CONTROLLER_REVISION = Kind(
    api_version="apps/v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    immutable=("data",),
    validate=validate,
    columns=(NAME, Column("Controller", _controller), Column("Revision", "revision", "integer"), AGE),
)
