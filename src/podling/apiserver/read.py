"""GET and LIST, out of the cache: bytes that were encoded when they were written."""

from typing import Any

from podling.aio.http import Response
from podling.api.status import expired, not_found
from podling.apiserver.cache import Item, TooOld
from podling.apiserver.call import Call
from podling.apiserver.compress import gzipped
from podling.apiserver.listing import ContinueExpired, Point, encode_token, parse_revision, point, selection, too_large_revision

Object = dict[str, Any]


def find(call: Call) -> Item:
    """The object that the path names. Raises 404."""
    kind = call.kind
    item = call.storage.get(kind, call.namespace, call.attributes.name)
    if item is None:
        raise not_found(kind.plural, call.attributes.name, kind.group)
    return item


async def get(call: Call) -> Response:
    wanted = parse_revision(call.request.query.get("resourceVersion"))
    if wanted > call.storage.revision:
        raise too_large_revision(wanted, call.storage.revision)
    return call.answer_item(find(call))


async def list_(call: Call) -> Response:
    data = call.form.many(*select(call))
    response = call.answer(data)
    return await gzipped(response, call.request)


def select(call: Call) -> tuple[list[Item], Object]:
    """The items that a list shows, and the list's metadata."""
    chosen, where = selection(call), point(call)
    revision = where.revision if where.revision is not None else call.storage.revision
    items = _range(call, chosen.prefix, where)
    total = len(items)
    limit = call.number("limit") or 0
    if not chosen.everything:
        items = [item for item in items if chosen.matches(item)]
    metadata: Object = {"resourceVersion": str(revision)}
    if 0 < limit < len(items):
        items = items[:limit]
        metadata["continue"] = encode_token(revision, items[-1].key)
        if chosen.everything:
            metadata["remainingItemCount"] = total - limit
    return items, metadata


def _range(call: Call, prefix: str, where: Point) -> list[Item]:
    try:
        return call.storage.cache(call.kind).range(prefix, where.start_after, where.revision)
    except TooOld:
        if where.start_after:
            raise ContinueExpired(where.start_after) from None
        raise expired("The resourceVersion for the provided list is too old.") from None
