"""The node authorizer: an agent reads what its own pods refer to, and no more.

Source: Kubernetes documentation "Using Node Authorization"; plugin/pkg/auth/authorizer/node.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from podling.api.core.pod import POD
from podling.api.objects import get
from podling.apiserver import node_graph
from podling.apiserver.cache import Change, Item, ResourceCache
from podling.apiserver.identity import Attributes, Decision, User, node_of
from podling.apiserver.node_graph import Find
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


def _nothing(_resource: tuple[str, str], _key: str) -> None:
    """Where there are no volumes."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What leads from nodes to objects."""

    pods: PodsOfNodes
    find: Find

    def objects(self, node: str) -> Iterator[Object]:
        return (item.object for item in self.pods.of(node))


class NodeAuthorizer:
    """Decides for agents alone. `rules` hold for every node, save for what a pod has to refer to.

    `find` gives the volumes and claims that stand between a pod and what it needs.
    """

    def __init__(self, pods: Callable[[], PodsOfNodes], rules: Sequence[Rule], find: Find = _nothing) -> None:
        self._pods = pods
        self._rules = rules
        self._find = find

    def rules(self, user: User, namespace: str) -> Sequence[Rule]:
        return self._rules if node_of(user) else ()

    def authorize(self, attributes: Attributes) -> Decision:
        node = node_of(attributes.user)
        if not node:
            return Decision(False)
        if not any(rule_allows(rule, attributes) for rule in self._rules):
            return Decision(False)
        check = _CHECKS.get((attributes.group, attributes.resource))
        reason = check(Graph(self._pods(), self._find), node, attributes) if check else ""
        return Decision(not reason, reason)


def _referred(graph: Graph, node: str, attributes: Attributes) -> str:
    """What is read by its name, when a pod of the node has it."""
    if attributes.verb in READ and not attributes.name:
        return f"can only {attributes.verb} {attributes.resource} by name"
    if _has(graph.pods, node, attributes):
        return ""
    opens = attributes.resource == "secrets" and attributes.verb in READ
    if opens and node_graph.reaches_secret(graph.objects(node), attributes.namespace, attributes.name, graph.find):
        return ""
    return _stranger(node)


def _stranger(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def _has(pods: PodsOfNodes, node: str, attributes: Attributes) -> bool:
    mark, wanted = attributes.name.encode(), (attributes.resource, attributes.name)
    unnamed = wanted == ("serviceaccounts", "default") or attributes.resource == "persistentvolumeclaims"
    home = f"{attributes.namespace}/"
    return any(
        item.key.startswith(home) and (unnamed or mark in item.data) and wanted in references(item.object)
        for item in pods.of(node)
    )


def _own_pods(graph: Graph, node: str, attributes: Attributes) -> str:
    """Lists and watches are of the node's own pods; other verbs are admission's to judge."""
    if attributes.verb in ("list", "watch") and f"{NODE_FIELD}={node}" not in attributes.fields.split(","):
        return f"can only list/watch pods with {NODE_FIELD} field selector"
    if attributes.verb == "get":
        key = f"{attributes.namespace}/{attributes.name}"
        if all(item.key != key for item in graph.pods.of(node)):
            return _stranger(node)
    return ""


def _volume(graph: Graph, node: str, attributes: Attributes) -> str:
    """A persistent volume: a pod of the node has its claim."""
    volume = graph.find(node_graph.VOLUMES, attributes.name)
    return "" if node_graph.reaches_volume(graph.objects(node), volume) else _stranger(node)


def _attachment(graph: Graph, node: str, attributes: Attributes) -> str:
    """A volume attachment: it is to this node."""
    return "" if node_graph.is_attached(node, graph.find(node_graph.ATTACHMENTS, attributes.name)) else _stranger(node)


def _devices(graph: Graph, node: str, attributes: Attributes) -> str:
    """A resource claim: a pod of the node has it."""
    home, name = attributes.namespace, attributes.name
    mine = (pod for pod in graph.objects(node) if pod["metadata"]["namespace"] == home)
    return "" if any(name in node_graph.device_claims_of(pod) for pod in mine) else _stranger(node)


def _own_name(_graph: Graph, node: str, attributes: Attributes) -> str:
    """What is called as the node; a new one's name is admission's to judge."""
    if attributes.verb == "create" or attributes.name == node:
        return ""
    return f"can only access {attributes.resource} with the same name as the requesting node"


def _own_slices(_graph: Graph, node: str, attributes: Attributes) -> str:
    """Resource slices of the node: many by a selector, one by admission's leave."""
    if attributes.verb in ("list", "watch", "deletecollection") and f"{NODE_FIELD}={node}" not in attributes.fields.split(","):
        return f"can only {attributes.verb} resourceslices with {NODE_FIELD} field selector"
    return ""


def _own_node(graph: Graph, node: str, attributes: Attributes) -> str:
    """By its name; admission judges what is written."""
    if attributes.verb in READ and attributes.name != node:
        return f"node '{node}' cannot read '{attributes.name}', only its own Node object"
    return ""


Check = Callable[[Graph, str, Attributes], str]
_CHECKS: dict[tuple[str, str], Check] = {
    ("", "secrets"): _referred,
    ("", "configmaps"): _referred,
    ("", "persistentvolumeclaims"): _referred,
    ("", "serviceaccounts"): _referred,
    ("", "pods"): _own_pods,
    ("", "nodes"): _own_node,
    ("", "persistentvolumes"): _volume,
    ("storage.k8s.io", "volumeattachments"): _attachment,
    ("storage.k8s.io", "csinodes"): _own_name,
    ("resource.k8s.io", "resourceclaims"): _devices,
    ("resource.k8s.io", "resourceslices"): _own_slices,
}
