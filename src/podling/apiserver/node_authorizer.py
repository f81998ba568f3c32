"""The node authorizer: an agent reads what its own pods refer to, and no more.

Source: Kubernetes documentation "Using Node Authorization"; plugin/pkg/auth/authorizer/node.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from podling.api.core.pod import POD
from podling.api.objects import get
from podling.apiserver.cache import Change, Item, ResourceCache
from podling.apiserver.identity import Attributes, Decision, User, node_of
from podling.apiserver.rbac import Rule, rule_allows

Object = dict[str, Any]

READ = ("get", "list", "watch")
NODE_FIELD = "spec.nodeName"


class PodsOfNodes:
    """Which pods each node has, from the watch cache."""

    def __init__(self, cache: ResourceCache) -> None:
        self._cache = cache
        self._keys: dict[str, dict[str, None]] = {}
        for item in cache.items():
            self._add(item)
        cache.listen(self._changed)

    def of(self, node: str) -> Iterator[Item]:
        for key in self._keys.get(node, ()):
            if (item := self._cache.get(key)) is not None:
                yield item

    def _changed(self, change: Change) -> None:
        before, after = _node(change.previous), _node(change.item)
        if before == after:
            return
        if before:
            self._keys[before].pop(change.key, None)
            if not self._keys[before]:
                del self._keys[before]
        if change.item is not None:
            self._add(change.item)

    def _add(self, item: Item) -> None:
        if node := _node(item):
            self._keys.setdefault(node, {})[item.key] = None


def _node(item: Item | None) -> str:
    """The pod's node. Most new pods have none, and their bytes tell so sooner than their fields."""
    return item.fields(POD)[NODE_FIELD] if item is not None and b'"nodeName":"' in item.data else ""


def references(pod: Object) -> Iterator[tuple[str, str]]:
    """What a pod refers to in its namespace: (plural, name)."""
    spec = pod["spec"]
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for member in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(member) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, pod["metadata"]["name"])


_FROM_ENVIRONMENT = (("secretRef", "secrets"), ("configMapRef", "configmaps"))
_FROM_KEYS = (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps"))


def _of_container(container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        yield from _named(source, _FROM_ENVIRONMENT)
    for variable in container.get("env") or ():
        yield from _named(variable.get("valueFrom") or {}, _FROM_KEYS)


def _named(holder: Object, members: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((plural, holder[member].get("name", "")) for member, plural in members if holder.get(member))


_SECRET_OF = ("azureFile", "cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")


def _of_volume(volume: Object, pod: str) -> Iterator[tuple[str, str]]:
    yield "secrets", get(volume, "secret.secretName", "")
    yield "configmaps", get(volume, "configMap.name", "")
    yield "persistentvolumeclaims", get(volume, "persistentVolumeClaim.claimName", "")
    yield "secrets", get(volume, "csi.nodePublishSecretRef.name", "")
    if volume.get("ephemeral") is not None:
        yield "persistentvolumeclaims", f"{pod}-{volume['name']}"
    for kind in _SECRET_OF:
        yield "secrets", get(volume, f"{kind}.secretRef.name", "")
    yield "secrets", get(volume, "azureFile.secretName", "")
    for source in get(volume, "projected.sources", ()):
        yield "secrets", get(source, "secret.name", "")
        yield "configmaps", get(source, "configMap.name", "")


class NodeAuthorizer:
    """Decides for agents alone. `rules` hold for every node, save for what a pod has to refer to."""

    def __init__(self, pods: Callable[[], PodsOfNodes], rules: Sequence[Rule]) -> None:
        self._pods = pods
        self._rules = rules

    def rules(self, user: User, namespace: str) -> Sequence[Rule]:
        return self._rules if node_of(user) else ()

    def authorize(self, attributes: Attributes) -> Decision:
        node = node_of(attributes.user)
        if not node:
            return Decision(False)
        if not any(rule_allows(rule, attributes) for rule in self._rules):
            return Decision(False)
        check = _CHECKS.get((attributes.group, attributes.resource))
        reason = check(self._pods(), node, attributes) if check else ""
        return Decision(not reason, reason)


def _referred(pods: PodsOfNodes, node: str, attributes: Attributes) -> str:
    """What is read by its name, when a pod of the node has it."""
    if attributes.verb in READ and not attributes.name:
        return f"can only {attributes.verb} {attributes.resource} by name"
    if _has(pods, node, attributes):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _has(pods: PodsOfNodes, node: str, attributes: Attributes) -> bool:
    mark, wanted = attributes.name.encode(), (attributes.resource, attributes.name)
    unnamed = wanted == ("serviceaccounts", "default") or attributes.resource == "persistentvolumeclaims"
    home = f"{attributes.namespace}/"
    return any(
        item.key.startswith(home) and (unnamed or mark in item.data) and wanted in references(item.object)
        for item in pods.of(node)
    )


def _own_pods(pods: PodsOfNodes, node: str, attributes: Attributes) -> str:
    """Lists and watches are of the node's own pods; other verbs are admission's to judge."""
    if attributes.verb in ("list", "watch") and f"{NODE_FIELD}={node}" not in attributes.fields.split(","):
        return f"can only list/watch pods with {NODE_FIELD} field selector"
    if attributes.verb == "get":
        key = f"{attributes.namespace}/{attributes.name}"
        if all(item.key != key for item in pods.of(node)):
            return f"no relationship found between node '{node}' and this object"
    return ""


def _own_node(pods: PodsOfNodes, node: str, attributes: Attributes) -> str:
    """By its name; admission judges what is written."""
    if attributes.verb in READ and attributes.name != node:
        return f"node '{node}' cannot read '{attributes.name}', only its own Node object"
    return ""


Check = Callable[[PodsOfNodes, str, Attributes], str]
_CHECKS: dict[tuple[str, str], Check] = {
    ("", "secrets"): _referred,
    ("", "configmaps"): _referred,
    ("", "persistentvolumeclaims"): _referred,
    ("", "serviceaccounts"): _referred,
    ("", "pods"): _own_pods,
    ("", "nodes"): _own_node,
}
