"""The kinds that a definition makes: one for each version that is served.

Source: apiextensions.k8s.io/v1 CustomResourceDefinition; k8s.io/apiextensions-apiserver registry/customresource.
"""

from collections.abc import Callable, Iterator
from typing import Any

from podling.api.custom import rules, validate, values
from podling.api.custom.columns import columns
from podling.api.custom.jsonpath import compile_path
from podling.api.custom.node import Node, Types, compile_root
from podling.api.custom.publish import published
from podling.api.field import FieldError
from podling.api.kind import STATUS, VERBS, Kind, Scale, Subresource
from podling.api.managers import Structure
from podling.api.objects import get, is_deleting
from podling.api.schema import schemas
from podling.api.typed import Typed

Object = dict[str, Any]

_NOT_WISHED = ("apiVersion", "kind", "metadata", "status")


def served_kinds(definition: Object) -> list[Kind]:
    """The kinds of a definition whose names were accepted."""
    return [_kind(definition, version) for version in definition["spec"]["versions"] if version["served"]]


def stored_kind(definition: Object) -> Kind:
    """The kind of the version in which objects are stored, served or not."""
    return _kind(definition, next(version for version in definition["spec"]["versions"] if version["storage"]))


def _kind(definition: Object, version: Object) -> Kind:
    spec, names = definition["spec"], get(definition, "status.acceptedNames", definition["spec"]["names"])
    api_version = f"{spec['group']}/{version['name']}"
    schema = get(version, "schema.openAPIV3Schema", {})
    root = compile_root(schema)
    types = Types(f"{api_version}.{names['kind']}", root)
    converts = _converts(definition, api_version, root)
    return Kind(
        api_version=api_version,
        kind=names["kind"],
        unavailable=_unavailable(definition, version["name"], api_version),
        deprecation=_deprecation(version, api_version, names["kind"]),
        list_as=names.get("listKind") or "",
        plural=names["plural"],
        singular=names.get("singular") or "",
        short=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec["scope"] == "Namespaced",
        verbs=tuple(verb for verb in VERBS if verb != "create") if is_deleting(definition) else VERBS,
        subresources=_subresources(version),
        default=lambda obj: values.fill(obj, root),
        prepare=_prepare(bool(get(version, "subresources.status") is not None)),
        validate=lambda new, old: _errors(new, old, root),
        validate_status=lambda new, old: _errors(new, old, root),
        columns=columns(version),
        fields={path.lstrip("."): _reader(path) for path in _selectable(version)},
        structure=Structure(Typed(schemas().extended(types.found)), types.shape, innate=False),
        decode=lambda obj: values.prune(obj, root),
        published=published(schema, spec["group"], version["name"], names),
        stored_as=(spec["group"], names["plural"]) if converts else None,
        to_stored=_to(f"{spec['group']}/{_storage_version(spec)}") if converts else _as_it_is,
        from_stored=converts or _as_it_is,
    )


def _deprecation(version: Object, api_version: str, kind: str) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{api_version} {kind} is deprecated"


def _errors(new: Object, old: Object | None, root: Node) -> list[FieldError]:
    """Rules are for values that have the right form."""
    return [*validate.errors(new, old, root)] or [*rules.errors(new, old, root)]


def _subresources(version: Object) -> tuple[Subresource, ...]:
    found: list[Subresource] = []
    own = version.get("subresources") or {}
    if own.get("status") is not None:
        found.append(STATUS)
    if scale := own.get("scale"):
        paths = (scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or "")
        replicas, status_replicas, selector = (path.lstrip(".") for path in paths)
        found.append(Scale(replicas=replicas, status_replicas=status_replicas, selector=selector))
    return tuple(found)


def _prepare(has_status: bool) -> Callable[[Object, Object | None], None]:
    """A new object has no status of its own; the generation counts what changes beside metadata, and beside the status."""
    outside = _NOT_WISHED if has_status else _NOT_WISHED[:3]

    def wished(obj: Object) -> Object:
        return {name: value for name, value in obj.items() if name not in outside}

    def prepare(new: Object, old: Object | None) -> None:
        if old is None:
            if has_status:
                new.pop("status", None)
            new["metadata"]["generation"] = 1
        elif wished(new) != wished(old):
            new["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1

    return prepare


def _selectable(version: Object) -> Iterator[str]:
    return (field["jsonPath"] for field in version.get("selectableFields") or ())


def _reader(path: str) -> Callable[[Object], str]:
    read = compile_path(path)

    def value(obj: Object) -> str:
        found = read(obj)
        return "" if not found else str(found[0]).lower() if type(found[0]) is bool else str(found[0])

    return value


# versions


def _storage_version(spec: Object) -> str:
    return str(next(version["name"] for version in spec["versions"] if version["storage"]))


def _as_it_is(obj: Object) -> Object:
    return obj


def _to(api_version: str) -> Callable[[Object], Object]:
    """Conversion of strategy None: the same object under another version's name."""
    return lambda obj: {**obj, "apiVersion": api_version}


def _converts(definition: Object, api_version: str, root: Node) -> Callable[[Object], Object] | None:
    """How stored objects become objects of this version; None where they are it already.

    They may not be where there are several versions, or where the schema has got defaults after they were stored.
    """
    several = len(definition["spec"]["versions"]) > 1
    changed = root.defaults and definition["metadata"].get("generation", 1) > 1
    if not several and not changed:
        return None

    def convert(obj: Object) -> Object:
        converted = {**values.prune_body(obj, root, []), "apiVersion": api_version, "metadata": obj["metadata"]}
        values.fill(converted, root)
        return converted

    return convert


def _unavailable(definition: Object, version: str, api_version: str) -> str:
    """Why objects can't be shown in a version: those stored in others would have to be converted by a webhook."""
    spec = definition["spec"]
    if get(definition, "spec.conversion.strategy", "None") != "Webhook":
        return ""
    if {version, *get(definition, "status.storedVersions", [])} == {_storage_version(spec)}:
        return ""
    return f"conversion webhook for {api_version}, Kind={spec['names']['kind']} failed: webhooks that convert are not called here"
