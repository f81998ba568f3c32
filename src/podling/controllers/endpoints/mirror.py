"""Endpoints that somebody writes by hand, for a Service without a selector, as the slices that the proxies read.

Source: Kubernetes documentation "EndpointSlice mirroring".
"""

from collections.abc import Iterable
from ipaddress import ip_address

from podling.api.objects import Object, annotations_of, is_deleting, key_of, labels_of, name_of, namespace_of
from podling.api.timestamps import rfc3339
from podling.client.resource import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from podling.controllers.controller import Controller, Watch
from podling.controllers.endpoints.facts import Port, Ports
from podling.controllers.endpoints.slices import MANAGED_BY, SERVICE_NAME, Endpoints, Family
from podling.controllers.plan import NOTHING, Action, Delete, Plan
from podling.controllers.view import Key, View

MIRROR = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"  # these elect, and serve nobody
MOST = 1000  # endpoints of one subset
FAMILIES = ("IPv4", "IPv6")


class Mirrored(Family):
    """Slices that belong to an Endpoints object, which is their `service`."""

    def identity(self, endpoint: Object) -> str:
        return str(endpoint["addresses"][0])

    def labels(self) -> dict[str, str]:
        return labels_of(self.service) | {SERVICE_NAME: name_of(self.service), MANAGED_BY: MIRROR}


def reconcile(endpoints: Object, view: View, now: float) -> Plan:
    if is_deleting(endpoints):
        return NOTHING
    existing = _slices(endpoints, view)
    if not _is_mirrored(endpoints, view):
        return Plan([Delete(ENDPOINT_SLICES, one) for one in existing])
    actions: list[Action] = []
    for family in FAMILIES:
        wanted = groups(endpoints, family)
        ours = [one for one in existing if one["addressType"] == family]
        if wanted:
            actions += Mirrored(endpoints, family, rfc3339(now)).settle(wanted, ours)
        else:
            actions += [Delete(ENDPOINT_SLICES, one) for one in ours]
    return Plan(actions)


def _is_mirrored(endpoints: Object, view: View) -> bool:
    if labels_of(endpoints).get(SKIP) == "true" or LEADER in annotations_of(endpoints):
        return False
    service = view.get(SERVICES, name_of(endpoints), namespace_of(endpoints))
    return service is not None and not service["spec"].get("selector")


def _slices(endpoints: Object, view: View) -> list[Object]:
    key = f"{namespace_of(endpoints)}/{SERVICE_NAME}={name_of(endpoints)}"
    found = view.caches[ENDPOINT_SLICES].find("label", key)
    return [one for one in found if labels_of(one).get(MANAGED_BY) == MIRROR and not is_deleting(one)]


def groups(endpoints: Object, family: str) -> dict[Ports, Endpoints]:
    """The endpoints of one family by their ports."""
    found: dict[Ports, Endpoints] = {}
    for subset in endpoints.get("subsets") or ():
        both = [(one, True) for one in subset.get("addresses") or ()] + [
            (one, False) for one in subset.get("notReadyAddresses") or ()
        ]
        addresses = [(one, ready) for one, ready in both if _family(one["ip"]) == family][:MOST]
        if addresses:
            group = found.setdefault(tuple(_port(port) for port in subset.get("ports") or ()), {})
            group |= {one["ip"]: _endpoint(one, ready) for one, ready in addresses}
    return found


def _family(address: str) -> str:
    return f"IPv{ip_address(address).version}"


def _port(port: Object) -> Port:
    return Port(port.get("name") or "", port.get("protocol") or "TCP", port["port"], port.get("appProtocol") or "")


def _endpoint(address: Object, ready: bool) -> Object:
    kept = {name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **kept}


def of_service(service: Object, view: View) -> list[Key]:
    return [(ENDPOINTS, key_of(service))]


def of_slice(one: Object, view: View) -> Iterable[Key]:
    name = labels_of(one).get(SERVICE_NAME)
    return [(ENDPOINTS, f"{namespace_of(one)}/{name}")] if name and labels_of(one).get(MANAGED_BY) == MIRROR else []


ENDPOINT_SLICE_MIRRORING = Controller(
    "endpoint-slice-mirroring",
    primary=(Watch(ENDPOINTS),),
    reconcile=reconcile,
    watches=(Watch(SERVICES, of_service), Watch(ENDPOINT_SLICES, of_slice, ("label",))),
)
