"""What a list or a watch selects, and at which revision. Source: Kubernetes API concepts, "Resource versions", "Chunking"."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from podling.api import selectors
from podling.api.field import FieldError, quote
from podling.api.kind import Kind
from podling.api.status import ApiError, bad_request, invalid, timeout
from podling.apiserver.cache import Item
from podling.apiserver.call import Call

Object = dict[str, Any]

_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource the client asked for. `prefix` is that of cache keys."""

    kind: Kind
    prefix: str
    labels: selectors.Selector
    fields: selectors.FieldSelector

    @property
    def everything(self) -> bool:
        return self.labels.everything and not self.fields.terms

    def matches(self, item: Item) -> bool:
        if not self.labels.everything and not self.labels.matches(item.labels):
            return False
        return not self.fields.terms or self.fields.matches(item.fields(self.kind))


def selection(call: Call) -> Selection:
    """The selection in the query. Raises 400."""
    kind, query = call.kind, call.request.query
    try:
        labels = selectors.parse(query.get("labelSelector"))
        fields = selectors.parse_fields(query.get("fieldSelector"), kind.selectable)
    except selectors.SelectorError as error:
        raise bad_request(str(error)) from None
    if name := call.attributes.name:  # a watch of one object by its path
        fields = selectors.FieldSelector((*fields.terms, selectors.FieldTerm("metadata.name", name)))
    return Selection(kind, _prefix(kind, call.namespace, fields), labels, fields)


def _prefix(kind: Kind, namespace: str, fields: selectors.FieldSelector) -> str:
    """How the cache keys of all that can match begin."""
    namespace = namespace or (fields.exact("metadata.namespace") or "" if kind.namespaced else "")
    name = fields.exact("metadata.name") or ""
    if not kind.namespaced:
        return name
    return f"{namespace}/{name}" if namespace else ""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a list reads: at `revision` exactly (None: now), behind the key `start_after`."""

    revision: int | None = None
    start_after: str = ""


def point(call: Call) -> Point:
    """The revision and place that a list's query asks for. Raises 400, 422, 504."""
    query = call.request.query
    version, match, token = query.get("resourceVersion"), query.get("resourceVersionMatch"), query.get("continue")
    _check_match(version, match, token, call)
    if token:
        if version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        return decode_token(token)
    revision = parse_revision(version)
    if revision > call.storage.revision:
        raise too_large_revision(revision, call.storage.revision)
    legacy_exact = not match and bool(call.number("limit"))
    return Point(revision if revision and (match == "Exact" or legacy_exact) else None)


def _check_match(version: str, match: str, token: str, call: Call) -> None:
    problem = ""
    if match and token:
        problem = "resourceVersionMatch is forbidden when continue is provided"
    elif match and not version:
        problem = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match == "Exact" and version == "0":
        problem = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    errors = [FieldError("FieldValueForbidden", "resourceVersionMatch", None, problem)] if problem else []
    if match not in ("", "Exact", "NotOlderThan"):
        supported = 'supported values: "Exact", "NotOlderThan"'
        errors.append(FieldError("FieldValueNotSupported", "resourceVersionMatch", match, supported))
    if "sendInitialEvents" in call.request.query:
        errors.append(FieldError("FieldValueForbidden", "sendInitialEvents", None, "sendInitialEvents is forbidden for list"))
    if errors:
        raise invalid("ListOptions", "", errors, "meta.k8s.io")


def parse_revision(version: str) -> int:
    """A resourceVersion parameter; 0 when absent. Raises 400."""
    if not version:
        return 0
    if not version.isdecimal() or not version.isascii():
        raise invalid_revision(version)
    return int(version)


def invalid_revision(version: str) -> ApiError:
    error = FieldError(
        "FieldValueInvalid", "resourceVersion", version, f"strconv.ParseUint: parsing {quote(version)}: invalid syntax"
    )
    return bad_request(f"Invalid value: {quote(version)}: {error.detail}")


def too_large_revision(asked: int, current: int) -> ApiError:
    error = timeout(f"Too large resource version: {asked}, current: {current}", 1)
    error.details["causes"] = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return error


def encode_token(revision: int, last: str) -> str:
    """What comes after the key `last` of the state at `revision`; -1 for whatever state is then."""
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": f"{last}\0"}
    return base64.urlsafe_b64encode(orjson.dumps(token)).rstrip(b"=").decode()


def decode_token(token: str) -> Point:
    """Raises 400."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if found["v"] != "meta.k8s.io/v1":
            raise ValueError("server does not recognize this encoded version")
        revision, start = int(found["rv"]), str(found["start"]).rstrip("\0")
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise bad_request(f"continue key is not valid: {error}") from None
    return Point(revision if revision >= 0 else None, start)


class ContinueExpired(ApiError):
    """The snapshot is gone; the error carries a token that goes on with what is there now."""

    def __init__(self, start_after: str) -> None:
        super().__init__(410, "Expired", _CONTINUE_EXPIRED)
        self._token = encode_token(-1, start_after)

    def status(self) -> Object:
        return {**super().status(), "metadata": {"continue": self._token}}
