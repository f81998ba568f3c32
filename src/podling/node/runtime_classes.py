"""Which OCI runtime a pod's class names. Source: Kubernetes, "Runtime Class"."""

import shutil

from podling.base import errors
from podling.client.client import Client
from podling.client.errors import NotFound
from podling.client.resource import RUNTIME_CLASSES
from podling.node.pod.spec import Object


async def handler_of(client: Client, pod: Object) -> str:
    """The program; "" for the node's default. Raises NotFound for a class, InvalidInput for a handler that isn't here."""
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return ""
    try:
        found = await client.get(RUNTIME_CLASSES, name)
    except NotFound:
        raise errors.NotFound(f'RuntimeClass "{name}" not found') from None
    handler: str = found["handler"]
    if shutil.which(handler) is None:
        raise errors.InvalidInput(f'no runtime for "{handler}" is configured')
    return handler
