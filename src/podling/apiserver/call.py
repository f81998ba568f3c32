"""One request on its way through the server, and what the handlers share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from podling.aio.clock import Clock
from podling.aio.http import HeaderList, Request, Response
from podling.api.kind import Kind
from podling.api.registry import Registry
from podling.api.status import ApiError, bad_request, no_such_path, not_acceptable
from podling.apiserver import protobuf_encode
from podling.apiserver.addresses import ServiceAddresses
from podling.apiserver.cache import Item
from podling.apiserver.identity import ANONYMOUS, Attributes, Authenticator, Authorizer, User
from podling.apiserver.negotiation import JSON, YAML, MediaType, Representation, negotiate, representation
from podling.apiserver.paths import Target
from podling.apiserver.protobuf_fields import MEDIA_TYPE as PROTOBUF
from podling.apiserver.quota import Quotas
from podling.apiserver.storage import Storage

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """The server's parts, for handlers, admission and bootstrap."""

    registry: Registry
    storage: Storage
    clock: Clock
    authenticators: Sequence[Authenticator]
    authorizer: Authorizer
    addresses: ServiceAddresses
    quotas: Quotas


_UNREAD = Attributes(ANONYMOUS, "", "")


@dataclass(slots=True)
class Call:
    """A request with what the middleware found out about it. `kind` is that of the resource in the path."""

    backend: Backend
    request: Request
    target: Target | None = None
    attributes: Attributes = _UNREAD
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """What admission tells the audit log."""
    audit_id: str = ""
    """What the request is called: by the client, or else by the server."""
    caller: User = ANONYMOUS
    """Who sent it; the user of `attributes` is another one when this one acts as somebody else."""
    _kind: Kind | None = None

    @property
    def storage(self) -> Storage:
        return self.backend.storage

    @property
    def kind(self) -> Kind:
        """The kind of the resource. Raises 404."""
        found = self._kind
        if found is None:
            target = self.target
            found = self.backend.registry.resource(target.group, target.version, target.resource) if target else None
            if found is None:
                raise no_such_path()
            self._kind = found
        return found

    @property
    def namespace(self) -> str:
        """The namespace that the path names, for kinds that live in one."""
        return self.attributes.namespace if self.kind.namespaced else ""

    @property
    def media(self) -> MediaType:
        return negotiate(self.request.headers.get("accept"))

    @property
    def form(self) -> Representation:
        query = self.request.query
        return representation(self.kind, self.media, self.backend.clock, query.get("includeObject"))

    @property
    def dry_run(self) -> bool:
        """Raises 422 for anything but All."""
        return is_dry_run(self.request.query.all("dryRun"))

    def flag(self, name: str) -> bool:
        """A boolean query parameter. Raises 400."""
        value = self.request.query.get(name)
        if value in ("", "false", "0", "False", "f", "F", "FALSE"):
            return False
        if value in ("true", "1", "True", "t", "T", "TRUE"):
            return True
        raise bad_request(f'strconv.ParseBool: parsing "{value}": invalid syntax')

    def number(self, name: str) -> int | None:
        """A whole number among the query parameters; None when absent. Raises 400."""
        value = self.request.query.get(name)
        try:
            return int(value) if value else None
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None

    def answer(self, data: bytes, status: int = 200) -> Response:
        """A response of encoded JSON in the media type that the client takes."""
        return respond(self.media.name, data, status, self._warning_headers())

    def answer_object(self, obj: Object, status: int = 200) -> Response:
        return self.answer(orjson.dumps(obj), status)

    def answer_item(self, item: Item, status: int = 200) -> Response:
        return self.answer(self.form.one(item.data), status)

    def _warning_headers(self) -> HeaderList:
        return [("Warning", f'299 - "{escape(text)}"') for text in self.warnings]


def is_dry_run(values: Sequence[str]) -> bool:
    values = [value for value in values if value]
    for value in values:
        if value != "All":
            raise ApiError(
                400, "BadRequest", f'dryRun: Invalid value: ["{value}"]: Unsupported value: "{value}": supported values: "All"'
            )
    return bool(values)


def escape(text: str) -> str:
    """Text inside a quoted string (RFC 9110 section 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")


def respond(media: str, data: bytes, status: int, headers: HeaderList) -> Response:
    if media == YAML:
        data = to_yaml(data)
    elif media == PROTOBUF:
        data = to_protobuf(data)
    return Response(status, data, [("Content-Type", media), ("Cache-Control", "no-cache, private"), *headers])


def to_protobuf(data: bytes) -> bytes:
    """Raises 406 for custom resources."""
    encoded = protobuf_encode.encode(orjson.loads(data))
    if encoded is None:
        raise not_acceptable((JSON, YAML))
    return encoded


def to_yaml(data: bytes) -> bytes:
    import yaml  # 35 ms, and few clients ask for it

    return yaml.safe_dump(orjson.loads(data), sort_keys=False, allow_unicode=True).encode()


def error_response(error: ApiError) -> Response:
    headers: HeaderList = [("Content-Type", JSON), ("Cache-Control", "no-cache, private"), *error.headers]
    return Response(error.code, orjson.dumps(error.status()), headers)
