"""What deciders ask the server that no cache shows: which resource a kind is, and its scale. Pure.

An answer that isn't there yet is an exception that says what to fetch.

Source: k8s.io/client-go restmapper, scale.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from podling.api.objects import Object, group_of
from podling.client.resource import DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, Resource
from podling.controllers.view import Fetched

KNOWN = {(one.group, one.kind): one for one in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)}


class Need(Exception):
    """What has to be fetched first."""

    def __init__(self, *paths: str) -> None:
        super().__init__(*paths)
        self.paths = paths


class Refused(Exception):
    """The server's answer is an error. `code` is the HTTP status, 0 where it wasn't reached."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NoMatch(Exception):
    """There is no such kind, or it can't be scaled."""


class Answers:
    """What was fetched. `get` raises Need, Refused."""

    def __init__(self, fetched: Mapping[str, Fetched]) -> None:
        self._fetched = fetched

    def get(self, path: str, **query: str) -> Object:
        given = {name: value for name, value in query.items() if value}
        whole = f"{path}?{urlencode(given, quote_via=quote)}" if given else path
        found = self._fetched.get(whole)
        if found is None:
            raise Need(whole)
        if found.error:
            raise Refused(found.error, found.code)
        return found.answer


def resource_of(answers: Answers, api_version: str, kind: str) -> Resource:
    """The resource of a kind, in its group's preferred version that has it. Raises NoMatch, Need, Refused."""
    group = group_of(api_version)
    if (known := KNOWN.get((group, kind))) is not None:
        return known
    for version in _versions(answers, group):
        listed = answers.get(f"/apis/{group}/{version}" if group else f"/api/{version}").get("resources") or ()
        for entry in listed:
            if entry["kind"] == kind and "/" not in entry["name"]:
                return Resource(group, version, entry["name"], bool(entry["namespaced"]), kind)
    raise NoMatch(f'no matches for kind "{kind}" in group "{group}"')


def _versions(answers: Answers, group: str) -> list[str]:
    """Those of an API group, the preferred one first; none of a group that isn't there."""
    if not group:
        return ["v1"]
    try:
        found = answers.get(f"/apis/{group}")
    except Refused as error:
        if error.code == 404:
            return []
        raise
    return [one["version"] for one in found.get("versions") or ()]


def has_scale(answers: Answers, resource: Resource) -> bool:
    """Whether it has the scale subresource. Raises Need, Refused."""
    if (resource.group, resource.kind) in KNOWN:
        return True
    path = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return any(entry["name"] == f"{resource.plural}/scale" for entry in answers.get(path).get("resources") or ())


def scale_of(answers: Answers, resource: Resource, namespace: str, name: str) -> Object:
    """The autoscaling/v1 Scale of an object. Raises Need, Refused."""
    return answers.get(resource.path(namespace, name, "scale"))
