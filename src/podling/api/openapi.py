"""OpenAPI v3: a document for each group and version, made from the kinds and the schema table.

For `kubectl explain`, for clients that choose how to patch, for generators. Source: OpenAPI 3.0.0; Kubernetes documentation
"The Kubernetes API: OpenAPI V3" and the x-kubernetes extensions.
"""

from podling.api.kind import Kind, Subresource
from podling.api.objects import Object, group_of, version_of
from podling.api.schema import Shape, Type, docs, schemas

VERSION = "v1.36.0"
_COMPONENTS = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_TIME, _MICRO_TIME = f"{_META}Time", f"{_META}MicroTime"
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"$ref": _COMPONENTS + _TIME},
    "micro-time": {"$ref": _COMPONENTS + _MICRO_TIME},
    "quantity": {"$ref": _COMPONENTS + _QUANTITY},
    "int-or-string": {"$ref": _COMPONENTS + _INT_OR_STRING},
}
_NAMED: dict[str, Object] = {
    _TIME: {"type": "string", "format": "date-time"},
    _MICRO_TIME: {"type": "string", "format": "date-time"},
    _QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    _INT_OR_STRING: {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
}
# The source of the table has no defaults; these stand in keys of lists.
_DEFAULTS = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
}


def document(kinds: list[Kind]) -> Object:
    """The document of one group and version, which all `kinds` are of."""
    paths: Object = {}
    for kind in kinds:
        paths |= _paths(kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": _components(kinds)},
    }


def _components(kinds: list[Kind]) -> Object:
    table = schemas()
    roots = [f"{_META}{name}" for name in ("DeleteOptions", "Status", "Patch", "WatchEvent")]
    for kind in kinds:
        wanted = [(kind.api_version, kind.kind), (kind.api_version, kind.list_kind)]
        wanted += [(sub.api_version or kind.api_version, sub.kind) for sub in kind.subresources if sub.kind]
        roots += [found.name for key in wanted if (found := table.of_kind(*key))]
    if any(kind.published for kind in kinds):
        roots += [f"{_META}{name}" for name in ("ObjectMeta", "ListMeta")]
    words = docs()
    named = {name: _component(table.type(name), words.get(name, {})) for name in table.reachable(roots)}
    custom = {name: schema for kind in kinds for name, schema in kind.published.items()}
    return dict(sorted({**named, **_NAMED, **custom}.items()))


def _component(kind: Type, words: dict[str, str]) -> Object:
    result: Object = {"description": words[""]} if "" in words else {}
    if kind.shape is not None:
        return result | _shape(kind.shape)
    result["type"] = "object"
    result["properties"] = {name: _property(kind, name, shape, words.get(name, "")) for name, shape in kind.fields.items()}
    if kind.required:
        result["required"] = sorted(kind.required)
    if kind.gvks:
        result["x-kubernetes-group-version-kind"] = [
            {"group": group, "version": version, "kind": name} for group, version, name in kind.gvks
        ]
    if kind.atomic:
        result["x-kubernetes-map-type"] = "atomic"
    return result


def _property(owner: Type, name: str, shape: Shape, words: str) -> Object:
    schema = _shape(shape)
    if "$ref" in schema:  # a reference may have no siblings
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    if (default := _DEFAULTS.get((owner.name, name))) is not None:
        schema["default"] = default
    return {"description": words, **schema} if words else schema


def _shape(shape: Shape) -> Object:
    schema: Object
    match shape.form:
        case "scalar":
            schema = dict(_SCALARS[shape.scalar])
        case "type":
            schema = {"$ref": _COMPONENTS + shape.type_name}
        case "list":
            schema = {"type": "array", "items": _item(shape)}
        case "map":
            schema = {"type": "object", "additionalProperties": _item(shape)}
        case _:
            schema = {"type": "object"}
    return schema | _extensions(shape)


def _item(shape: Shape) -> Object:
    schema = _shape(shape.item) if shape.item else {}
    return {"allOf": [schema]} if "$ref" in schema else schema


def _extensions(shape: Shape) -> Object:
    found: Object = {}
    if shape.kind:
        found[f"x-kubernetes-{'list' if shape.form == 'list' else 'map'}-type"] = shape.kind
    if shape.keys:
        found["x-kubernetes-list-map-keys"] = list(shape.keys)
    if shape.merge_key:
        found["x-kubernetes-patch-merge-key"] = shape.merge_key
    if shape.strategies:
        found["x-kubernetes-patch-strategy"] = ",".join(shape.strategies)
    return found


_ON_COLLECTION = {"list": "get", "create": "post", "deletecollection": "delete"}
_ON_ITEM = {"get": "get", "update": "put", "patch": "patch", "delete": "delete", "create": "post"}
_LIST_QUERY = (
    "allowWatchBookmarks:boolean continue fieldSelector labelSelector limit:integer resourceVersion resourceVersionMatch "
    "sendInitialEvents:boolean timeoutSeconds:integer watch:boolean"
)
_WRITE_QUERY = "dryRun fieldManager fieldValidation"
_QUERY = {
    "list": _LIST_QUERY,
    "deletecollection": f"{_LIST_QUERY} dryRun gracePeriodSeconds:integer propagationPolicy",
    "create": _WRITE_QUERY,
    "update": _WRITE_QUERY,
    "patch": f"{_WRITE_QUERY} force:boolean",
    "delete": "dryRun gracePeriodSeconds:integer orphanDependents:boolean propagationPolicy",
}


def _paths(kind: Kind) -> Object:
    base = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    collection = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    found: Object = {}
    if kind.namespaced and "list" in kind.verbs:
        found[f"{base}/{kind.plural}"] = _path(kind, {"list": "get"}, ("list",), everywhere=True)
    found[collection] = _path(kind, _ON_COLLECTION, kind.verbs)
    if not kind.create_only:
        item = f"{collection}/{{name}}"
        verbs = tuple(verb for verb in kind.verbs if verb != "create")
        found[item] = _path(kind, _ON_ITEM, verbs, named=True)
        for sub in kind.subresources:
            found[f"{item}/{sub.name}"] = _path(kind, _ON_ITEM, sub.verbs, named=True, sub=sub)
    return found


def _path(
    kind: Kind,
    methods: dict[str, str],
    verbs: tuple[str, ...],
    *,
    named: bool = False,
    everywhere: bool = False,
    sub: Subresource | None = None,
) -> Object:
    """The operations on one path. `everywhere`: over all namespaces; `named`: on one object."""
    suffix = sub.name.title() if sub else "Everywhere" if everywhere else ""
    path: Object = {method: _operation(kind, verb, sub, suffix) for verb, method in methods.items() if verb in verbs}
    variables = ["name"] if named else []
    if kind.namespaced and not everywhere:
        variables.append("namespace")
    path["parameters"] = [_parameter(name, "path") for name in variables]
    return path


def _operation(kind: Kind, verb: str, sub: Subresource | None, suffix: str) -> Object:
    api_version = (sub and sub.api_version) or kind.api_version
    name = (sub and sub.kind) or kind.kind
    answered = kind.list_kind if verb == "list" else "Status" if verb.startswith("delete") else name
    operation: Object = {
        "operationId": f"{verb}{kind.group.title().replace('.', '')}{kind.version.title()}{kind.kind}{suffix}",
        "responses": {"200": {"description": "OK", "content": {"application/json": _content(kind, api_version, answered)}}},
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": {"group": group_of(api_version), "version": version_of(api_version), "kind": name},
    }
    if query := _QUERY.get(verb):
        operation["parameters"] = [_parameter(*entry.split(":")) for entry in query.split()]
    if verb == "patch":
        content = {media: {"schema": {"$ref": f"{_COMPONENTS}{_META}Patch"}} for media in _patch_types(kind)}
        operation["requestBody"] = {"content": content, "required": True}
    elif verb in ("create", "update"):
        operation["requestBody"] = {"content": {"*/*": _content(kind, api_version, name)}, "required": True}
    return operation


def _patch_types(kind: Kind) -> tuple[str, ...]:
    """kubectl chooses by this how to patch; kinds that stand in no table can't be merged strategically."""
    return tuple(media for media in _PATCH_TYPES if not (kind.published and "strategic" in media))


def _parameter(name: str, kind: str = "string") -> Object:
    if kind == "path":
        return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


def _content(owner: Kind, api_version: str, kind: str) -> Object:
    """What goes over a path of `owner`: an object of `kind`."""
    if owner.published and api_version == owner.api_version and kind in (owner.kind, owner.list_kind):
        own, its_list = owner.published
        return {"schema": {"$ref": _COMPONENTS + (own if kind == owner.kind else its_list)}}
    found = schemas().of_kind(api_version, kind)
    if found is None:
        return {"schema": {"$ref": f"{_COMPONENTS}{_META}Status"}} if kind == "Status" else {"schema": {"type": "string"}}
    return {"schema": {"$ref": _COMPONENTS + found.name}}
