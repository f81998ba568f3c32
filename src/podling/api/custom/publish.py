"""What OpenAPI documents say about a custom kind. Source: k8s.io/apiextensions-apiserver controller/openapi/builder."""

from typing import Any

Object = dict[str, Any]

_DOCUMENTED = {
    "apiVersion": (
        "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas "
        "to the latest internal value, and may reject unrecognized values. More info: "
        "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
    ),
    "kind": (
        "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint "
        "the client submits requests to. Cannot be updated. In CamelCase. More info: "
        "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
    ),
}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
COMPONENTS = "#/components/schemas/"


def published(schema: Object, group: str, version: str, names: Object) -> dict[str, Object]:
    """The components of a kind and of its list, by name; the kind's own comes first."""
    prefix = ".".join([*reversed(group.split(".")), version])
    own, its_list = f"{prefix}.{names['kind']}", f"{prefix}.{names.get('listKind') or names['kind'] + 'List'}"
    kind = {"type": "object", **schema, "x-kubernetes-group-version-kind": [_named(group, version, names["kind"])]}
    typed = {name: {"description": text, "type": "string"} for name, text in _DOCUMENTED.items()}
    metadata = {"description": "Standard object's metadata.", "allOf": [{"$ref": f"{COMPONENTS}{_META}ObjectMeta"}]}
    kind["properties"] = {**typed, "metadata": metadata, **_own(schema)}
    items = {"description": f"List of {names['plural']}.", "type": "array", "items": {"$ref": f"{COMPONENTS}{own}"}}
    list_metadata = {"description": "Standard list metadata.", "allOf": [{"$ref": f"{COMPONENTS}{_META}ListMeta"}]}
    listed = {
        "description": f"{its_list.rpartition('.')[2]} is a list of {names['kind']}",
        "type": "object",
        "required": ["items"],
        "properties": {**typed, "items": items, "metadata": list_metadata},
        "x-kubernetes-group-version-kind": [_named(group, version, its_list.rpartition(".")[2])],
    }
    return {own: kind, its_list: listed}


def _own(schema: Object) -> Object:
    return {name: below for name, below in (schema.get("properties") or {}).items() if name not in (*_DOCUMENTED, "metadata")}


def _named(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}
