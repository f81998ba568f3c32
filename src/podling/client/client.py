"""The client: each verb of the Kubernetes API as one coroutine over plain dicts.

Source: Kubernetes API concepts, "API verbs". Raises what `errors.FAILURES` names.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from podling.aio.http import HeaderList
from podling.api.objects import Object
from podling.client.errors import error_from, error_of
from podling.client.resource import PODS, SERVICE_ACCOUNTS, Resource
from podling.client.transport import Reply, Transport

PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of a collection at one revision."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Client:
    """Speaks to one API server. `manager` names the field manager of what it writes."""

    def __init__(self, transport: Transport, *, manager: str = "podling") -> None:
        self.transport = transport
        self._manager = manager

    async def close(self) -> None:
        await self.transport.close()

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        return await self.call("GET", resource.path(namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        page: int = 500,
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Listing:
        """All items, fetched `page` at a time from one snapshot. Raises Gone when a later page has been compacted away."""
        query = _query(labelSelector=labels, fieldSelector=fields, resourceVersion=resource_version, limit=page)
        headers = _accept(METADATA_ONLY_LIST if metadata_only else "")
        items: list[Object] = []
        while True:
            part = await self.call("GET", resource.path(namespace), query, headers=headers)
            items += part.get("items") or []
            metadata = part.get("metadata") or {}
            if not (token := metadata.get("continue")):
                return Listing(items, metadata.get("resourceVersion", ""))
            query = {**query, "continue": token}
            query.pop("resourceVersion", None)  # the token carries it

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout: int = 0,
        metadata_only: bool = False,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes after `resource_version`, in order, with bookmarks; ends when the server ends it (after `timeout` seconds).

        Raises Gone when the revision is too old. Wrap it in `aclosing` to stop early.
        """
        query = _query(labelSelector=labels, fieldSelector=fields, resourceVersion=resource_version, timeoutSeconds=timeout)
        query |= {"watch": "true", "allowWatchBookmarks": "true"}
        reply = await self._send("GET", resource.path(namespace), query, _accept(METADATA_ONLY if metadata_only else ""))
        try:
            async with aclosing(lines(reply)) as events:
                async for line in events:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise error_from(event["object"])
                    yield WatchEvent(event["type"], event["object"])
        finally:
            await reply.close()

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Object:
        """Create `obj` in `namespace` (or its own); `name` with `subresource` posts to a subresource."""
        path = resource.path(namespace or _namespace(obj), name, subresource)
        return await self.call("POST", path, self._managed(), obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace `obj`; where it carries a resourceVersion it must be the current one, else Conflict."""
        path = resource.path(_namespace(obj), obj["metadata"]["name"], subresource)
        return await self.call("PUT", path, self._managed(), obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: str = "merge",
        subresource: str = "",
        force: bool = False,
    ) -> Object:
        """Patch by `type`: json (a list of operations), merge, strategic, or apply (`force` takes fields from others)."""
        query = self._managed() | ({"force": "true"} if force else {})
        headers = [("content-type", PATCH_TYPES[type])]
        return await self.call("PATCH", resource.path(namespace, name, subresource), query, patch, headers)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> Object:
        """Delete one object, and only it where `uid` or `resource_version` are given (else Conflict). `grace` is in seconds."""
        options = _delete_options(grace, propagation, uid, resource_version)
        return await self.call("DELETE", resource.path(namespace, name), body=options)

    async def delete_collection(self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "") -> Object:
        query = _query(labelSelector=labels, fieldSelector=fields)
        return await self.call("DELETE", resource.path(namespace), query)

    async def bind(self, pod: Object, node: str) -> None:
        """Assign `pod` (with its uid) to `node`. Source: v1 Binding, the `pods/binding` subresource."""
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace", "uid")}
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await self.create(PODS, binding, metadata["namespace"], name=metadata["name"], subresource="binding")

    async def create_token(
        self,
        account: str,
        namespace: str,
        *,
        audiences: tuple[str, ...] = (),
        seconds: int = 3600,
        bound_to: Object | None = None,
    ) -> tuple[str, str]:
        """A service-account token and its expiry (RFC 3339). `bound_to` is an object reference (kind, name, uid, apiVersion).

        Source: authentication.k8s.io/v1 TokenRequest.
        """
        spec = {"audiences": list(audiences), "expirationSeconds": seconds, "boundObjectRef": bound_to}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self.create(SERVICE_ACCOUNTS, request, namespace, name=account, subresource="token")
        return answer["status"]["token"], answer["status"]["expirationTimestamp"]

    async def call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, headers: HeaderList | None = None
    ) -> Object:
        """One request of JSON for JSON, for what the verbs above don't cover (discovery, /version)."""
        reply = await self._send(method, path, query, headers, body)
        answer: Object = orjson.loads(await reply.read())
        return answer

    async def _send(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: HeaderList | None, body: Any = None
    ) -> Reply:
        payload = b"" if body is None else orjson.dumps(body)
        fields = [("accept", "application/json")] if not _has(headers, "accept") else []
        if payload and not _has(headers, "content-type"):
            fields.append(("content-type", "application/json"))
        reply = await self.transport.request(method, path, query, fields + (headers or []), payload)
        if reply.status >= 400:
            raise error_of(reply.status, await reply.read())
        return reply

    def _managed(self) -> dict[str, str]:
        return {"fieldManager": self._manager}


async def lines(reply: Reply) -> AsyncGenerator[bytes, None]:
    """The lines of a streaming body, without their ends; a cut last line is dropped."""
    rest: list[bytes] = []
    async with aclosing(reply.stream()) as pieces:
        async for piece in pieces:
            *whole, last = piece.split(b"\n")
            if whole:
                rest.append(whole[0])
                yield b"".join(rest)
                rest = []
                for line in whole[1:]:
                    yield line
            if last:
                rest.append(last)


def _query(**parameters: str | int) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items() if value}


def _delete_options(grace: int | None, propagation: str, uid: str, resource_version: str) -> Object | None:
    preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    options: Object = {} if grace is None else {"gracePeriodSeconds": grace}
    options |= {"propagationPolicy": propagation} if propagation else {}
    options |= {"preconditions": preconditions} if preconditions else {}
    return {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None


def _accept(media_type: str) -> HeaderList:
    return [("accept", media_type)] if media_type else []


def _has(headers: HeaderList | None, name: str) -> bool:
    return any(key.lower() == name for key, _ in headers or [])


def _namespace(obj: Object) -> str:
    return (obj.get("metadata") or {}).get("namespace") or ""
