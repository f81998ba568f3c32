"""Path elements: how a member of an object or an item of a list is called in a set of fields.

Source: meta/v1 FieldsV1; sigs.k8s.io/structured-merge-diff fieldpath.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from podling.api.schema import Shape

# Keys that may be left out of a list's items, because the API has a default for them.
KEY_DEFAULTS = {"protocol": "TCP"}


class _Elements(dict[str, str]):
    """`f:NAME` by name, made once."""

    def __missing__(self, name: str) -> str:
        if len(self) > 10_000:
            self.clear()
        found = self[name] = f"f:{name}"
        return found


class _Keyed(dict[tuple[str, str], str]):
    """`k:{"NAME":"VALUE"}` by name and value, made once for those that come often."""

    def __missing__(self, key: tuple[str, str]) -> str:
        if len(self) > 10_000:
            self.clear()
        found = self[key] = f"k:{orjson.dumps(dict([key])).decode()}"
        return found


ELEMENT = _Elements()
KEYED = _Keyed()


def element(item: Any, shape: Shape, index: int) -> str:
    """The path element of a list's item. An item that has no key, which only old objects can have, is named by its index."""
    if shape.kind == "set":
        return f"v:{orjson.dumps(item).decode()}"
    if type(item) is not dict:
        return f"i:{index}"
    if len(shape.keys) == 1 and type(value := item.get(shape.keys[0])) is str:
        return KEYED[shape.keys[0], value]
    keys = {name: item.get(name, KEY_DEFAULTS.get(name)) for name in sorted(shape.keys)}
    if not keys or None in keys.values():
        return f"i:{index}"
    return f"k:{orjson.dumps(keys).decode()}"


def indexed(items: Iterable[Any], shape: Shape) -> dict[str, Any]:
    """A list's items by their path elements."""
    return {element(item, shape, index): item for index, item in enumerate(items)}
