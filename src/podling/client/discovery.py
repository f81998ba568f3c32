"""What resources a server has. Source: Kubernetes API concepts, "API discovery"; v1 APIResourceList."""

import asyncio
import logging
from collections.abc import Iterable

from podling.api.objects import Object
from podling.client.client import Client
from podling.client.errors import FAILURES
from podling.client.resource import Resource

log = logging.getLogger(__name__)


async def discover(client: Client, verbs: Iterable[str] = ("list", "watch", "delete")) -> list[Resource]:
    """The resources that have all of `verbs`, each in its group's preferred version. Groups that don't answer are left out."""
    groups = (await client.call("GET", "/apis")).get("groups") or []
    versions = [("", "v1"), *((group["name"], group["preferredVersion"]["version"]) for group in groups)]
    lists = await asyncio.gather(*(_resources(client, group, version) for group, version in versions))
    wanted = set(verbs)
    return [
        Resource(group, version, entry["name"], bool(entry["namespaced"]), entry["kind"])
        for (group, version), entries in zip(versions, lists, strict=True)
        for entry in entries
        if "/" not in entry["name"] and wanted <= set(entry["verbs"])
    ]


async def _resources(client: Client, group: str, version: str) -> list[Object]:
    try:
        answer = await client.call("GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
    except FAILURES as error:
        log.warning("discovery of %s/%s failed: %s", group, version, error)
        return []
    return answer.get("resources") or []
