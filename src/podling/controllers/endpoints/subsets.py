"""The Endpoints object of a Service, for clients from before EndpointSlices. Source: v1 Endpoints."""

from podling.api.objects import Object, is_deleting, key_of, labels_of, namespace_of
from podling.api.timestamps import rfc3339
from podling.client.resource import ENDPOINTS, PODS, SERVICES
from podling.controllers.controller import Controller, Watch
from podling.controllers.endpoints import facts
from podling.controllers.endpoints.facts import HEADLESS, Port, Ports
from podling.controllers.endpoints.slices import TRIGGERED
from podling.controllers.plan import NOTHING, Create, Delete, Plan, Update
from podling.controllers.view import Key, View

MANAGED_BY = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
MOST = 1000  # addresses


def reconcile(service: Object, view: View, now: float) -> Plan:
    if not facts.has_pods(service) or is_deleting(service):
        return NOTHING
    current = view.get(ENDPOINTS, service["metadata"]["name"], namespace_of(service))
    wanted = {"subsets": _cut(subsets(service, view)), "labels": _labels(service)}
    if current is None:
        return Plan([Create(ENDPOINTS, _object(service, wanted, {TRIGGERED: rfc3339(now)}))])
    if (current.get("subsets") or []) == wanted["subsets"] and labels_of(current) == wanted["labels"]:
        return NOTHING
    annotations = {**(current["metadata"].get("annotations") or {}), TRIGGERED: rfc3339(now)}
    new = _object(service, wanted, annotations)
    return Plan([Update(ENDPOINTS, {**new, "metadata": {**current["metadata"], **new["metadata"]}})])


def subsets(service: Object, view: View) -> list[Object]:
    """Addresses by their ports, ready and not ready apart, in a stable order."""
    every = bool(service["spec"].get("publishNotReadyAddresses"))
    family = facts.families(service)[0]
    groups: dict[Ports, tuple[list[Object], list[Object]]] = {}
    for pod in facts.backends(service, view):
        ip = facts.address(pod, family)
        ports = facts.ports_on(service, pod)
        if ip is None or (facts.is_terminating(pod) and not every) or not (ports or not service["spec"].get("ports")):
            continue
        ready, unready = groups.setdefault(ports, ([], []))
        (ready if every or facts.is_serving(pod) else unready).append(_address(service, pod, ip))
    return [_subset(ports, *groups[ports]) for ports in sorted(groups, key=repr)]


def _subset(ports: Ports, ready: list[Object], unready: list[Object]) -> Object:
    parts = {
        "addresses": sorted(ready, key=lambda address: address["ip"]),
        "notReadyAddresses": sorted(unready, key=lambda address: address["ip"]),
        "ports": [_port(port) for port in ports],
    }
    return {key: value for key, value in parts.items() if value}


def _address(service: Object, pod: Object, ip: str) -> Object:
    new = {
        "ip": ip,
        "hostname": facts.hostname(service, pod),
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": facts.reference(pod),
    }
    return {key: value for key, value in new.items() if value}


def _port(port: Port) -> Object:
    new = {"name": port.name, "port": port.number, "protocol": port.protocol, "appProtocol": port.app_protocol}
    return {key: value for key, value in new.items() if value}


def _cut(subsets: list[Object]) -> list[Object]:
    """At most 1,000 addresses; clients of more use slices."""
    left = MOST
    result = []
    for subset in subsets:
        cut = dict(subset)
        for key in ("addresses", "notReadyAddresses"):
            if key in cut:
                cut[key] = cut[key][:left]
                left -= len(cut[key])
        result.append({key: value for key, value in cut.items() if value})
    return [subset for subset in result if "addresses" in subset or "notReadyAddresses" in subset]


def _labels(service: Object) -> dict[str, str]:
    return labels_of(service) | MANAGED_BY | ({HEADLESS: ""} if facts.is_headless(service) else {})


def _object(service: Object, wanted: Object, annotations: dict[str, str]) -> Object:
    metadata = {
        "name": service["metadata"]["name"],
        "namespace": namespace_of(service),
        "labels": wanted["labels"],
        "annotations": annotations,
    }
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": wanted["subsets"]}


def of_same_name(endpoints: Object, view: View) -> list[Key]:
    return [(SERVICES, key_of(endpoints))]


def gone(service: Object, view: View) -> Plan:
    """Endpoints carry no owner reference: they go when their Service has gone."""
    left = view.get(ENDPOINTS, service["metadata"]["name"], namespace_of(service))
    return Plan([Delete(ENDPOINTS, left)] if left is not None and labels_of(left).items() >= MANAGED_BY.items() else [])


ENDPOINT = Controller(
    "endpoint",
    primary=(Watch(SERVICES, indexes=("namespace",)),),
    reconcile=reconcile,
    gone=gone,
    watches=(
        Watch(PODS, facts.services_of, ("namespace", "label")),
        Watch(ENDPOINTS, of_same_name),
    ),
)
