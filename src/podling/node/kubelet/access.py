"""Who may ask the node what: client certificates and tokens; what the API server says of them.

Source: Kubernetes documentation "Kubelet authentication/authorization".
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from podling.aio.clock import Clock
from podling.aio.http import Peer, Request
from podling.api.objects import Object
from podling.base.errors import PodlingError
from podling.client.client import Client
from podling.client.resource import Resource

T = TypeVar("T")

ALLOWED_SECONDS = 300.0
REFUSED_SECONDS = 30.0
TOKEN_SECONDS = 120.0
_MOST = 1000  # answers that are remembered

_TOKENS = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False, kind="TokenReview")
_ACCESS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False, kind="SubjectAccessReview")
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint"}
# Since 1.33 these may be allowed by themselves; who may use the proxy may use them too.
_FINE = {"healthz": "healthz", "pods": "pods", "runningPods": "pods", "configz": "configz"}


@dataclass(frozen=True, slots=True)
class Who:
    """A user as an authenticator knows it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Object = field(default_factory=dict)


class Unauthorized(PodlingError):
    """Nobody that we know asks."""


class Forbidden(PodlingError):
    """Somebody asks who may not."""


class Access:
    """`trusted` are the common names of certificates that may do all: the API server, which has asked itself already."""

    def __init__(self, client: Client, clock: Clock, node: str, trusted: Iterable[str]) -> None:
        self._client = client
        self._node = node
        self._trusted = frozenset(trusted)
        self._known: Remembered[Who | None] = Remembered(clock)
        self._allowed: Remembered[bool] = Remembered(clock)

    async def check(self, request: Request) -> None:
        """Raises Unauthorized, Forbidden."""
        who = await self._who(request)
        if who is None:
            raise Unauthorized("Unauthorized")
        if who.name in self._trusted:
            return
        verb, subresources = asked_of(request.method, request.path)
        for subresource in subresources:
            if await self._may(who, verb, subresource):
                return
        shown = " ".join(subresources)
        raise Forbidden(f"Forbidden (user={who.name}, verb={verb}, resource=nodes, subresource(s)=[{shown}])")

    async def _who(self, request: Request) -> Who | None:
        if (found := certified(request.peer)) is not None:
            return found
        scheme, _, token = request.headers.get("authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        key = hashlib.sha256(token.encode()).hexdigest()
        return await self._known.ask(key, lambda: self._review(token.strip()), lambda _: TOKEN_SECONDS)

    async def _review(self, token: str) -> Who | None:
        status = (await self._client.call("POST", _TOKENS.path(), body=_question(_TOKENS, {"token": token}))).get("status") or {}
        if not status.get("authenticated"):
            return None
        user = status["user"]
        return Who(user.get("username", ""), tuple(user.get("groups") or ()), user.get("uid", ""), user.get("extra") or {})

    async def _may(self, who: Who, verb: str, subresource: str) -> bool:
        key = f"{who.name} {' '.join(who.groups)} {who.extra} {verb} {subresource}"
        seconds: Callable[[bool], float] = lambda allowed: ALLOWED_SECONDS if allowed else REFUSED_SECONDS  # noqa: E731
        return await self._allowed.ask(key, lambda: self._ask(who, verb, subresource), seconds)

    async def _ask(self, who: Who, verb: str, subresource: str) -> bool:
        about = {"verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": self._node}
        spec = {"user": who.name, "groups": list(who.groups), "uid": who.uid, "extra": who.extra, "resourceAttributes": about}
        answer = await self._client.call("POST", _ACCESS.path(), body=_question(_ACCESS, spec))
        return bool((answer.get("status") or {}).get("allowed"))


class Remembered(Generic[T]):
    """Answers that serve for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, T]] = {}

    async def ask(self, key: str, ask: Callable[[], Awaitable[T]], seconds: Callable[[T], float]) -> T:
        """What is remembered of `key`, or what `ask` gives, which serves for `seconds` of it."""
        now = self._clock.monotonic()
        if (known := self._answers.get(key)) is not None and known[0] > now:
            return known[1]
        answer = await ask()
        if len(self._answers) >= _MOST:
            self._answers = {name: one for name, one in self._answers.items() if one[0] > now}
        if len(self._answers) >= _MOST:
            self._answers.clear()
        self._answers[key] = (now + seconds(answer), answer)
        return answer


def asked_of(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """The verb, and the subresources of nodes of which one has to be allowed."""
    verb = _VERBS.get(method, method.lower())
    first = path.strip("/").split("/")[0]
    if (found := _SUBRESOURCES.get(first)) is not None:
        return verb, (found,)
    return verb, (_FINE[first], "proxy") if first in _FINE else ("proxy",)


def certified(peer: Peer) -> Who | None:
    """Whom the verified client certificate names."""
    if peer.certificate is None:
        return None
    subject = x509.load_der_x509_certificate(peer.certificate).subject
    names = [str(one.value) for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return Who(names[0], (*groups, "system:authenticated")) if names else None


def _question(resource: Resource, spec: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
