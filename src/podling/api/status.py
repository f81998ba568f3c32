"""Status objects and the exception that becomes one. Source: k8s.io/apimachinery api/errors."""

from collections.abc import Iterable
from typing import Any

from podling.api.field import FieldError, quote

Object = dict[str, Any]


def qualify(name: str, group: str) -> str:
    """`deployments.apps`, `pods`: a resource or kind with its group."""
    return f"{name}.{group}" if group else name


class ApiError(Exception):
    """A request that failed, as the client will read it: an HTTP code, a reason, a message, details."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.headers = headers

    def status(self) -> Object:
        """The `v1 Status` object."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


def success(resource: str = "", group: str = "", name: str = "", uid: str = "") -> Object:
    """What a delete answers."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    details = _details(name=name, group=group, kind=resource, uid=uid)
    if details:
        body["details"] = details
    return body


def _details(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value}


def not_found(resource: str, name: str, group: str = "") -> ApiError:
    message = f"{qualify(resource, group)} {quote(name)} not found"
    return ApiError(404, "NotFound", message, _details(name=name, group=group, kind=resource))


def no_such_path() -> ApiError:
    """A path that no handler has."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: str, name: str, group: str = "") -> ApiError:
    message = f"{qualify(resource, group)} {quote(name)} already exists"
    return ApiError(409, "AlreadyExists", message, _details(name=name, group=group, kind=resource))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: str, name: str, group: str = "", cause: str = MODIFIED) -> ApiError:
    message = f"Operation cannot be fulfilled on {qualify(resource, group)} {quote(name)}: {cause}"
    return ApiError(409, "Conflict", message, _details(name=name, group=group, kind=resource))


def aggregated(messages: Iterable[str]) -> str:
    """Several messages as one, each once."""
    once = list(dict.fromkeys(messages))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]"


def invalid(kind: str, name: str, errors: Iterable[FieldError], group: str = "") -> ApiError:
    """An object that its kind's validation refuses (422)."""
    found = list(errors)
    text = aggregated(error.message for error in found)
    causes = [{"reason": error.reason, "message": error.body, "field": error.path} for error in found]
    message = f"{qualify(kind, group)} {quote(name)} is invalid: {text}"
    return ApiError(422, "Invalid", message, _details(name=name, group=group, kind=kind, causes=causes))


def forbidden(resource: str, name: str, cause: str, group: str = "") -> ApiError:
    if not resource:
        message = f"forbidden: {cause}"
    else:
        message = f"{qualify(resource, group)}{f' {quote(name)}' if name else ''} is forbidden: {cause}"
    return ApiError(403, "Forbidden", message, _details(name=name, group=group, kind=resource))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    return ApiError(401, "Unauthorized", message)


def gone(message: str) -> ApiError:
    return ApiError(410, "Gone", message)


def expired(message: str) -> ApiError:
    """The revision or the continue token is older than what is kept: list again."""
    return ApiError(410, "Expired", message)


def method_not_allowed() -> ApiError:
    """A method that the path has no handler for."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def too_large(message: str) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def unsupported_media_type(accepted: Iterable[str]) -> ApiError:
    types = ", ".join(accepted)
    return ApiError(
        415, "UnsupportedMediaType", f"the body of the request was in an unknown format - accepted media types include: {types}"
    )


def not_acceptable(accepted: Iterable[str]) -> ApiError:
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(accepted)}")


def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
    """`retry_after` in seconds, in the details and the header."""
    return ApiError(
        429, "TooManyRequests", message, {"retryAfterSeconds": retry_after}, headers=(("Retry-After", str(retry_after)),)
    )


def timeout(message: str, retry_after: int = 0) -> ApiError:
    return ApiError(504, "Timeout", f"Timeout: {message}", _details(retryAfterSeconds=retry_after))


def unavailable(message: str, retry_after: int = 1) -> ApiError:
    return ApiError(
        503,
        "ServiceUnavailable",
        message,
        _details(retryAfterSeconds=retry_after),
        headers=(("Retry-After", str(retry_after)),) if retry_after else (),
    )


def internal(cause: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {cause}", {"causes": [{"message": cause}]})
