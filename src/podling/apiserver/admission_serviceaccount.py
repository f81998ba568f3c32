"""Admission of ServiceAccount: a pod runs as an account that exists, with its token at the well-known place.

Source: Kubernetes documentation "Managing Service Accounts", ServiceAccount admission controller.
"""

import asyncio
from contextlib import suppress
from typing import Any

from podling.api.status import forbidden
from podling.apiserver.admission import CREATE, Review, concerns
from podling.apiserver.cache import Item
from podling.base.ids import suffix

Object = dict[str, Any]

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
DEFAULT = "default"
PATIENCE = 1.0  # seconds
MIRROR = "kubernetes.io/config.mirror"


@concerns((CREATE,), [("", "pods")])
async def service_account(review: Review) -> None:
    """Fills in the account, its image pull secrets and the token volume. Refuses an account that isn't there."""
    pod = review.obj
    if pod is None or review.operation != CREATE or review.kind.storage != ("", "pods") or review.attributes.subresource:
        return
    spec = pod["spec"]
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return
    name = spec.setdefault("serviceAccountName", DEFAULT)
    spec["serviceAccount"] = name
    namespace = review.attributes.namespace
    account = await _account(review, namespace, name)
    if account is None:
        cause = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden("pods", pod["metadata"].get("name", ""), cause)
    found = account.object
    if found.get("imagePullSecrets"):
        spec.setdefault("imagePullSecrets", found["imagePullSecrets"])
    automount = spec.get("automountServiceAccountToken", found.get("automountServiceAccountToken", True))
    if automount:
        _mount_token(spec)


async def _account(review: Review, namespace: str, name: str) -> Item | None:
    """The account; that of a new namespace, which a controller makes, is waited for."""
    storage = review.backend.storage
    accounts, key = storage.of(("", "serviceaccounts")), f"{namespace}/{name}"
    if name == DEFAULT and accounts.get(key) is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while accounts.get(key) is None:
                    await storage.wait(storage.revision + 1)
    return accounts.get(key)


def _mount_token(spec: Object) -> None:
    """Give each container that has nothing at the path the token, the CA and the namespace."""
    wanting = [
        container
        for key in ("initContainers", "containers")
        for container in spec.get(key) or ()
        if all(mount.get("mountPath") != MOUNT_PATH for mount in container.get("volumeMounts") or ())
    ]
    if not wanting:
        return
    volume = f"kube-api-access-{suffix()}"
    for container in wanting:
        container.setdefault("volumeMounts", []).append({"name": volume, "readOnly": True, "mountPath": MOUNT_PATH})
    spec.setdefault("volumes", []).append({"name": volume, "projected": {"defaultMode": 0o644, "sources": _sources()}})


def _sources() -> list[Object]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
