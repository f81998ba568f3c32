"""Structural schemas, compiled: one node for each place in an object.

Source: Kubernetes documentation "Extend the Kubernetes API with CustomResourceDefinitions", "Specifying a structural schema".
"""

from dataclasses import dataclass, field
from typing import Any

from podling.api.schema import ANY, Shape, Type

Object = dict[str, Any]

ABSENT: Any = object()
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(slots=True)
class Node:
    """What may stand in one place. `schema` is the JSON schema of it, for the rules that only validation asks for.

    `additional` is the node of members that have no own; `open` keeps members that no node knows. `default` is ABSENT where there
    is none; `defaults` tells whether there is one here or below, `ruled` the same of rules.
    """

    schema: Object
    type: str = ""
    properties: "dict[str, Node]" = field(default_factory=dict)
    items: "Node | None" = None
    additional: "Node | None" = None
    open: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    default: Any = ABSENT
    defaults: bool = False
    ruled: bool = False
    list_type: str = ""
    keys: tuple[str, ...] = ()
    all_of: "tuple[Node, ...]" = ()
    any_of: "tuple[Node, ...]" = ()
    one_of: "tuple[Node, ...]" = ()
    negated: "Node | None" = None

    @property
    def chooses(self) -> bool:
        return bool(self.all_of or self.any_of or self.one_of or self.negated is not None)


def compile_node(schema: Object) -> Node:
    """The node of a structural JSON schema (JSONSchemaProps)."""
    items = schema.get("items")
    additional = schema.get("additionalProperties")
    node = Node(
        schema,
        schema.get("type") or "",
        {name: compile_node(below) for name, below in (schema.get("properties") or {}).items()},
        compile_node(items) if isinstance(items, dict) else None,
        compile_node(additional) if isinstance(additional, dict) else Node({}, open=True) if additional is True else None,
        bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        bool(schema.get("x-kubernetes-embedded-resource")),
        bool(schema.get("x-kubernetes-int-or-string")),
        bool(schema.get("nullable")),
        schema.get("default", ABSENT),
        list_type=schema.get("x-kubernetes-list-type") or "",
        keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        all_of=_each(schema.get("allOf")),
        any_of=_each(schema.get("anyOf")),
        one_of=_each(schema.get("oneOf")),
        negated=compile_node(schema["not"]) if schema.get("not") else None,
    )
    below = [*node.properties.values(), *(each for each in (node.items, node.additional) if each is not None)]
    node.defaults = node.default is not ABSENT or any(each.defaults for each in below)
    node.ruled = bool(schema.get("x-kubernetes-validations")) or any(each.ruled for each in below)
    return node


def _each(schemas: list[Object] | None) -> tuple[Node, ...]:
    return tuple(compile_node(schema) for schema in schemas or ())


def compile_root(schema: Object) -> Node:
    """The node of a whole object, whose metadata is the server's to check."""
    node = compile_node(schema)
    for name in ("apiVersion", "kind"):
        node.properties[name] = Node({"type": "string"}, "string")
    node.properties["metadata"] = Node({"type": "object"}, "object", open=True)
    return node


class Types:
    """The same nodes as types of the schema table, for server-side apply."""

    def __init__(self, name: str, root: Node) -> None:
        self.found: dict[str, Type] = {}
        self._prefix = name
        self.shape = self._shape(root, "")
        self.found[self.shape.type_name].fields["metadata"] = Shape("type", type_name=OBJECT_META)

    def _shape(self, node: Node, path: str) -> Shape:
        if node.type == "array":
            item = self._shape(node.items, f"{path}[]") if node.items is not None else ANY
            return Shape("list", item=item, kind=node.list_type or "atomic", keys=node.keys)
        kind = node.schema.get("x-kubernetes-map-type") or ""
        if node.properties or (node.type == "object" and node.additional is None and path == ""):
            return self._structure(node, path, kind)
        if node.additional is not None:
            return Shape("map", item=self._shape(node.additional, f"{path}{{}}"), kind=kind)
        return ANY if not kind else Shape("map", item=ANY, kind=kind)

    def _structure(self, node: Node, path: str, kind: str) -> Shape:
        name = f"{self._prefix}#{path}"
        fields = {each: self._shape(below, f"{path}.{each}") for each, below in node.properties.items()}
        self.found[name] = Type(name, fields)
        return Shape("type", type_name=name, kind=kind)
