"""DELETE and DELETECOLLECTION. What an object waits for before it goes is decided in finalize.py."""

import asyncio
from typing import Any

from podling.aio.http import Response
from podling.api.field import FieldError
from podling.api.kind import Kind
from podling.api.objects import name_of, uid_of
from podling.api.status import ApiError, bad_request, conflict, invalid, not_found, success
from podling.apiserver import admission_order
from podling.apiserver.admission import DELETE, Review
from podling.apiserver.body import content_type, parse, read
from podling.apiserver.cache import Item
from podling.apiserver.call import Call, is_dry_run
from podling.apiserver.encoding import encode, stamp
from podling.apiserver.finalize import DeleteOptions, is_finished, mark_deleted
from podling.apiserver.listing import selection
from podling.apiserver.storage import Stale

Object = dict[str, Any]

ATTEMPTS = 20
POLICIES = ("", "Background", "Foreground", "Orphan")
# kinds whose delete answers with the object and not with a Status
_SHOWN = {("", name) for name in ("pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes")}


async def delete(call: Call) -> Response:
    options = await read_options(call)
    gone, item = await delete_object(call, call.kind, call.attributes.name, options)
    kind = call.kind
    if gone and kind.storage not in _SHOWN:
        return call.answer_object(success(kind.plural, kind.group, call.attributes.name, uid_of(item.object)))
    return call.answer_item(item)


async def read_options(call: Call) -> DeleteOptions:
    """DeleteOptions from the body, else from the query. Raises 400, 422."""
    data = await read(call)
    body = parse(data, "DeleteOptions", content_type(call)) if data else {}
    query = call.request.query
    preconditions = body.get("preconditions") or {}
    options = DeleteOptions(
        grace=body.get("gracePeriodSeconds", call.number("gracePeriodSeconds")),
        propagation=body.get("propagationPolicy") or query.get("propagationPolicy"),
        orphan_dependents=body.get("orphanDependents", call.flag("orphanDependents") if "orphanDependents" in query else None),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=is_dry_run([*(body.get("dryRun") or ()), *query.all("dryRun")]),
    )
    _check(options)
    return options


def _check(options: DeleteOptions) -> None:
    errors = []
    if options.propagation not in POLICIES:
        supported = 'supported values: "Foreground", "Background", "Orphan", "nil"'
        errors.append(FieldError("FieldValueNotSupported", "propagationPolicy", options.propagation, supported))
    if options.propagation and options.orphan_dependents is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(FieldError("FieldValueInvalid", "propagationPolicy", options.propagation, detail))
    if errors:
        raise invalid("DeleteOptions", "", errors, "meta.k8s.io")
    if options.grace is not None and not isinstance(options.grace, int):
        raise bad_request("gracePeriodSeconds must be an integer")


async def delete_object(
    call: Call, kind: Kind, name: str, options: DeleteOptions, namespace: str | None = None
) -> tuple[bool, Item]:
    """Delete or mark one object; gives whether it is gone, and its last state. Raises 404, 409."""
    where = call.namespace if namespace is None else namespace
    for _ in range(ATTEMPTS):
        seen = call.storage.get(kind, where, name)
        if seen is None:
            raise not_found(kind.plural, name, kind.group)
        old = seen.object
        check_preconditions(kind, old, options)
        _check_namespace(kind, old)
        await _admit(call, kind, old, options)
        try:
            return await _delete_seen(call, kind, seen, old, options)
        except Stale:
            continue
    raise conflict(kind.plural, name, kind.group)


async def _delete_seen(call: Call, kind: Kind, seen: Item, old: Object, options: DeleteOptions) -> tuple[bool, Item]:
    marked = mark_deleted(kind, old, options, call.backend.clock.now())
    finished = is_finished(marked)
    if options.dry_run:
        return finished, seen if finished else Item(seen.key, stamp(encode(marked), seen.revision), seen.revision)
    if finished:
        await call.storage.remove(kind, seen)
        return True, seen
    return False, await call.storage.replace(kind, seen, marked)


async def _admit(call: Call, kind: Kind, old: Object, options: DeleteOptions) -> None:
    review = Review(call.backend, call.attributes, kind, DELETE, None, old, options.dry_run, call.warnings)
    await admission_order.mutate(review)
    await admission_order.validate(review)


def check_preconditions(kind: Kind, old: Object, options: DeleteOptions) -> None:
    metadata = old["metadata"]
    cause = ""
    if options.uid and options.uid != metadata["uid"]:
        cause = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
    elif options.resource_version and options.resource_version != metadata["resourceVersion"]:
        cause = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion in record "
            f"({metadata['resourceVersion']}). The object might have been modified"
        )
    if cause:
        raise conflict(kind.plural, name_of(old), kind.group, cause)


def _check_namespace(kind: Kind, old: Object) -> None:
    """A namespace that is being emptied is not deleted twice."""
    if kind.storage != ("", "namespaces") or not old["metadata"].get("deletionTimestamp"):
        return
    if (old.get("spec") or {}).get("finalizers"):
        cause = (
            "The system is ensuring all content is removed from this namespace.  Upon completion, this namespace will "
            "automatically be purged by the system."
        )
        raise conflict("namespaces", name_of(old), "", cause)


async def delete_collection(call: Call) -> Response:
    """Delete all that the query selects; what vanishes meanwhile is no error. Answers with the list of what was there."""
    options = await read_options(call)
    kind, chosen = call.kind, selection(call)
    found = [item for item in call.storage.cache(kind).items(chosen.prefix) if chosen.matches(item)]
    await asyncio.gather(*(_delete_one(call, kind, item, options) for item in found))
    metadata = {"resourceVersion": str(call.storage.revision)}
    return call.answer(call.form.many(found, metadata))


async def _delete_one(call: Call, kind: Kind, item: Item, options: DeleteOptions) -> None:
    namespace, _, name = item.key.rpartition("/")
    try:
        await delete_object(call, kind, name, options, namespace)
    except ApiError as error:
        if error.code != 404:
            raise
