"""Printer columns of custom resources. Source: apiextensions.k8s.io/v1 CustomResourceColumnDefinition."""

from collections.abc import Callable
from typing import Any

import orjson

from podling.api.columns import AGE, NAME
from podling.api.custom.jsonpath import compile_path
from podling.api.kind import Cell, Column
from podling.api.timestamps import Ago, ago

Object = dict[str, Any]


def columns(version: Object) -> tuple[Column, ...]:
    """Those of one version of a definition; a name and an age where it has none."""
    own = version.get("additionalPrinterColumns") or ()
    return (NAME, *map(_column, own)) if own else (NAME, AGE)


def _column(raw: Object) -> Column:
    kind = raw["type"]
    cell = _cell(compile_path(raw["jsonPath"]), kind)
    return Column(raw["name"], cell, kind, raw.get("format") or "", raw.get("priority") or 0, raw.get("description") or "")


def _cell(read: Callable[[Any], list[Any]], kind: str) -> Cell:
    """Nothing where the path leads nowhere, or to a value of another type."""

    def cell(obj: Object, _: float) -> Any:
        found = read(obj)
        return _shown(found[0] if len(found) == 1 else found, kind) if found else None

    return cell


def _shown(value: Any, kind: str) -> Any:
    match kind:
        case "integer":
            return int(value) if type(value) in (int, float) else None
        case "number":
            return value if type(value) in (int, float) else None
        case "boolean":
            return value if type(value) is bool else None
        case "date":
            return _age(value)
    return value if type(value) is str else orjson.dumps(value).decode()


def _age(value: Any) -> Ago | str:
    try:
        return ago(value) if type(value) is str else "<invalid>"
    except ValueError:
        return "<invalid>"
