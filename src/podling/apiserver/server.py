"""The API server: what a request passes through, in order, and where it ends."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from podling.aio.clock import Clock, SystemClock
from podling.aio.http import Request, Response
from podling.aio.tasks import Tasks
from podling.api.kind import Kind
from podling.api.objects import name_of
from podling.api.registry import BUILTIN, Registry
from podling.api.status import ApiError, internal, invalid, method_not_allowed, no_such_path, timeout, unavailable
from podling.apiserver import admission_order, approval, deadline, delete, eviction, patch, read, subresources, watch, write
from podling.apiserver.addresses import ServiceAddresses
from podling.apiserver.admission import CREATE, Review
from podling.apiserver.audit_log import Auditor, Entry
from podling.apiserver.authn import identify
from podling.apiserver.body import read_object
from podling.apiserver.bootstrap import ClusterInfo, bootstrap
from podling.apiserver.call import Backend, Call, error_response
from podling.apiserver.compaction import compact_regularly
from podling.apiserver.definitions import Definitions
from podling.apiserver.discovery import Discovery
from podling.apiserver.expiry import expire_events
from podling.apiserver.identity import Attributes, Authenticator, Authorizer, User, refusal
from podling.apiserver.impersonation import impersonated
from podling.apiserver.metrics import Metrics
from podling.apiserver.paths import parse, verb_of
from podling.apiserver.quota import Quotas
from podling.apiserver.storage import Storage
from podling.apiserver.watch import Watches
from podling.base.errors import PodlingError
from podling.base.ids import request_ids
from podling.store.base import Store

log = logging.getLogger(__name__)

Object = dict[str, Any]
Endpoint = tuple[str, str, str]
"""(group, resource, subresource)"""
Handle = Callable[[Call], Awaitable[Response | None]]
Answer = Callable[[Call, Object], Awaitable[Object]]
"""Takes the decoded, defaulted, validated object of a create that is answered and not kept."""
ANSWERS: dict[Endpoint, Answer] = {("", "bindings", ""): subresources.bind_named}
Middleware = Callable[["ApiServer", Call, Handle], Awaitable[Response | None]]

# verb -> what does it, for the object itself and for its status
RESOURCE: dict[str, Handle] = {
    "get": read.get,
    "list": read.list_,
    "create": write.create,
    "update": write.update,
    "patch": patch.patch,
    "delete": delete.delete,
    "deletecollection": delete.delete_collection,
}
SUBRESOURCE: dict[tuple[str, str], Handle] = {
    ("status", "get"): read.get,
    ("status", "update"): write.update,
    ("status", "patch"): patch.patch,
    ("scale", "get"): subresources.get_scale,
    ("scale", "update"): subresources.update_scale,
    ("scale", "patch"): subresources.patch_scale,
    ("approval", "get"): read.get,
    ("approval", "update"): approval.update,
    ("approval", "patch"): approval.patch,
    ("binding", "create"): subresources.bind,
    ("eviction", "create"): eviction.evict,
    ("finalize", "update"): subresources.finalize,
    ("ephemeralcontainers", "get"): read.get,
    ("ephemeralcontainers", "update"): write.update,
    ("ephemeralcontainers", "patch"): patch.patch,
    ("resize", "get"): read.get,
    ("resize", "update"): write.update,
    ("resize", "patch"): patch.patch,
}


# that are counted
SUBRESOURCES = {"", "attach", "exec", "log", "portforward", "proxy", "token", *(name for name, _ in SUBRESOURCE)}
NOBODY = User("")
_SELECTING = ("list", "watch", "deletecollection")
_NAMED = {"create": False, "update": True, "patch": True}  # whether the path ends with a name


class ApiServer:
    """Serves the kinds of `registry` out of `store`, through `storage` where others look into the same caches.

    `answers` take the creates of kinds that are questions, and of subresources such as `serviceaccounts/token`; `streams` take
    the requests, of any verb, that go to a pod's node; `documents` are what else is served, by path.
    """

    def __init__(
        self,
        store: Store,
        *,
        authorizer: Authorizer,
        authenticators: Sequence[Authenticator] = (),
        answers: Mapping[Endpoint, Answer] | None = None,
        streams: Mapping[Endpoint, Handle] | None = None,
        documents: Mapping[str, Callable[[], Response]] | None = None,
        storage: Storage | None = None,
        registry: Registry = BUILTIN,
        clock: Clock | None = None,
        addresses: ServiceAddresses | None = None,
        cluster: ClusterInfo | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        registry = Registry(registry)  # its own: custom resources come and go
        self._store = store
        self.storage = storage or Storage(store)
        clock = clock or SystemClock()
        quotas = Quotas(self.storage, clock)
        self.backend = Backend(registry, self.storage, clock, authenticators, authorizer, addresses or ServiceAddresses(), quotas)
        self._answers = {**ANSWERS, **(answers or {})}
        self._streams = dict(streams or {})
        self._documents = dict(documents or {})
        self._cluster = cluster or ClusterInfo()
        self._discovery = Discovery(registry)
        self._watches = Watches()
        self._definitions = Definitions(self.backend, self._watches.end)
        self.metrics = Metrics()
        self.auditor = auditor
        self.request_ids = request_ids()
        self._tasks = Tasks("api server")
        self._ready = False
        self._handle = _chain(self, MIDDLEWARE, self._dispatch)

    async def start(self) -> None:
        """Read the state, create what a cluster has from the first, and be ready."""
        if self.auditor is not None:
            self.auditor.start()
        await self.storage.start()
        self._definitions.follow()
        self.backend.addresses.follow(self.storage.of(("", "services")))
        await bootstrap(self.backend, self._cluster)
        self._tasks.start(self._watches.send_bookmarks(self.storage, self.backend.clock), "bookmarks")
        self._tasks.start(self._definitions.run(), "custom resources")
        self._tasks.start(compact_regularly(self._store, self.backend.clock), "compaction")
        if (events := self.backend.registry.kind("v1", "Event")) is not None:
            self._tasks.start(expire_events(self.storage, events, self.backend.clock), "expiry of events")
        self._tasks.start(self.backend.quotas.run(), "quotas")
        self._ready = True

    def drain(self) -> None:
        """Be no longer ready, and end all watches, so that the listener can close without waiting for them."""
        self._ready = False
        self._watches.close()

    async def close(self) -> None:
        """Drain, and stop following the store."""
        self.drain()
        await self._tasks.cancel()
        await self.storage.close()
        if self.auditor is not None:
            await self.auditor.close()

    async def handle(self, request: Request) -> Response | None:
        """The handler for an HTTP server; None when a stream took the connection over."""
        return await self._handle(Call(self.backend, request))

    async def _dispatch(self, call: Call) -> Response | None:
        if call.target is None:
            if (document := self._documents.get(call.request.path)) is not None and call.request.method in ("GET", "HEAD"):
                return document()
            if call.request.path == "/metrics":
                return self.metrics.response(self.storage, len(self._watches))
            return await self._discovery.handle(call, ready=self._ready)
        attributes = call.attributes
        kind = _served(call)
        if kind.unavailable:
            raise internal(kind.unavailable)
        if kind.deprecation:
            call.warnings.append(kind.deprecation)
        endpoint = (attributes.group, attributes.resource, attributes.subresource)
        if (stream := self._streams.get(endpoint)) is not None:
            return await stream(call)
        if (answer := self._answers.get(endpoint)) is not None and attributes.verb == "create":
            return await _answer(call, kind, answer)
        if attributes.verb == "watch" and not attributes.subresource:
            return await watch.watch(call, self._watches)
        return await _handler(call, kind)(call)


def _served(call: Call) -> Kind:
    """The kind of the path, if it is served there. Raises 404, 405."""
    kind, attributes = call.kind, call.attributes
    if attributes.namespace and not kind.namespaced and kind.plural != "namespaces":
        raise no_such_path()
    if attributes.subresource:
        if kind.subresource(attributes.subresource) is None:
            raise no_such_path()
        return kind
    if attributes.verb not in kind.verbs:
        raise method_not_allowed()
    if attributes.verb in _NAMED and _NAMED[attributes.verb] is not bool(attributes.name):
        raise method_not_allowed()
    if kind.namespaced and not attributes.namespace and attributes.verb not in ("list", "watch"):
        raise method_not_allowed()
    return kind


def _handler(call: Call, kind: Kind) -> Handle:
    attributes = call.attributes
    if attributes.subresource:
        subresource = kind.subresource(attributes.subresource)
        handle = SUBRESOURCE.get((attributes.subresource, attributes.verb))
        if handle is None or subresource is None or attributes.verb not in subresource.verbs:
            raise method_not_allowed()
        return handle
    if kind.create_only:  # nothing answers this question here
        raise method_not_allowed()
    return RESOURCE[attributes.verb]


async def _answer(call: Call, kind: Kind, answer: Answer) -> Response:
    """A question: read, check, answer."""
    subresource = kind.subresource(call.attributes.subresource) if call.attributes.subresource else None
    api_version = (subresource.api_version if subresource else "") or kind.api_version
    name = (subresource.kind if subresource else "") or kind.kind
    asked = call.backend.registry.kind(api_version, name)
    question = await read_object(call, api_version, name)
    write.place(question, kind, call.namespace)
    if asked is not None:
        asked.default(question)
        if errors := list(asked.validate(question, None)):
            raise invalid(asked.kind, name_of(question), errors, asked.group)
    await admission_order.mutate(Review(call.backend, call.attributes, kind, CREATE, question, None, warnings=call.warnings))
    return call.answer_object(await answer(call, question), 201)


# what every request passes through


async def count(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """Only what is served counts by its name, so that nobody fills memory with names."""
    clock = server.backend.clock
    began = clock.monotonic()
    response = await handle(call)
    of = call.attributes
    if server.backend.registry.resource(of.group, of.version, of.resource) is not None and of.subresource in SUBRESOURCES:
        whole = response is not None and isinstance(response.body, bytes)
        seconds = clock.monotonic() - began if whole else None
        server.metrics.answered(of, response.status if response is not None else 101, seconds)
    return response


async def name_request(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """Every answer tells what its request is called in the audit log."""
    call.audit_id = call.request.headers.get("audit-id")[:64] or next(server.request_ids)
    response = await handle(call)
    return response and Response(response.status, response.body, [*response.headers, ("Audit-Id", call.audit_id)])


async def answer_errors(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """Failures become Status objects."""
    request = call.request
    try:
        return await handle(call)
    except ApiError as error:
        return error_response(error)
    except PodlingError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        return error_response(unavailable(error.message))
    except ConnectionError:
        raise
    except Exception as error:
        log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
        return error_response(internal(str(error) or type(error).__name__))


async def authenticate(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """Who asks, as whom, and for what."""
    request = call.request
    call.target = parse(request.raw_path or request.path)
    try:
        call.caller = await identify(server.backend.authenticators, request)
    except ApiError:
        if (entry := _entry(server, call, NOBODY)) is not None:
            await entry.unknown()
        raise
    try:
        user = impersonated(call.caller, request.headers, server.backend.authorizer)
    except ApiError as error:
        if (entry := _entry(server, call, call.caller)) is not None:
            await entry.refused(error)
        raise
    call.attributes = attributes_of(call, user)
    return await handle(call)


def _entry(server: ApiServer, call: Call, user: User) -> Entry | None:
    """In the audit log, of a request that gets no further than to whom it comes from."""
    if server.auditor is None:
        return None
    with suppress(ApiError):
        call.attributes = attributes_of(call, user)
    return server.auditor.begin(call, user)


def attributes_of(call: Call, user: User) -> Attributes:
    """What the request is about, asked by `user`. Raises 400."""
    request, target = call.request, call.target
    if target is None:
        return Attributes(user, request.method.lower(), request.path)
    watching = request.raw_query != "" and call.flag("watch")
    verb = verb_of(request.method, target, watching)
    fields = request.query.get("fieldSelector") if verb in _SELECTING and request.raw_query else ""
    return Attributes(
        user,
        verb,
        request.path,
        target.group,
        target.version,
        target.resource,
        target.subresource,
        target.namespace,
        target.name or named_by(fields),
        fields,
    )


def named_by(fields: str) -> str:
    """The one object that a field selector is about, so that who may see it alone may ask so; "" for none."""
    names = [term.partition("=")[2].lstrip("=") for term in fields.split(",") if term.startswith("metadata.name=")]
    return names[0] if len(names) == 1 else ""


async def audit(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """Tell the audit log, where there is one."""
    if server.auditor is None:
        return await handle(call)
    entry = server.auditor.begin(call, call.caller)
    await entry.received()
    try:
        response = await handle(call)
    except ApiError as error:
        await entry.refused(error)
        raise
    except Exception:
        await entry.panicked()
        raise
    await entry.answered(response)
    return response


async def limit_time(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    """What takes too long is given up; whether a write happened then is not known."""
    seconds = deadline.of(call)
    if seconds is None:
        return await handle(call)
    try:
        return await deadline.within(seconds, handle(call))
    except TimeoutError:
        raise timeout("request did not complete within the allotted timeout") from None


async def authorize(server: ApiServer, call: Call, handle: Handle) -> Response | None:
    decision = server.backend.authorizer.authorize(call.attributes)
    if server.auditor is not None:
        verdict = "allow" if decision.allowed else "forbid"
        call.notes |= {"authorization.k8s.io/decision": verdict, "authorization.k8s.io/reason": decision.reason}
    if not decision.allowed:
        raise refusal(call.attributes, decision)
    return await handle(call)


MIDDLEWARE: tuple[Middleware, ...] = (count, name_request, answer_errors, authenticate, audit, limit_time, authorize)


def _chain(server: ApiServer, middleware: Sequence[Middleware], handle: Handle) -> Handle:
    for each in reversed(middleware):
        handle = _around(server, each, handle)
    return handle


def _around(server: ApiServer, middleware: Middleware, inner: Handle) -> Handle:
    return lambda call: middleware(server, call, inner)
