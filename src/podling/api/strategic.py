"""Strategic merge patches: merge patches that know which lists are maps, driven by the schema.

Source: Kubernetes community, "Strategic merge patch" (the directives $patch, $retainKeys, $deleteFromPrimitiveList and
$setElementOrder); k8s.io/apimachinery util/strategicpatch (order of a merged list).
"""

from typing import Any

from podling.api.objects import Object
from podling.api.schema import ANY, Schemas, Shape, Type, schemas

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"

# Keys of a map-list may be left out where the API has a default.
_KEY_DEFAULTS = {"protocol": "TCP"}


class PatchError(ValueError):
    """The patch contradicts itself, the schema, or the object."""


def strategic_patch(obj: Object, patch: Any, kind: Type, table: Schemas | None = None) -> Object:
    """`obj`, which is of type `kind`, with `patch` merged; neither is changed. Raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("error decoding patch: a strategic merge patch is an object")
    return _Merger(table or schemas()).object(obj, patch, Shape("type", type_name=kind.name))


class _Merger:
    __slots__ = ("_table",)

    def __init__(self, table: Schemas) -> None:
        self._table = table

    def object(self, old: Object, patch: Object, shape: Shape) -> Object:
        directive = patch.get(_PATCH)
        if directive == "replace":
            return self._fresh_object(patch, shape)
        if directive == "delete":
            return {}
        if directive not in (None, "merge"):
            raise PatchError(f"unknown patch type '{directive}' in map")
        result = _retained(old, patch)
        for name, value in patch.items():
            if not name.startswith("$"):
                self._member(result, name, value, patch, self._below(shape, name))
        self._lists_without_patch(result, patch, shape)
        return result

    def _below(self, shape: Shape, name: str) -> Shape:
        """The shape of a member; ANY where the schema doesn't know."""
        if shape.form == "type":
            return self._table.type(shape.type_name).fields.get(name, ANY)
        return shape.item or ANY if shape.form == "map" else ANY

    def _member(self, result: Object, name: str, value: Any, patch: Object, shape: Shape) -> None:
        old = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            if isinstance(old, dict) and "replace" not in shape.strategies:
                result[name] = self.object(old, value, shape)
            elif value.get(_PATCH) != "delete":
                result[name] = self._fresh(value, shape)
        elif isinstance(value, list) and "merge" in shape.strategies:
            kept = _without(old or [], patch.get(_DELETE_FROM + name))
            result[name] = self._list(kept, value, patch.get(_ORDER + name), shape)
        else:
            result[name] = self._fresh(value, shape)

    def _lists_without_patch(self, result: Object, patch: Object, shape: Shape) -> None:
        """Lists that directives alone speak of."""
        for directive in (_DELETE_FROM, _ORDER):
            for key in patch:
                name = key.removeprefix(directive)
                if name == key or name in patch or not isinstance(result.get(name), list):
                    continue
                below = self._below(shape, name)
                if directive == _DELETE_FROM:
                    result[name] = _without(result[name], patch[key])
                else:
                    result[name] = _ordered(result[name], patch[key], result[name], below.merge_key)

    def _fresh(self, value: Any, shape: Shape) -> Any:
        """A value that meets nothing old: its nulls and directives fall away."""
        if isinstance(value, dict):
            return self._fresh_object(value, shape)
        if isinstance(value, list) and "merge" in shape.strategies:
            item_shape = shape.item or ANY
            return [self._fresh(item, item_shape) for item in value if not shape.merge_key or _directive(item) is None]
        return value

    def _fresh_object(self, value: Object, shape: Shape) -> Object:
        return self.object({}, {name: item for name, item in value.items() if name != _PATCH}, shape)

    def _list(self, old: list[Any], patch: list[Any], order: list[Any] | None, shape: Shape) -> list[Any]:
        if not shape.merge_key:
            merged = old + [value for index, value in enumerate(patch) if value not in old and value not in patch[:index]]
        else:
            merged = self._map_list(old, patch, shape)
        if order is None:
            return merged
        key = shape.merge_key
        _check_order(patch, order, key)
        return _ordered(merged, order, old, key)

    def _map_list(self, old: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
        """Items with the same merge key merge; others come after."""
        items = [item for item in patch if _directive(item) not in ("delete", "replace")]
        if any(_directive(item) == "replace" for item in patch):
            result: list[Any] = []
        else:
            gone = [_key(item, shape.merge_key) for item in patch if _directive(item) == "delete"]
            result = [item for item in old if item.get(shape.merge_key) not in gone]
        item_shape = shape.item or ANY
        known = list(result)
        for item in items:
            index = _find(known, item, shape)
            if index is None:
                result.append(self._fresh(item, item_shape))
            else:
                known[index] = result[index] = self.object(result[index], item, item_shape)
        return result


def _directive(item: Any) -> str | None:
    if not isinstance(item, dict):
        raise PatchError("unable to merge a list of maps with a list of other things")
    directive = item.get(_PATCH)
    if directive not in (None, "merge", "replace", "delete"):
        raise PatchError(f"unexpected patch type: {directive}")
    return directive


def _key(item: Object, merge_key: str) -> Any:
    if merge_key not in item:
        raise PatchError(f"map: {item} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _find(items: list[Any], wanted: Object, shape: Shape) -> int | None:
    """The item with `wanted`'s merge key; of several, the one that agrees in the list's other keys too."""
    key = _key(wanted, shape.merge_key)
    found = [index for index, item in enumerate(items) if item.get(shape.merge_key) == key]
    if len(found) < 2:
        return found[0] if found else None
    identity = _identity(wanted, shape)
    return next((index for index in found if _identity(items[index], shape) == identity), found[0])


def _identity(item: Object, shape: Shape) -> list[Any]:
    return [item.get(key, _KEY_DEFAULTS.get(key)) for key in shape.keys]


def _retained(old: Object, patch: Object) -> Object:
    """`old`, a copy, less what $retainKeys doesn't list."""
    keys = patch.get(_RETAIN)
    if keys is None:
        return dict(old)
    if not isinstance(keys, list):
        raise PatchError("invalid patch format of retainKeys")
    if any(name not in keys and not name.startswith("$") and value is not None for name, value in patch.items()):
        raise PatchError("invalid patch format of retainKeys: it must list all keys of the patch")
    return {name: value for name, value in old.items() if name in keys}


def _without(items: list[Any], gone: Any) -> list[Any]:
    if gone is None:
        return list(items)
    if not isinstance(gone, list):
        raise PatchError("invalid patch format of primitive list")
    return [item for item in items if item not in gone]


def _mark(item: Any, merge_key: str) -> Any:
    return item.get(merge_key) if merge_key and isinstance(item, dict) else item


def _check_order(patch: list[Any], order: Any, merge_key: str) -> None:
    """What is patched must stand in the wanted order, in that order."""
    if not isinstance(order, list):
        raise PatchError("invalid patch format of setElementOrder list")
    wanted = [_mark(item, merge_key) for item in order]
    given = [_mark(item, merge_key) for item in patch if not (isinstance(item, dict) and _PATCH in item)]
    rest = iter(wanted)
    if not all(any(mark == candidate for candidate in rest) for mark in given):
        raise PatchError(f"The order in patch list:\n{given}\n doesn't match setElementOrder list:\n{wanted}\n")


def _ordered(merged: list[Any], order: Any, old: list[Any], merge_key: str) -> list[Any]:
    """What `order` names, in its order; what it doesn't stays before those that it stood before."""
    if not isinstance(order, list):
        raise PatchError("invalid patch format of setElementOrder list")
    wanted = [_mark(item, merge_key) for item in order]
    before = [_mark(item, merge_key) for item in old]
    named = [item for item in merged if _mark(item, merge_key) in wanted]
    named.sort(key=lambda item: wanted.index(_mark(item, merge_key)))
    others = [item for item in merged if _mark(item, merge_key) not in wanted]
    result = []
    while named and others:
        first, second = _mark(others[0], merge_key), _mark(named[0], merge_key)
        stays = first in before and second in before and before.index(first) < before.index(second)
        result.append(others.pop(0) if stays else named.pop(0))
    return result + others + named
