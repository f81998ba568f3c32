"""What a pod's node answers: logs, exec, attach, port-forward. The server passes bytes and knows none of the protocols inside.

Source: API reference "Pod" operations; the kubelet's paths /containerLogs, /exec, /attach, /portForward.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from podling.aio import pump
from podling.aio.client import ConnectionFailed, HttpClient, TimedOut, UpgradeRefused
from podling.aio.http import HeaderList, Request, Response
from podling.api.status import ApiError, bad_request, not_found
from podling.apiserver.call import Call

Object = Mapping[str, Any]

# Fields of a connection, not of the message, and what names us to the next hop.
_HOP = frozenset({"host", "authorization", "content-length", "transfer-encoding", "keep-alive", "te", "trailer"})
# PodExecOptions and PodAttachOptions, as the kubelet calls them.
_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty", "command": "command"}
_TRUE = ("1", "true", "True")
HEAD_SECONDS = 30.0
"""For a node to begin its answer; what follows takes its time."""


class NodeProxy:
    """Reaches the agents over TLS as the API server; `client` carries the certificate."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.streams = {
            ("", "pods", "log"): self.log,
            ("", "pods", "exec"): self.exec,
            ("", "pods", "attach"): self.attach,
            ("", "pods", "portforward"): self.port_forward,
        }

    async def log(self, call: Call) -> Response:
        """GET pods/NAME/log"""
        pod = _pod(call)
        container = _container(pod, call.request.query.get("container"))
        status = _container_status(pod, container)
        if status is not None and "waiting" in status.get("state", {}) and call.request.query.get("previous") not in _TRUE:
            reason = status["state"]["waiting"].get("reason", "")
            if reason in ("ContainerCreating", "PodInitializing", "ErrImagePull", "ImagePullBackOff"):
                name = pod["metadata"]["name"]
                raise bad_request(
                    f'container "{container}" in pod "{name}" is waiting to start: {_waiting(status["state"]["waiting"])}'
                )
        url = self._url(call, pod, "containerLogs", container, call.request.query.items())
        try:
            reply = await self._client.request("GET", url, timeout=HEAD_SECONDS)
        except (ConnectionFailed, TimedOut) as error:
            raise _unreachable(url, error) from error
        if not reply.ok:
            reason = {400: "BadRequest", 404: "NotFound"}.get(reply.status, "InternalError")
            raise ApiError(reply.status, reason, (await reply.body(1 << 20)).decode(errors="replace").strip())
        return Response(200, reply.stream(), [("Content-Type", "text/plain"), ("Cache-Control", "no-cache, private")])

    async def exec(self, call: Call) -> Response | None:
        """GET or POST pods/NAME/exec"""
        if not call.request.query.get("command"):
            raise bad_request("you must specify at least 1 command for the container")
        return await self._streams(call, "exec")

    async def attach(self, call: Call) -> Response | None:
        """GET or POST pods/NAME/attach"""
        return await self._streams(call, "attach")

    async def port_forward(self, call: Call) -> Response | None:
        """GET or POST pods/NAME/portforward"""
        pod = _pod(call)
        return await self._upgrade(call.request, self._url(call, pod, "portForward", "", call.request.query.items()))

    async def _streams(self, call: Call, verb: str) -> Response | None:
        pod = _pod(call)
        container = _container(pod, call.request.query.get("container"))
        query = [(_STREAMS[name], "1" if value in _TRUE and name != "command" else value)
                 for name, value in call.request.query.items() if name in _STREAMS]  # fmt: skip
        return await self._upgrade(call.request, self._url(call, pod, verb, container, query))

    def _url(self, call: Call, pod: Object, verb: str, container: str, query: list[tuple[str, str]]) -> str:
        metadata = pod["metadata"]
        parts = [verb, metadata["namespace"], metadata["name"], *([container] if container else [])]
        path = "/".join(quote(part) for part in parts)
        parameters = urlencode([(name, value) for name, value in query if name != "container"])
        return f"{_address(call, pod)}/{path}" + (f"?{parameters}" if parameters else "")

    async def _upgrade(self, request: Request, url: str) -> Response | None:
        """Join the client's connection with one to the agent. An agent's refusal is the answer."""
        headers: HeaderList = [(name, value) for name, value in request.headers if name not in _HOP]
        try:
            status, answer, remote = await self._client.upgrade(request.method, url, headers)
        except UpgradeRefused as refused:
            return Response(refused.status, refused.body, [("Content-Type", refused.headers.get("content-type", "text/plain"))])
        except ConnectionFailed as error:
            raise _unreachable(url, error) from error
        local = await request.hijack(status, [(name, value) for name, value in answer if name not in _HOP])
        await pump.join(local, remote)
        return None


def _pod(call: Call) -> Object:
    item = call.storage.get(call.kind, call.namespace, call.attributes.name)
    if item is None:
        raise not_found("pods", call.attributes.name)
    return item.object


def _container(pod: Object, asked: str) -> str:
    """The container that is meant: the only one when none is named. Raises 400 in upstream's words."""
    spec = pod["spec"]
    regular: list[str] = [container["name"] for container in spec["containers"]]
    others = [container["name"] for key in ("initContainers", "ephemeralContainers") for container in spec.get(key) or ()]
    name = pod["metadata"]["name"]
    if asked:
        if asked not in (*regular, *others):
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(regular) > 1:
        hint = f" or one of the init containers: [{' '.join(others)}]" if others else ""
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(regular)}]{hint}")
    return regular[0]


def _container_status(pod: Object, container: str) -> Object | None:
    status: Object = pod.get("status", {})
    statuses = [
        one
        for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for one in status.get(key) or ()
    ]
    return next((one for one in statuses if one["name"] == container), None)


def _waiting(waiting: Object) -> str:
    return str(waiting.get("message") or waiting.get("reason"))


def _address(call: Call, pod: Object) -> str:
    """The agent's URL: the node's internal address and the port that it announces."""
    node = pod["spec"].get("nodeName", "")
    if not node:
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    item = call.storage.of(("", "nodes")).get(node)
    if item is None:
        raise not_found("nodes", node)
    status = item.object.get("status", {})
    addresses = {entry["type"]: entry["address"] for entry in status.get("addresses") or ()}
    port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port")
    host: str = addresses.get("InternalIP") or addresses.get("Hostname") or ""
    if not host or not port:
        raise ApiError(503, "ServiceUnavailable", f"node {node} has not announced where its agent listens")
    return f"https://{host}:{port}"


def _unreachable(url: str, error: ConnectionFailed | TimedOut) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"error trying to reach the node: {error.message}")
