"""Values on their way in: what the schema doesn't know is pruned, what the client left out is filled in.

Source: Kubernetes documentation "Extend the Kubernetes API with CustomResourceDefinitions", "Field pruning", "Defaulting".
"""

from typing import Any

from podling.api.custom.node import ABSENT, OBJECT_META, Node
from podling.api.decode import Decoded, DecodeError, decode
from podling.api.objects import thaw
from podling.api.schema import schemas

Object = dict[str, Any]

_TYPE = ("apiVersion", "kind", "metadata")


def prune(obj: Object, root: Node) -> Decoded:
    """A clean copy of `obj`, and the paths of what was dropped. Raises DecodeError for metadata of wrong types."""
    unknown: list[str] = []
    metadata = clean_metadata(obj.get("metadata"), "metadata", unknown)
    return Decoded({**prune_body(obj, root, unknown), "metadata": metadata}, unknown)


def prune_body(obj: Object, root: Node, unknown: list[str]) -> Object:
    """`obj` without its metadata and what the schema doesn't know, which `unknown` gets the paths of."""
    pruned: Object = _prune({name: value for name, value in obj.items() if name != "metadata"}, root, "", unknown)
    return pruned


def clean_metadata(metadata: Any, path: str, unknown: list[str]) -> Object:
    if not isinstance(metadata, dict):
        raise DecodeError(f"{path}: Invalid value: must be an object")
    decoded = decode(metadata, schemas().type(OBJECT_META))
    unknown += [f"{path}.{each}" for each in decoded.unknown]
    return decoded.obj


def _prune(value: Any, node: Node, path: str, unknown: list[str]) -> Any:
    if type(value) is list:
        items = node.items
        return [_prune(each, items, f"{path}[{n}]", unknown) for n, each in enumerate(value)] if items is not None else value
    if type(value) is not dict:
        return value
    result = {}
    for name, item in value.items():
        below = node.properties.get(name, node.additional)
        here = f"{path}.{name}" if path else name
        if node.embedded and name == "metadata":
            result[name] = clean_metadata(item, here, unknown) if isinstance(item, dict) else item
        elif below is not None:
            if item is not None or below.nullable or below.default is ABSENT:
                result[name] = _prune(item, below, here, unknown)
        elif node.open or (node.embedded and name in _TYPE):
            result[name] = item
        else:
            unknown.append(here)
    return result


def fill(value: Any, node: Node) -> None:
    """Put the schema's defaults where nothing stands, in place."""
    if not node.defaults:
        return
    if type(value) is list:
        if node.items is not None:
            for each in value:
                fill(each, node.items)
        return
    if type(value) is not dict:
        return
    for name, below in node.properties.items():
        if not below.defaults:
            continue
        if below.default is not ABSENT and (name not in value or (value[name] is None and not below.nullable)):
            value[name] = thaw(below.default)
        if name in value:
            fill(value[name], below)
    if node.additional is not None and node.additional.defaults:
        for name, item in value.items():
            if name not in node.properties:
                fill(item, node.additional)
