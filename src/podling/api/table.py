"""Tables and partial metadata: objects as `kubectl get` wants them. Source: API reference "Table", "PartialObjectMetadata"."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from podling.api.columns import CREATED
from podling.api.kind import NAME, Column, Kind, Object
from podling.api.objects import get
from podling.api.timestamps import Ago

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
        "rows": [_row(kind, obj, now, include) for obj in objects],
    }


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(kind: Kind, obj: Object, now: float, include: str) -> Object:
    row: Object = {"cells": [each.at(now) if type(each) is Ago else each for each in _cells(kind, obj)]}
    if include != "None":
        row["object"] = obj if include == "Object" else partial(obj)
    return row


def _cells(kind: Kind, obj: Object) -> list[Any]:
    return [_cell(column, obj) for column in kind.columns or _PLAIN]


def _cell(column: Column, obj: Object) -> Any:
    if isinstance(column.value, str):
        return get(obj, column.value, _ABSENT.get(column.type, "<none>"))
    return column.value(obj, math.nan)


Cells = tuple[bytes | Ago, ...]
"""A row's cells as JSON, in pieces: those that grow old stand between those that stay."""


def encoded_cells(kind: Kind, obj: Object) -> Cells:
    """The cells of `obj`, for as long as it stays as it is."""
    pieces: list[bytes | Ago] = []
    text = b"["
    for number, cell in enumerate(_cells(kind, obj)):
        text += b"," if number else b""
        if type(cell) is Ago:
            pieces += [text, cell]
            text = b""
        else:
            text += orjson.dumps(cell)
    return (*pieces, text + b"]")


def cells_at(cells: Sequence[bytes | Ago], now: float) -> bytes:
    """The JSON list that the cells are at `now`."""
    return b"".join([orjson.dumps(each.at(now)) if isinstance(each, Ago) else each for each in cells])


def partial(obj: Object) -> Object:
    """Only the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": obj.get("metadata") or {}}
