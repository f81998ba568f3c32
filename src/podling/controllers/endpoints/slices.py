"""EndpointSlices of a Service: at most 100 endpoints each, changed as little as possible.

Source: discovery.k8s.io/v1 EndpointSlice; the conditions' meaning is that of its API reference.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podling.api.objects import Object, is_deleting, labels_of, namespace_of, owner_reference, uid_of
from podling.api.timestamps import rfc3339
from podling.client.resource import ENDPOINT_SLICES, NODES, PODS, SERVICES
from podling.controllers.controller import Controller, Watch
from podling.controllers.endpoints import facts
from podling.controllers.endpoints.facts import HEADLESS, Port, Ports
from podling.controllers.plan import NOTHING, Action, Create, Delete, Patch, Plan
from podling.controllers.view import Key, View

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY, MANAGER = "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"
TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
ZONE = "topology.kubernetes.io/zone"
MOST = 100

Endpoints = dict[str, Object]  # by the uid of their pod


def reconcile(service: Object, view: View, now: float) -> Plan:
    if not facts.has_pods(service) or is_deleting(service):
        return NOTHING
    existing = _slices(service, view)
    actions: list[Action] = []
    families = facts.families(service)
    for family in families:
        ours = [one for one in existing if one["addressType"] == family]
        actions += Family(service, family, rfc3339(now)).settle(wanted(service, family, view), ours)
    actions += [Delete(ENDPOINT_SLICES, one) for one in existing if one["addressType"] not in families]
    return Plan(actions)


def _slices(service: Object, view: View) -> list[Object]:
    key = f"{namespace_of(service)}/{SERVICE_NAME}={service['metadata']['name']}"
    found = view.caches[ENDPOINT_SLICES].find("label", key)
    return [one for one in found if labels_of(one).get(MANAGED_BY) == MANAGER and not is_deleting(one)]


def wanted(service: Object, family: str, view: View) -> dict[Ports, Endpoints]:
    """The endpoints there should be, by the ports that they have in common."""
    groups: dict[Ports, Endpoints] = {}
    for pod in facts.backends(service, view):
        ip = facts.address(pod, family)
        ports = facts.ports_on(service, pod)
        if ip is not None and (ports or not service["spec"].get("ports")):
            groups.setdefault(ports, {})[uid_of(pod)] = endpoint(service, pod, ip, view)
    return groups


def endpoint(service: Object, pod: Object, ip: str, view: View) -> Object:
    serving, terminating = facts.is_serving(pod), facts.is_terminating(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    node = pod["spec"].get("nodeName") or ""
    known = view.get(NODES, node) if node else None
    new: Object = {
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "hostname": facts.hostname(service, pod),
        "nodeName": node,
        "targetRef": facts.reference(pod),
        "zone": labels_of(known).get(ZONE) if known else None,
    }
    return {key: value for key, value in new.items() if value}


@dataclass(slots=True)
class _Slice:
    """A slice on its way to what it should hold; `before` is None for a new one."""

    before: Object | None
    endpoints: list[Object]
    changed: bool = False


@dataclass(slots=True)
class Family:
    """Brings the slices of one address family to what is wanted."""

    service: Object
    family: str
    now: str
    actions: list[Action] = field(default_factory=list)

    def settle(self, groups: dict[Ports, Endpoints], existing: list[Object]) -> list[Action]:
        by_ports: dict[Ports, list[Object]] = {}
        for one in existing:
            by_ports.setdefault(ports_of(one), []).append(one)
        if not groups:
            groups = {(): {}} if not existing else {ports_of(existing[0]): {}}  # one empty slice tells that nobody serves
        for ports, endpoints in groups.items():
            self._settle_group(ports, endpoints, by_ports.pop(ports, []))
        self.actions += [Delete(ENDPOINT_SLICES, one) for rest in by_ports.values() for one in rest]
        return self.actions

    def _settle_group(self, ports: Ports, endpoints: Endpoints, existing: list[Object]) -> None:
        slices = [self._kept(one, endpoints) for one in existing]
        added = list(endpoints.values())  # those that no slice had
        for one in sorted(slices, key=lambda one: (not one.changed, -len(one.endpoints))):
            room = MOST - len(one.endpoints)
            if added and room > 0:
                one.endpoints += added[:room]
                one.changed = True
                added = added[room:]
        slices += [_Slice(None, added[start : start + MOST], True) for start in range(0, len(added), MOST)]
        if not slices:
            slices = [_Slice(None, [], True)]
        self._write(ports, slices)

    def _kept(self, one: Object, endpoints: Endpoints) -> _Slice:
        """What of a slice is still wanted, as it is now; taken out of `endpoints`."""
        before = one.get("endpoints") or []
        kept = [endpoints.pop(known) for old in before if (known := self.identity(old)) in endpoints]
        return _Slice(one, kept, kept != before)

    def identity(self, endpoint: Object) -> str:
        """What tells endpoints apart: their pod."""
        return (endpoint.get("targetRef") or {}).get("uid") or ""

    def _write(self, ports: Ports, slices: list[_Slice]) -> None:
        filled = [one for one in slices if one.endpoints] or slices[:1]
        for one in slices:
            if one not in filled and one.before is not None:
                self.actions.append(Delete(ENDPOINT_SLICES, one.before))
        for one in filled:
            self._write_one(ports, one)

    def _write_one(self, ports: Ports, one: _Slice) -> None:
        if one.before is None:
            self.actions.append(Create(ENDPOINT_SLICES, self._new(ports, one.endpoints)))
        elif one.changed or any(labels_of(one.before).get(name) != value for name, value in self.labels().items()):
            metadata = {"labels": self.labels(), "annotations": {TRIGGERED: self.now}}
            self.actions.append(Patch(ENDPOINT_SLICES, one.before, {"metadata": metadata, "endpoints": one.endpoints}))

    def labels(self) -> dict[str, str]:
        headless = {HEADLESS: ""} if facts.is_headless(self.service) else {}
        return labels_of(self.service) | headless | {SERVICE_NAME: self.service["metadata"]["name"], MANAGED_BY: MANAGER}

    def _new(self, ports: Ports, endpoints: list[Object]) -> Object:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": self.service["metadata"]["name"] + "-",
                "namespace": namespace_of(self.service),
                "labels": self.labels(),
                "annotations": {TRIGGERED: self.now},
                "ownerReferences": [owner_reference(self.service)],
            },
            "addressType": self.family,
            "endpoints": endpoints,
            "ports": [_port(port) for port in ports],
        }


def _port(port: Port) -> Object:
    named = {"name": port.name, "protocol": port.protocol, "port": port.number}
    return named | ({"appProtocol": port.app_protocol} if port.app_protocol else {})


def ports_of(one: Object) -> Ports:
    return tuple(
        Port(port.get("name") or "", port.get("protocol") or "TCP", port.get("port") or 0, port.get("appProtocol") or "")
        for port in one.get("ports") or ()
    )


def service_of(one: Object, view: View) -> Iterable[Key]:
    name = labels_of(one).get(SERVICE_NAME)
    return [(SERVICES, f"{namespace_of(one)}/{name}")] if name else []


ENDPOINT_SLICE = Controller(
    "endpoint-slice",
    primary=(Watch(SERVICES, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(
        Watch(PODS, facts.services_of, ("namespace", "label")),
        Watch(ENDPOINT_SLICES, service_of, ("label",)),
        Watch(NODES),
    ),
)
