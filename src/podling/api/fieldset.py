"""Sets of fields, in the form that managedFields keeps them: a trie whose keys are path elements.

An element is `f:NAME` (a member), `k:{"KEY":VALUE}` (a list's item by its keys), `v:VALUE` (a set's item) or `i:N` (an index). A
node is a member of the set when it is empty or has the key `.`; the root is never one, and an empty root is the empty set.
Sets share what they have in common and are never changed. Source: meta/v1 FieldsV1; sigs.k8s.io/structured-merge-diff fieldpath.
"""

from collections.abc import Iterator
from typing import Any

import orjson

FieldSet = dict[str, Any]
Path = tuple[str, ...]

SELF = "."
LEAF: FieldSet = {}
_PREFIXES = ("f:", "k:", "v:", "i:")


def is_member(node: FieldSet | None) -> bool:
    return node is not None and (not node or SELF in node)


def below(node: FieldSet) -> FieldSet:
    """The set of what lies below `node`."""
    return {key: child for key, child in node.items() if key != SELF} if SELF in node else node


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    if not one or not other or one is other:
        return one or other
    result = dict(one)
    for key, node in other.items():
        known = result.get(key)
        result[key] = node if known is None else _both(known, node)
    return result


def _both(one: FieldSet, other: FieldSet) -> FieldSet:
    """The node where two sets meet: empty nodes are members, not empty sets."""
    if not one or not other:
        more = one or other
        return more if not more or SELF in more else {SELF: LEAF, **more}
    return union(one, other)


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and not in `other`; `one` itself where they have nothing in common."""
    if one.keys().isdisjoint(other):
        return one
    result: FieldSet = {}
    for key, node in one.items():
        taken = other.get(key)
        if key == SELF:
            if taken is None:
                result[key] = node
        elif taken is None:
            result[key] = node
        elif (left := _less(node, taken)) is not None:
            result[key] = left
    return result


def _less(node: FieldSet, taken: FieldSet) -> FieldSet | None:
    return _node(is_member(node) and not is_member(taken), difference(below(node), below(taken)))


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    result: FieldSet = {}
    for key, node in one.items():
        match = other.get(key)
        if key != SELF and match is not None:
            common = _node(is_member(node) and is_member(match), intersection(below(node), below(match)))
            if common is not None:
                result[key] = common
    return result


def _node(member: bool, children: FieldSet) -> FieldSet | None:
    """A node of its parts; None where nothing is left."""
    if not children:
        return LEAF if member else None
    return {SELF: LEAF, **children} if member else children


def paths(fields: FieldSet, at: Path = ()) -> Iterator[Path]:
    """Each member, in order."""
    for key in sorted(fields):
        if key == SELF:
            continue
        node = fields[key]
        here = (*at, key)
        if is_member(node):
            yield here
        yield from paths(node, here)


def describe(path: Path) -> str:
    """`.spec.containers[name="web"].image`: how messages name a path."""
    return "".join(map(_describe, path))


def _describe(element: str) -> str:
    mark, value = element[:2], element[2:]
    if mark == "f:":
        return f".{value}"
    if mark == "k:":
        keys = orjson.loads(value)
        return f"[{','.join(f'{name}={orjson.dumps(key).decode()}' for name, key in keys.items())}]"
    return f"[={value}]" if mark == "v:" else f"[{value}]"


def is_valid(fields: Any) -> bool:
    """Whether a client's value has the form of a set."""
    return isinstance(fields, dict) and all(
        (is_valid(node) and _is_element(key)) if key != SELF else node == {} for key, node in fields.items()
    )


def _is_element(key: str) -> bool:
    if not key.startswith(_PREFIXES):
        return False
    if key.startswith("f:"):
        return True
    try:
        value = orjson.loads(key[2:])
    except ValueError:
        return False
    return isinstance(value, dict) is key.startswith("k:")
