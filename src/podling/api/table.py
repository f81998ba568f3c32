"""Tables and partial metadata: objects as `kubectl get` wants them. Source: API reference "Table", "PartialObjectMetadata"."""

from collections.abc import Iterable
from typing import Any

from podling.api.columns import CREATED
from podling.api.kind import NAME, Column, Kind, Object
from podling.api.objects import get

API_VERSION = "meta.k8s.io/v1"
_PLAIN = (NAME, CREATED)
_ABSENT = {"integer": 0, "number": 0, "boolean": False}


def table(
    kind: Kind,
    objects: Iterable[Object],
    now: float,
    *,
    metadata: Object | None = None,
    include: str = "Metadata",
    headers: bool = True,
) -> Object:
    """A Table of `objects`; ages count from `now`.

    `metadata` is the list's, `include` what goes with each row (None, Metadata, Object); only the first table of a watch has
    `headers`.
    """
    columns = kind.columns or _PLAIN
    return {
        "kind": "Table",
        "apiVersion": API_VERSION,
        "metadata": metadata or {},
        "columnDefinitions": [_definition(column) for column in columns] if headers else [],
        "rows": [_row(columns, obj, now, include) for obj in objects],
    }


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(columns: tuple[Column, ...], obj: Object, now: float, include: str) -> Object:
    row: Object = {"cells": [_cell(column, obj, now) for column in columns]}
    if include != "None":
        row["object"] = obj if include == "Object" else partial(obj)
    return row


def _cell(column: Column, obj: Object, now: float) -> Any:
    if isinstance(column.value, str):
        return get(obj, column.value, _ABSENT.get(column.type, "<none>"))
    return column.value(obj, now)


def partial(obj: Object) -> Object:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": obj.get("metadata") or {}}
