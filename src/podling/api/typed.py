"""Objects along their schema: which fields they have, how two of them differ, and merging an intent into what is there.

A list is atomic, a set, or a map of items by keys; a map or a structure is granular or atomic. What the schema doesn't know is
granular in maps and atomic in lists. Source: sigs.k8s.io/structured-merge-diff typed; Kubernetes documentation "Server-Side
Apply", "Merge strategy".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from podling.api.elements import ELEMENT, KEY_DEFAULTS, element, indexed
from podling.api.fieldset import LEAF, SELF, FieldSet, below, describe, is_member, union
from podling.api.nodes import Nodes
from podling.api.schema import ANY, Schemas, Shape

Object = dict[str, Any]


class NotMergeable(ValueError):
    """An item has no key, or two have the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one object to another: the fields that are new or have another value, and those that are gone."""

    changed: FieldSet
    removed: FieldSet


class Typed:
    """The walks over objects of the types in one table."""

    __slots__ = ("_nodes", "_table")

    def __init__(self, table: Schemas) -> None:
        self._table = table
        self._nodes = Nodes(table)

    # shapes

    def _members(self, shape: Shape) -> tuple[Mapping[str, Shape] | None, Shape]:
        """The named members of a structure (None for other shapes), and the shape of all others."""
        if shape.form == "type":
            kind = self._table.type(shape.type_name)
            return (kind.fields, ANY) if kind.shape is None else self._members(kind.shape)
        return None, shape.item or ANY if shape.form == "map" else ANY

    def _is_atomic(self, shape: Shape, value: Any) -> bool:
        """Whether `value` is owned as a whole."""
        kind = type(value)
        if kind is dict:
            if shape.kind == "atomic":
                return True
            return shape.form == "type" and self._table.type(shape.type_name).atomic
        return kind is not list or shape.form != "list" or shape.kind not in ("set", "map")

    # fields

    def fields(self, value: Any, shape: Shape) -> FieldSet:
        """What whoever wishes for `value` owns: its leaves, and the items of its lists and maps."""
        if self._is_atomic(shape, value):
            return LEAF
        if type(value) is list:
            nodes = {key: self.fields(item, shape.item or ANY) for key, item in indexed(value, shape).items()}
            return {key: node if is_member(node) else {SELF: LEAF, **node} for key, node in nodes.items()}
        found: FieldSet = {}
        named, other = self._members(shape)
        for name, item in value.items():
            is_named = named is not None and name in named
            below_shape = named[name] if named is not None and is_named else other
            node = self.fields(item, below_shape)
            if node:
                found[ELEMENT[name]] = node if is_named else {SELF: LEAF, **node}
            elif item == {} or not is_named or self._is_atomic(below_shape, item):
                found[ELEMENT[name]] = LEAF
        return found

    def all_in(self, obj: Object, shape: Shape) -> FieldSet:
        """All fields of a new object."""
        named, other = self._members(shape)
        found: FieldSet = {}
        for name, item in obj.items():
            below_shape = named.get(name, ANY) if named is not None else other
            found[ELEMENT[name]] = self._nodes.again(below_shape, item)
        return found

    def everything(self, value: Any, shape: Shape) -> FieldSet:
        """The node of a value that is new: every structure, list and map in it is a field too."""
        return self._nodes.of(shape)(value)

    # differences

    def compare(self, old: Object, new: Object, shape: Shape) -> Difference:
        """From `old` to `new`; what is the same is passed over at the speed of `==`."""
        changed: FieldSet = {}
        removed: FieldSet = {}
        self._compare_members(old, new, shape, changed, removed)
        return Difference(changed, removed)

    def _compare(self, old: Any, new: Any, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
        """Two different containers that aren't atomic; fills `changed` and `removed`."""
        if type(old) is list:
            self._compare_items(indexed(old, shape), indexed(new, shape), shape.item or ANY, changed, removed)
        else:
            self._compare_members(old, new, shape, changed, removed)

    def _compare_items(
        self, before: dict[str, Any], after: dict[str, Any], shape: Shape, changed: FieldSet, removed: FieldSet
    ) -> None:
        for key, item in after.items():
            if key not in before:
                changed[key] = self.everything(item, shape)
            elif before[key] != item:
                self._compare_one(key, before[key], item, shape, changed, removed)
        for key, item in before.items():
            if key not in after:
                removed[key] = self.everything(item, shape)

    def _compare_members(self, old: Object, new: Object, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
        named, other = self._members(shape)
        for name, item in new.items():
            if name not in old:
                changed[ELEMENT[name]] = self.everything(item, named.get(name, ANY) if named is not None else other)
            elif old[name] != item:
                below_shape = named.get(name, ANY) if named is not None else other
                self._compare_one(ELEMENT[name], old[name], item, below_shape, changed, removed)
        for name, item in old.items():
            if name not in new:
                removed[ELEMENT[name]] = self.everything(item, named.get(name, ANY) if named is not None else other)

    def _compare_one(self, key: str, old: Any, new: Any, shape: Shape, changed: FieldSet, removed: FieldSet) -> None:
        was_leaf, is_leaf = self._is_atomic(shape, old), self._is_atomic(shape, new)
        if was_leaf or is_leaf or type(old) is not type(new):
            changed[key] = LEAF if is_leaf else self.everything(new, shape)
            if not was_leaf:
                removed[key] = below(self.everything(old, shape))
            return
        inner_changed: FieldSet = {}
        inner_removed: FieldSet = {}
        self._compare(old, new, shape, inner_changed, inner_removed)
        if inner_changed:
            changed[key] = inner_changed
        if inner_removed:
            removed[key] = inner_removed

    # merging

    def merge(self, live: Object, wish: Object, shape: Shape) -> Object:
        """`live` with all that `wish` says; neither is changed. Raises NotMergeable."""
        merged: Object = self._merge(live, wish, shape, "")
        return merged

    def _merge(self, live: Any, wish: Any, shape: Shape, path: str) -> Any:
        if type(live) is not type(wish) or self._is_atomic(shape, wish):
            self._check(wish, shape, path)
            return wish
        if type(wish) is list:
            return self._merge_lists(live, wish, shape, path)
        named, other = self._members(shape)
        result = dict(live)
        for name, item in wish.items():
            result[name] = self._merge(live.get(name), item, (named or {}).get(name, other), f"{path}.{name}")
        return result

    def _merge_lists(self, live: list[Any], wish: list[Any], shape: Shape, path: str) -> list[Any]:
        """In the order that is wished; what only `live` has stays before what it stood before."""
        wished = self._keyed(wish, shape, path)
        known = indexed(live, shape)
        shared = [key for key in wished if key in known]
        waiting = list(wished)
        result = []
        for index, item in enumerate(live):
            key = element(item, shape, index)
            if key not in wished:
                result.append(item)
            elif shared and key == shared[0]:
                end = waiting.index(key) + 1
                result += [self._item(known, wished, each, shape, path) for each in waiting[:end]]
                waiting = waiting[end:]
                shared = [each for each in shared if each in waiting]
        return result + [self._item(known, wished, each, shape, path) for each in waiting]

    def _item(self, known: Mapping[str, Any], wished: Mapping[str, Any], key: str, shape: Shape, path: str) -> Any:
        return self._merge(known.get(key), wished[key], shape.item or ANY, path + describe((key,)))

    def _keyed(self, wish: list[Any], shape: Shape, path: str) -> dict[str, Any]:
        """Items by key; a wish has each once, and with all its keys."""
        found: dict[str, Any] = {}
        for index, item in enumerate(wish):
            for name in shape.keys if shape.kind == "map" else ():
                if not isinstance(item, dict) or (item.get(name) is None and name not in KEY_DEFAULTS):
                    raise NotMergeable(
                        f"{path}: element {index}: associative list with keys has an element that omits key field "
                        f'"{name}" (and doesn\'t have default value)'
                    )
            key = element(item, shape, index)
            if key in found:
                raise NotMergeable(f"{path}: duplicate entries for key {describe((key,))}")
            found[key] = item
        return found

    def _check(self, wish: Any, shape: Shape, path: str) -> None:
        """What meets nothing must be mergeable too."""
        if self._is_atomic(shape, wish):
            return
        if type(wish) is list:
            for key, item in self._keyed(wish, shape, path).items():
                self._check(item, shape.item or ANY, path + describe((key,)))
            return
        named, other = self._members(shape)
        for name, item in wish.items():
            if type(item) is dict or type(item) is list:
                self._check(item, (named or {}).get(name, other), f"{path}.{name}")

    # removal

    def prune(self, value: Object, last: FieldSet, owned: FieldSet, shape: Shape) -> Object:
        """`value` without what is in `last` and not in `owned`. A structure of which nothing is owned goes whole."""
        pruned: Object = self._prune(value, last, owned, shape)
        return pruned

    def _prune(self, value: Any, last: FieldSet, owned: FieldSet, shape: Shape) -> Any:
        if not last or self._is_atomic(shape, value):
            return value
        if type(value) is list:
            return self._prune_list(value, last, owned, shape)
        named, other = self._members(shape)
        result = {}
        for name, item in value.items():
            key = ELEMENT[name]
            was = last.get(key)
            if was is None:
                result[name] = item
                continue
            is_named = named is not None and name in named
            mine = owned.get(key)
            if (is_named or is_member(was)) and (mine is None or not (is_named or is_member(mine))):
                continue
            left = self._prune(item, below(was), below(mine or LEAF), (named or {}).get(name, other))
            if left or not item or is_member(mine) or type(item) not in (dict, list):
                result[name] = left
        return result

    def _prune_list(self, value: list[Any], last: FieldSet, owned: FieldSet, shape: Shape) -> list[Any]:
        result = []
        for index, item in enumerate(value):
            key = element(item, shape, index)
            was, mine = last.get(key), owned.get(key)
            if was is None:
                result.append(item)
            elif not is_member(was) or is_member(mine):
                result.append(self._prune(item, below(was), below(mine or LEAF), shape.item or ANY))
        return result


def all_of(sets: Iterable[FieldSet]) -> FieldSet:
    """The union of `sets`."""
    result: FieldSet = {}
    for fields in sets:
        result = union(result, fields)
    return result
