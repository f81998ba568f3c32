"""The proxy subresources of pods, services and nodes: any method, any path, upgrades too.

Source: Kubernetes API reference, "connect" operations of Pod, Service and Node; k8s.io/apimachinery util/proxy.
"""

import re
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from functools import partial

from podling.aio import pump
from podling.aio.client import ClientResponse, ConnectionFailed, HttpClient, UpgradeRefused
from podling.aio.http import HeaderList, Request, Response
from podling.api.status import not_found
from podling.apiserver import locations
from podling.apiserver.call import Call
from podling.apiserver.links import LinkRewriter
from podling.apiserver.locations import Location

ANSWER_SECONDS = 3600.0
"""For the head of the answer: a proxied server may let a poll wait long."""

# Fields of a connection, not of the message; what was meant for this server alone.
_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "authorization", "expect"}
)
_IDENTITY = ("impersonate-", "x-remote-")
_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding"})
_split_path = re.compile(r"(/api/v1(?:/namespaces/[^/]+)?/[^/]+/[^/]+/proxy)(/.*)?").fullmatch


def unverified() -> ssl.SSLContext:
    """TLS towards workloads: their certificates are their own affair, and ours is not shown to them."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class ReverseProxy:
    """Passes requests on. `agents` carries the certificate that nodes know the API server by, `workloads` none."""

    def __init__(self, agents: HttpClient, workloads: HttpClient) -> None:
        self._agents = agents
        self._workloads = workloads
        self.streams = {
            ("", "pods", "proxy"): self.pod,
            ("", "services", "proxy"): self.service,
            ("", "nodes", "proxy"): self.node,
        }

    async def pod(self, call: Call) -> Response | None:
        """Any method on pods/[SCHEME:]NAME[:PORT]/proxy[/PATH]"""
        wanted = locations.split(call.attributes.name, "pod")
        item = call.storage.get(call.kind, call.namespace, wanted.name)
        if item is None:
            raise not_found("pods", wanted.name)
        return await self._pass(call, locations.of_pod(wanted, item.object))

    async def service(self, call: Call) -> Response | None:
        """Any method on services/[SCHEME:]NAME[:PORT]/proxy[/PATH]"""
        wanted = locations.split(call.attributes.name, "service")
        item = call.storage.get(call.kind, call.namespace, wanted.name)
        if item is None:
            raise not_found("services", wanted.name)
        found = call.storage.of(("", "endpoints")).get(f"{call.namespace}/{wanted.name}")
        behind = [found.object] if found is not None else []
        return await self._pass(call, locations.of_service(wanted, item.object, behind, secrets.randbelow))

    async def node(self, call: Call) -> Response | None:
        """Any method on nodes/[SCHEME:]NAME[:PORT]/proxy[/PATH]"""
        wanted = locations.split(call.attributes.name, "node")
        item = call.storage.get(call.kind, "", wanted.name)
        if item is None:
            raise not_found("nodes", wanted.name)
        return await self._pass(call, locations.of_node(wanted, item.object))

    async def _pass(self, call: Call, location: Location) -> Response | None:
        request = call.request
        prefix, path = _parts(request)
        client = self._agents if location.agent else self._workloads
        query = f"?{request.raw_query}" if request.raw_query else ""
        url = f"{location.url}{path or '/'}{query}"
        if request.headers.has("connection", "upgrade"):
            return await _upgrade(client, request, url)
        if not path and request.method in ("GET", "HEAD"):
            return Response(301, b"", [("Location", f"{prefix}/{query}")])
        try:
            body = _body(request)
            fields = _forwarded(request, prefix + path, drop=() if body is not None else ("content-length",))
            reply = await client.request(request.method, url, fields, body, ANSWER_SECONDS)
        except ConnectionFailed as error:
            raise _unreachable(error) from error
        hosts = (location.url.partition("//")[2], request.headers.get("host"))
        return await _answer(request, reply, LinkRewriter(partial(locations.rewritten, prefix=prefix, hosts=hosts)))


def _parts(request: Request) -> tuple[str, str]:
    """The proxy's own path and what follows it, as sent."""
    found = _split_path(request.raw_path or request.path)
    assert found is not None, request.path
    return found[1], found[2] or ""


def _forwarded(request: Request, path: str, drop: Sequence[str] = ()) -> HeaderList:
    """The fields that go on: without those of the connection, and those that say who asks or as whom."""
    named = {token.strip().lower() for value in request.headers.all("connection") for token in value.split(",")}
    dropped = _HOP | {"x-forwarded-for", *drop, *named}
    kept = [field for field in request.headers if field[0] not in dropped and not field[0].startswith(_IDENTITY)]
    through = ", ".join(filter(None, (*request.headers.all("x-forwarded-for"), request.peer.address)))
    return [*kept, *([("X-Forwarded-For", through)] if through else []), ("X-Forwarded-Uri", path)]


def _body(request: Request) -> AsyncIterator[bytes] | None:
    sent = request.headers.get("content-length") not in ("", "0") or "transfer-encoding" in request.headers
    return request.stream() if sent else None


async def _upgrade(client: HttpClient, request: Request, url: str) -> Response | None:
    """Join the client's connection with one to the server behind; its refusal is the answer."""
    headers = _forwarded(request, request.path, drop=("content-length",))
    headers += [("Connection", "Upgrade"), ("Upgrade", request.headers.get("upgrade"))]
    try:
        status, answer, remote = await client.upgrade(request.method, url, headers)
    except UpgradeRefused as refused:
        return Response(refused.status, refused.body, [field for field in refused.headers if field[0] not in _HOP | _FRAMING])
    except ConnectionFailed as error:
        raise _unreachable(error) from error
    local = await request.hijack(status, [field for field in answer if field[0] not in _FRAMING])
    await pump.join(local, remote)
    return None


async def _answer(request: Request, reply: ClientResponse, links: LinkRewriter) -> Response:
    """The answer with its links leading through the proxy."""
    location = reply.headers.get("location")
    html = reply.headers.get("content-type").partition(";")[0].strip().lower() == "text/html" and not location
    dropped = _HOP | _FRAMING if html else _HOP
    headers = [(name, value) for name, value in reply.headers if name not in dropped and name != "location"]
    if location:
        headers.append(("Location", links.rewrite(location)))
    if request.method == "HEAD" or reply.status in (204, 304):
        await reply.body()
        return Response(reply.status, b"", headers)
    if not html:
        return Response(reply.status, reply.stream(), headers)
    coding = reply.headers.get("content-encoding").strip().lower()
    if coding not in ("", "identity", "gzip"):
        return Response(reply.status, reply.stream(), [*headers, ("Content-Encoding", coding)])
    return Response(reply.status, links.stream(reply.stream(), compressed=coding == "gzip"), headers)


def _unreachable(error: ConnectionFailed) -> Exception:
    return locations.unavailable(f"error trying to reach service: {error.message}")
