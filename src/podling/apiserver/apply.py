"""PATCH with application/apply-patch+yaml: server-side apply. What it makes of an object is decided in api/managers.py.

Source: Kubernetes documentation "Server-Side Apply"; k8s.io/apiserver endpoints/handlers/patch.go.
"""

from dataclasses import replace
from typing import Any

import orjson

from podling.api import managers
from podling.api.field import FieldError
from podling.api.kind import Kind
from podling.api.managers import APPLY, Conflicts, Intent
from podling.api.objects import name_of, namespace_of, thaw
from podling.api.status import ApiError, bad_request, invalid
from podling.api.typed import NotMergeable
from podling.apiserver import tracking
from podling.apiserver.body import check_depth, from_yaml, go_type, name_kind, read, unknown_fields
from podling.apiserver.cache import Item
from podling.apiserver.call import Call
from podling.apiserver.identity import require
from podling.apiserver.tracking import manager_of, structure_of, time_of
from podling.apiserver.write import Edit, change, create_in, name_in_path, strategy_of

Object = dict[str, Any]

MEDIA_TYPE = "application/apply-patch+yaml"


async def apply(call: Call) -> tuple[Item, int]:
    """The object once the intent in the body is met, and the status: 201 where it was not there. Raises 400, 404, 409, 422."""
    kind = call.kind
    config = await read_intent(call, kind)
    name_in_path(config, call)
    part = _written(config, kind, call.attributes.subresource)
    edit = edit_by(call, part)
    if call.attributes.subresource or call.storage.get(kind, call.namespace, call.attributes.name) is not None:
        return await change(call, edit, strategy_of(call), tracking.as_given), 200
    require(call.backend.authorizer, replace(call.attributes, verb="create"))
    try:
        return await create_in(call, edit({}), tracking.as_given), 201
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    return await change(call, edit, strategy_of(call), tracking.as_given), 200


async def read_intent(call: Call, kind: Kind) -> Object:
    """The object in the body. Raises 400, 413, 422, and 500 as upstream does for what isn't in the schema."""
    manager_of(call, APPLY)
    data = await read(call)
    try:
        config = orjson.loads(data) if data[:1] == b"{" else from_yaml(data)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    if not isinstance(config, dict):
        raise bad_request(f"error decoding YAML: json: cannot unmarshal {go_type(config)} into Go value of type map")
    check_depth(config)
    name_kind(config, kind.api_version, kind.kind)
    if not isinstance(config["metadata"], dict):
        raise bad_request("metadata must be an object")
    if config["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    clean, unknown = unknown_fields(call, config, kind.api_version, kind.kind)
    if unknown:
        raise not_typed(config, kind, "; ".join(f".{path}: field not declared in schema" for path in unknown))
    return clean


def not_typed(config: Object, kind: Kind, cause: str) -> ApiError:
    which = f"{namespace_of(config)}/{name_of(config)}; {kind.api_version}, Kind={kind.kind}"
    return ApiError(500, "", f"failed to create typed patch object ({which}): {cause}")


def _written(config: Object, kind: Kind, subresource: str) -> Object:
    """What of `config` this endpoint writes."""
    if subresource == "status":
        return {name: value for name, value in config.items() if name in ("apiVersion", "kind", "metadata", "status")}
    return tracking.without_status(config) if kind.has_status else config


def edit_by(call: Call, config: Object) -> Edit:
    """Apply `config` to the object that is there, or to an empty one. The outcome says its own managedFields."""
    kind, force = call.kind, call.flag("force")
    manager, structure = manager_of(call, APPLY), structure_of(kind)

    def edit(live: Object) -> Object:
        intent = Intent(config, manager, time_of(call), force)
        metadata = dict(live.get("metadata") or {})
        entries = managers.read(metadata.pop("managedFields", None))
        try:
            met, entries = managers.apply({**live, "metadata": metadata} if live else {}, entries, intent, structure)
        except Conflicts as conflicts:
            raise conflicts.error() from None
        except NotMergeable as error:
            raise not_typed(config, kind, str(error)) from None
        new: Object = thaw(managers.with_last_applied(met, intent))
        new["metadata"] |= {name: config["metadata"].get(name, "") for name in ("resourceVersion", "uid")}
        managers.put_into(new, entries)
        return new

    return edit


def check_force(call: Call) -> None:
    """Raises 422: there is nothing to force in other patches."""
    if "force" in call.request.query and call.flag("force"):
        error = FieldError("FieldValueForbidden", "force", None, "may not be specified for non-apply patch")
        raise invalid("PatchOptions", "", [error], "meta.k8s.io")
