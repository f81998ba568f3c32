"""What a request failed with: the API server's Status as an exception, the common ones as classes to catch.

Source: meta/v1 Status. `reason` tells apart what the HTTP code doesn't: AlreadyExists and Conflict are both 409.
"""

import orjson

from podling.api.objects import Object
from podling.api.status import ApiError
from podling.base.errors import PodlingError


class NotFound(ApiError):
    """404: there is no such object, or no such resource."""


class AlreadyExists(ApiError):
    """409 AlreadyExists: an object of this name is there."""


class Conflict(ApiError):
    """409: the precondition (uid, resourceVersion) doesn't hold."""


class Gone(ApiError):
    """410: this resourceVersion or continue token is too old; list again."""


FAILURES = (ApiError, PodlingError, OSError, EOFError)
"""All that a request may fail with: refused by the server, or the server not reached."""

_BY_CODE: dict[int, type[ApiError]] = {404: NotFound, 409: Conflict, 410: Gone}


def error_of(code: int, body: bytes) -> ApiError:
    """The exception for an answer of status `code`, whatever its body is (a proxy answers with HTML)."""
    return error_from({**_status_of(body, code), "code": code})


def error_from(status: Object) -> ApiError:
    """The exception for a Status object, as a watch sends it within its stream."""
    code, reason = status.get("code") or 500, status.get("reason") or ""
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_CODE.get(code, ApiError)
    return kind(code, reason, status.get("message") or reason or "unknown error", status.get("details"))


def _status_of(body: bytes, code: int) -> Object:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    text = body[:1024].decode(errors="replace").strip()
    return {"message": text or f"the server answered {code}"}
