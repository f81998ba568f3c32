"""Objects as the bytes that are stored, cached and sent: encoded once, when written.

The store holds an object without its resourceVersion, which is the revision of the write itself. Kind, apiVersion and metadata
come first, so that the revision is spliced in behind the one place where `"metadata":{` can stand unescaped.
"""

from typing import Any

import orjson

Object = dict[str, Any]

_MARK = b'"metadata":{'
_FIRST = ("kind", "apiVersion", "metadata")


def encode(obj: Object) -> bytes:
    """What the store keeps of `obj`. Members of metadata that are empty are left out, as upstream does."""
    metadata = {name: value for name, value in obj["metadata"].items() if (value or value == 0) and name != "resourceVersion"}
    rest = {name: value for name, value in obj.items() if name not in _FIRST}
    return orjson.dumps({"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata, **rest})


def decode(data: bytes) -> Object:
    obj: Object = orjson.loads(data)
    return obj


def stamp(value: bytes, revision: int) -> bytes:
    """The stored `value` with its resourceVersion: what clients get."""
    at = value.index(_MARK) + len(_MARK)
    return b'%b"resourceVersion":"%d",%b' % (value[:at], revision, value[at:])


def metadata_end(data: bytes, obj: Object) -> int:
    """Where the metadata of stamped `data`, which is `obj`, end: what was encoded here is the same bytes when encoded again."""
    return data.index(_MARK) + len(_MARK) - 1 + len(orjson.dumps(obj["metadata"]))


def metadata_of(data: bytes, end: int) -> bytes:
    """The metadata of stamped `data` as they stand in it."""
    return data[data.index(_MARK) + len(_MARK) - 1 : end]


def restamp(data: bytes, old: int, new: int) -> bytes:
    """Stamped `data` with another resourceVersion: how a deletion shows the last state."""
    return data.replace(b'"resourceVersion":"%d",' % old, b'"resourceVersion":"%d",' % new, 1)


def unstamp(data: bytes, revision: int) -> bytes:
    """The stored value of stamped `data`."""
    return data.replace(b'"resourceVersion":"%d",' % revision, b"", 1)
