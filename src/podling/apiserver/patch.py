"""PATCH: JSON patch, merge patch, strategic merge patch and server-side apply, done again when somebody was faster.

Source: Kubernetes API concepts, "Patches"; RFC 6902, RFC 7386.
"""

from typing import Any

import orjson

from podling.aio.http import Response
from podling.api import patch as patches
from podling.api.kind import Kind
from podling.api.objects import name_of
from podling.api.status import ApiError, bad_request, unsupported_media_type
from podling.apiserver.apply import MEDIA_TYPE as APPLY_PATCH
from podling.apiserver.apply import apply, check_force
from podling.apiserver.body import DEPTH, check_depth, content_type, read
from podling.apiserver.body import checked as checked_fields
from podling.apiserver.call import Call
from podling.apiserver.write import Edit, change, strategy_of

Object = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


async def patch(call: Call) -> Response:
    if content_type(call) == APPLY_PATCH:
        return call.answer_item(*await apply(call))
    check_force(call)
    edit = await read_patch(call, call.kind)
    return call.answer_item(await change(call, checked(call, call.kind, edit), strategy_of(call)))


async def read_patch(call: Call, kind: Kind) -> Edit:
    """The patch in the body, as an edit of an object of `kind`. Raises 400, 413, 415."""
    media = content_type(call)
    if media not in TYPES:
        raise unsupported_media_type(TYPES)
    data = await read(call)
    try:
        wanted = orjson.loads(data)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    if data.count(b"{") + data.count(b"[") > DEPTH:
        check_depth(wanted)
    if media == JSON_PATCH:
        return lambda old: _applied(old, wanted)
    if media == MERGE_PATCH:
        return lambda old: patches.merge(old, wanted)
    return lambda old: patches.strategic(old, wanted, kind.api_version, kind.kind)


def _applied(old: Object, operations: Any) -> Object:
    """Raises 422 for operations that don't fit the object."""
    try:
        return patches.json_patch(old, operations)
    except patches.PatchError as error:
        message = "the server rejected our request due to an error in our request"
        cause = {"reason": "UnexpectedServerResponse", "message": str(error)}
        raise ApiError(422, "Invalid", message, {"causes": [cause]}) from None


def _untouched(old: Object, new: Object) -> Object:
    """The members that a patch left as they are: the very same objects, as patches copy what they change."""
    return {name: value for name, value in new.items() if type(value) is dict and name != "metadata" and old.get(name) is value}


def checked_but(known: Object, call: Call, obj: Object, kind: Kind) -> Object:
    """`obj` held against the schema, but for what is `known` to fit it since it was stored. Kinds in no table are read whole."""
    if not known or kind.decode is not None:
        return checked_fields(call, obj, kind.api_version, kind.kind)
    part = {name: value for name, value in obj.items() if name not in known}
    return {**checked_fields(call, part, kind.api_version, kind.kind), **known}


def checked(call: Call, kind: Kind, edit: Edit) -> Edit:
    """`edit`, with its result held against the schema and the path."""

    def apply(old: Object) -> Object:
        name, namespace = name_of(old), old["metadata"].get("namespace")
        new = edit(old)
        for key, fixed in (("apiVersion", kind.api_version), ("kind", kind.kind)):
            if new.setdefault(key, fixed) != fixed:
                raise bad_request(f"{key} may not be changed by a patch")
        new = checked_but(_untouched(old, new), call, new, kind)
        metadata = new.setdefault("metadata", {})
        if metadata.get("name") != name:
            given = metadata.get("name") or ""
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        if metadata.get("namespace") != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return new

    return apply
