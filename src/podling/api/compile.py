"""Compiles the published Kubernetes schemas into two compact tables. Runs at build time only; needs `kubernetes-validate`.

`schema.json` holds `{"types": {name: {"fields": {field: shape}, "required": [field], "gvk": [[group, version, kind]]}}}`.
A shape is a scalar's name (string, int32, int64, number, boolean, bytes, time, micro-time, quantity, int-or-string, any), a
`#type`, or a dict with `list` or `map` or `ref` and what merging needs to know. `schema-docs.json` holds the descriptions:
`{name: {"": of the type, field: of the field}}`.

The source writes every optional `type` as `[x, null]`, and quantities as a choice of two; both are undone here.
"""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

VERSION = "v1.36.0"
Schema = dict[str, Any]

# Stable and beta versions; alpha ones are not served.
_SERVED = re.compile(r"\.v[0-9]+(beta[0-9]+)?\.[^.]+$|\.(resource|intstr|runtime|version)\.[^.]+$").search
_SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
}
_MERGING = {
    "x-kubernetes-list-type": "type",
    "x-kubernetes-list-map-keys": "keys",
    "x-kubernetes-map-type": "type",
    "x-kubernetes-patch-merge-key": "merge-key",
    "x-kubernetes-patch-strategy": "strategy",
}
_FORMATS = {"int32": "int32", "int64": "int64", "byte": "bytes", "date-time": "time", "double": "number"}


def compile_schemas(target: Path) -> None:
    """Write the tables: `target`, and beside it the descriptions."""
    source = files("kubernetes_validate") / "kubernetes-json-schema" / f"{VERSION}-local" / "_definitions.json"
    definitions: dict[str, Schema] = json.loads(source.read_text())["$defs"]
    served = {name: schema for name, schema in definitions.items() if _SERVED(name) and name not in _SPECIAL}
    types = {name: _type(schema) for name, schema in served.items()}
    _write(target, {"version": VERSION, "types": types})
    _write(target.with_name(f"{target.stem}-docs.json"), {name: _docs(schema) for name, schema in served.items()})


def _write(target: Path, table: Any) -> None:
    target.write_text(json.dumps(table, separators=(",", ":"), ensure_ascii=False))


def _type(schema: Schema) -> Schema:
    result: Schema = {"fields": {name: _shape(field) for name, field in schema.get("properties", {}).items()}}
    if not result["fields"]:
        result = {"shape": _shape(schema)}
    if schema.get("required"):
        result["required"] = schema["required"]
    if gvks := schema.get("x-kubernetes-group-version-kind"):
        result["gvk"] = [[gvk["group"], gvk["version"], gvk["kind"]] for gvk in gvks]
    if schema.get("x-kubernetes-map-type"):
        result["type"] = schema["x-kubernetes-map-type"]
    return result


def _shape(schema: Schema) -> Any:
    merging = {short: schema[name] for name, short in _MERGING.items() if name in schema}
    if reference := schema.get("$ref"):
        name = reference.removeprefix("#/$defs/")
        shape = _SPECIAL.get(name) or f"#{name}"
        return {"ref": shape, **merging} if merging else shape
    if "items" in schema:
        return {"list": _shape(schema["items"]), **merging}
    if "additionalProperties" in schema:
        return {"map": _shape(schema["additionalProperties"]), **merging}
    return _scalar(schema)


def _scalar(schema: Schema) -> str:
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind in (None, "object", "array"):
        return "any"
    return _FORMATS.get(schema.get("format", ""), "int64" if kind == "integer" else str(kind))


def _docs(schema: Schema) -> dict[str, str]:
    described = {"": schema, **schema.get("properties", {})}
    return {name: part["description"] for name, part in described.items() if part.get("description")}
