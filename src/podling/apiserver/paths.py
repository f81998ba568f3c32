"""From a URL path to the resource it names. Source: Kubernetes API concepts, "Resource URIs"."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_OF_NAMESPACE = ("status", "finalize")  # subresources of a namespace itself, not resources inside it


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `rest` follows the subresource, as in `pods/x/proxy/rest`; `watch` marks the old /watch/ prefix."""

    group: str
    version: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    watch: bool = False


@lru_cache(maxsize=8192)
def parse(path: str) -> Target | None:
    """The target of a resource path, percent-encoded; None for every other path (`/version`, `/apis/apps/v1`)."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api":
        group, version, parts = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 2:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = bool(parts) and parts[0] == "watch"
    if watch:
        parts = parts[1:]
    if not parts or not all(parts[:4]):
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _OF_NAMESPACE:
            parts = parts[2:]
    resource, name, subresource = (*parts, "", "")[:3]
    return Target(group, version, resource, namespace, name, subresource, "/".join(parts[3:]), watch)


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def verb_of(method: str, target: Target, watching: bool) -> str:
    """The API verb of a request on a resource; the lower-case method where there is none."""
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and (watching or target.watch):
        return "watch"
    if not target.name:
        return {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return verb
