"""JSON patches, merge patches, and the door to strategic ones. What they are given is never changed.

Source: RFC 6902, RFC 7396; API reference "Patch". The strategic merge itself is podling.api.strategic.
"""

from typing import Any

import jsonpatch
import jsonpointer
import orjson

from podling.api import status
from podling.api.objects import Object, thaw
from podling.api.schema import schemas
from podling.api.strategic import PatchError, strategic_patch

__all__ = ["PatchError", "json_patch", "merge", "merge_diff", "strategic"]

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 << 20  # bytes
_MALFORMED = (jsonpatch.InvalidJsonPatch, jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError)
_INAPPLICABLE = (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, ValueError, IndexError)


def json_patch(obj: Object, operations: Any) -> Object:
    """`obj` with all operations applied. Raises ApiError for what is no patch, PatchError for what can't be applied."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise status.bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise status.too_large(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}")
    touched = {_first(operation.get(member)) for operation in operations for member in ("path", "from")}
    result: Any = thaw(obj) if "" in touched else {name: thaw(obj[name]) if name in touched else obj[name] for name in obj}
    copied = 0
    for operation in operations:
        if operation.get("op") == "copy":
            copied += _size(result, operation.get("from"))
            if copied > MAX_COPIED:
                words = "unable to complete the copy, the accumulated size increase of copy is"
                raise PatchError(f"{words} {copied}, exceeding the limit {MAX_COPIED}")
        result = _operate(result, operation)
    if not isinstance(result, dict):
        raise PatchError("the patch leaves no object")
    return result


def _first(pointer: Any) -> str | None:
    """The member of the whole that a pointer leads into; "" where it may be any."""
    if not isinstance(pointer, str):
        return None if pointer is None else ""
    name = pointer[1:].partition("/")[0]
    return "" if "~" in name else name


def _size(obj: Any, pointer: Any) -> int:
    """Bytes of the JSON that a pointer names; 0 where there is none. Copies of copies grow by powers of two."""
    try:
        return len(orjson.dumps(jsonpointer.resolve_pointer(obj, pointer)))
    except (*_INAPPLICABLE, AttributeError):
        return 0


def _operate(obj: Any, operation: Object) -> Any:
    """`obj` after one operation; it may be changed in place."""
    try:
        patch = jsonpatch.JsonPatch([operation])
    except _MALFORMED as error:
        raise status.bad_request(f"error decoding patch: {error}") from None
    try:
        return patch.apply(obj, in_place=True)
    except jsonpatch.JsonPatchTestFailed:
        raise PatchError(f"testing value {operation['path']} failed: test failed") from None
    except _INAPPLICABLE as error:
        raise PatchError(f"{operation['op']} operation does not apply at {operation['path']}: {error}") from None


def merge(obj: Object, patch: Any) -> Object:
    """`obj` with `patch` merged: null removes, objects merge, all else replaces. Raises ApiError when `patch` is no object."""
    if not isinstance(patch, dict):
        raise status.bad_request("error decoding patch: a merge patch is an object")
    result: Object = _merge(obj, patch)
    return result


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


def merge_diff(old: Object, new: Object) -> Object:
    """The merge patch that makes `new` of `old`. Nulls in `new` can't be told from absent ones (RFC 7396, section 1)."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            if inner := merge_diff(before, value):
                patch[name] = inner
        elif name not in old or not _same(before, value):
            patch[name] = value
    return patch


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def strategic(obj: Object, patch: Any, api_version: str, kind: str) -> Object:
    """`obj`, an object of `kind`, with a strategic merge patch applied. Raises ApiError: 415 where the kind has no schema."""
    found = schemas().of_kind(api_version, kind)
    if found is None:
        raise status.unsupported_media_type(("application/json-patch+json", "application/merge-patch+json"))
    try:
        return strategic_patch(obj, patch, found)
    except PatchError as error:
        raise status.bad_request(str(error)) from None
