"""The fields of a new value, along its schema: compiled for each shape when it is first met.

Nodes are shared. Two structures with the same members have the same node, but for members that are themselves granular.
"""

from collections.abc import Callable
from typing import Any

import orjson

from podling.api.elements import ELEMENT, KEYED, element
from podling.api.fieldset import LEAF, SELF, FieldSet
from podling.api.schema import ANY, Schemas, Shape, Type

Node = Callable[[Any], FieldSet]
"""The node of a value: a leaf for what is empty or owned as a whole."""

_KNOWN = 2_000  # sets of names that are remembered for one shape
_AGAIN = 256  # values


class Nodes:
    """Functions from values to nodes, for the shapes over one table."""

    __slots__ = ("_again", "_found", "_table", "_types")

    def __init__(self, table: Schemas) -> None:
        self._table = table
        self._found: dict[int, tuple[Shape, Node]] = {}
        self._types: dict[str, Node] = {}
        self._again: dict[tuple[int, bytes], FieldSet] = {}

    def of(self, shape: Shape) -> Node:
        """The function for `shape`. Shapes live as long as their table, so that they are known by where they are."""
        known = self._found.get(id(shape))
        if known is None or known[0] is not shape:
            known = self._found[id(shape)] = (shape, self._make(shape))
        return known[1]

    def again(self, shape: Shape, value: Any) -> FieldSet:
        """The node of a value that may have come before: the specification of a pod that is one of many."""
        if type(value) is not dict or not value:
            return self.of(shape)(value)
        key = id(shape), orjson.dumps(value)
        found = self._again.get(key)
        if found is None:
            if len(self._again) >= _AGAIN:
                self._again.clear()
            found = self._again[key] = self.of(shape)(value)
        return found

    def _make(self, shape: Shape) -> Node:
        if shape.form == "list":
            return self._list(shape)
        if shape.kind == "atomic":
            return _leaf
        if shape.form == "type":
            kind = self._table.type(shape.type_name)
            if kind.atomic:
                return _leaf
            return self._structure(kind) if kind.shape is None else self._map(kind.shape)
        return self._map(shape)

    def _structure(self, kind: Type) -> Node:
        found = self._types.get(kind.name)
        if found is None:
            found = self._types[kind.name] = _Members(self, kind.fields, ANY)
        return found

    def _map(self, shape: Shape) -> Node:
        return _Members(self, {}, shape.item or ANY if shape.form == "map" else ANY)

    def _list(self, shape: Shape) -> Node:
        anything = any_node if shape.kind != "atomic" else _leaf
        if shape.kind not in ("set", "map"):
            return lambda value: anything(value) if type(value) is dict else LEAF
        item_shape = shape.item or ANY
        single = shape.keys[0] if shape.kind == "map" and len(shape.keys) == 1 else ""

        def node(value: Any) -> FieldSet:
            if type(value) is not list or not value:
                return anything(value) if type(value) is dict else LEAF
            of_item = self.of(item_shape)
            found: FieldSet = {SELF: LEAF}
            for index, item in enumerate(value):
                if type(item) is not dict:
                    found[element(item, shape, index)] = LEAF
                elif single and type(key := item.get(single)) is str:
                    found[KEYED[single, key]] = of_item(item)
                else:
                    found[element(item, shape, index)] = of_item(item)
            return found

        return node


class _Members:
    """The nodes of structures and maps: what is the same for all with the same names is made once."""

    __slots__ = ("_known", "_named", "_nodes", "_other")

    def __init__(self, nodes: Nodes, named: dict[str, Shape], other: Shape) -> None:
        self._nodes = nodes
        self._named = named
        self._other = other
        self._known: dict[tuple[str, ...], tuple[FieldSet, tuple[tuple[str, str, Node], ...]]] = {}

    def __call__(self, value: Any) -> FieldSet:
        if type(value) is not dict or not value:
            return LEAF
        names = tuple(value)
        known = self._known.get(names)
        if known is None:
            known = self._learn(names)
        node, deep = known
        if deep:
            node = node.copy()
            for name, key, of in deep:
                node[key] = of(value[name])
        return node

    def _learn(self, names: tuple[str, ...]) -> tuple[FieldSet, tuple[tuple[str, str, Node], ...]]:
        """The node with leaves alone, and the members that may be more: (name, path element, its function)."""
        if len(self._known) >= _KNOWN:
            self._known.clear()
        node = {SELF: LEAF, **{ELEMENT[name]: LEAF for name in names}}
        shapes = ((name, self._named.get(name, self._other)) for name in names)
        deep = ((name, ELEMENT[name], self._nodes.of(shape)) for name, shape in shapes if shape.form != "scalar")
        known = self._known[names] = (node, tuple(each for each in deep if each[2] is not _leaf))
        return known


def any_node(value: Any) -> FieldSet:
    """The node of what no schema knows: objects are granular, lists are atomic."""
    if type(value) is not dict or not value:
        return LEAF
    return {SELF: LEAF, **{ELEMENT[name]: any_node(item) for name, item in value.items()}}


def _leaf(_: Any) -> FieldSet:
    return LEAF
