"""What the server serves: discovery, its aggregated form, version, health.

Source: Kubernetes API concepts, "Discovery API"; apidiscovery.k8s.io/v2, meta/v1 APIGroup, APIResourceList.
"""

import hashlib
import platform
from collections.abc import Callable
from typing import Any

import orjson

from podling.aio.http import Response
from podling.api.kind import Kind, Subresource
from podling.api.objects import group_of, version_of
from podling.api.registry import Registry
from podling.api.status import method_not_allowed, no_such_path
from podling.apiserver.call import Call
from podling.apiserver.openapi import OpenApi

Object = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = "1.36.0"
PROBES = ("healthz", "livez", "readyz")
HEALTH = ("ping", "store", "poststarthook/bootstrap")


class Discovery:
    """Answers every path that names no resource."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._openapi = OpenApi(registry)

    async def handle(self, call: Call, *, ready: bool) -> Response:
        """Raises 404, 405."""
        path = call.request.path.rstrip("/") or "/"
        if call.request.method not in ("GET", "HEAD"):
            raise method_not_allowed() if self._known(path) else no_such_path()
        probe, _, check = path[1:].partition("/")
        if probe in PROBES and (not check or check in HEALTH):
            return health(call, probe, check, ready or probe == "livez")
        if path.startswith("/openapi/"):
            return await self._openapi.handle(call.request)
        if path in ("/api", "/apis") and _wants_aggregated(call):
            return tagged(call, self._aggregated(core=path == "/api"), AGGREGATED)
        if (found := self._plain(path)) is not None:
            return call.answer_object(found)
        raise no_such_path()

    def _known(self, path: str) -> bool:
        return path in FIXED or self._plain(path) is not None

    def _plain(self, path: str) -> Object | None:
        if (make := FIXED.get(path)) is not None:
            return make(self._registry)
        parts = path.strip("/").split("/")
        if parts[0] == "api" and len(parts) == 2:
            return self._resources("", parts[1])
        if parts[0] == "apis" and len(parts) == 2:
            return self._group(parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return self._resources(parts[1], parts[2])
        return None

    def _group(self, group: str) -> Object | None:
        versions = self._registry.group_versions().get(group)
        return {"kind": "APIGroup", "apiVersion": "v1", **api_group(group, versions)} if group and versions else None

    def _resources(self, group: str, version: str) -> Object | None:
        kinds = self._registry.of_group(group, version)
        if not kinds:
            return None
        resources = [entry for kind in kinds for entry in api_resources(kind)]
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}

    def _aggregated(self, core: bool) -> Object:
        groups = [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [self._aggregated_version(group, version) for version in versions],
            }
            for group, versions in self._registry.group_versions().items()
            if (group == "") is core
        ]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups}

    def _aggregated_version(self, group: str, version: str) -> Object:
        resources = [aggregated_resource(kind) for kind in self._registry.of_group(group, version)]
        return {"version": version, "resources": resources, "freshness": "Current"}


def _wants_aggregated(call: Call) -> bool:
    accept = call.request.headers.get("accept").replace(" ", "")
    return any(set(AGGREGATED.split(";")) <= set(entry.split(";")) for entry in accept.split(","))


def tagged(call: Call, obj: Object, media: str) -> Response:
    """An answer with an ETag; 304 for a client that has it."""
    data = orjson.dumps(obj)
    tag = f'"{hashlib.sha256(data).hexdigest().upper()}"'
    headers = [("Content-Type", media), ("ETag", tag), ("Vary", "Accept"), ("Cache-Control", "public")]
    if call.request.headers.get("if-none-match") == tag:
        return Response(304, b"", headers)
    return Response(200, data, headers)


def api_versions(_: Registry) -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def api_groups(registry: Registry) -> Object:
    groups = [api_group(group, versions) for group, versions in registry.group_versions().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(group: str, versions: list[str]) -> Object:
    shown = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": shown, "preferredVersion": shown[0]}


def api_resources(kind: Kind) -> list[Object]:
    """meta/v1 APIResource of a kind and its subresources."""
    entry: Object = {
        "name": kind.plural,
        "singularName": kind.name_in_singular(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return [entry, *(_api_subresource(kind, sub) for sub in kind.subresources)]


def _api_subresource(kind: Kind, sub: Subresource) -> Object:
    entry: Object = {
        "name": f"{kind.plural}/{sub.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": sub.kind or kind.kind,
        "verbs": sorted(sub.verbs),
    }
    if sub.api_version:
        entry |= {"group": group_of(sub.api_version), "version": version_of(sub.api_version)}
    return entry


def aggregated_resource(kind: Kind) -> Object:
    """apidiscovery.k8s.io/v2 APIResourceDiscovery."""
    entry: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.name_in_singular(),
        "verbs": sorted(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [_aggregated_subresource(kind, sub) for sub in kind.subresources]
    return entry


def _aggregated_subresource(kind: Kind, sub: Subresource) -> Object:
    api_version = sub.api_version or kind.api_version
    response = {"group": group_of(api_version), "version": version_of(api_version), "kind": sub.kind or kind.kind}
    return {"subresource": sub.name, "responseKind": response, "verbs": sorted(sub.verbs)}


def version(_: Registry) -> Object:
    """Source: k8s.io/apimachinery version.Info."""
    major, minor, _patch = VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{VERSION}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def index(registry: Registry) -> Object:
    groups = registry.group_versions()
    paths = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
    for group, versions in groups.items():
        if group:
            paths += [f"/apis/{group}", *(f"/apis/{group}/{each}" for each in versions)]
    return {"paths": sorted(paths)}


FIXED: dict[str, Callable[[Registry], Object]] = {"/": index, "/api": api_versions, "/apis": api_groups, "/version": version}


def health(call: Call, probe: str, check: str, good: bool) -> Response:
    """`ok`, or each check with `?verbose`; 500 while the server is not ready. One `check` alone, or all but those excluded."""
    query = call.request.query
    excluded = set() if check else set(query.all("exclude"))
    asked = [name for name in HEALTH if name not in excluded and check in ("", name)]
    good = good or HEALTH[-1] not in asked
    if good and (check or "verbose" not in query):
        body = "ok"
    else:
        failed = "" if good else HEALTH[-1]
        told = [f"[-]{name} failed: not finished" if name == failed else f"[+]{name} ok" for name in asked]
        told += [f"[+]{name} excluded: ok" for name in HEALTH if name in excluded]
        body = "\n".join([*told, f"{probe} check {'passed' if good else 'failed'}", ""])
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]
    return Response(200 if good else 500, body.encode(), headers)
