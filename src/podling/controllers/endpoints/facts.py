"""The pods behind a Service and the ports they answer on. Source: Kubernetes documentation "EndpointSlices"."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from podling.api import selectors
from podling.api.objects import Object, is_deleting, key_of, labels_of, namespace_of
from podling.client.resource import PODS, SERVICES
from podling.controllers import pods as pod_facts
from podling.controllers.view import Key, View

HEADLESS = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True)
class Port:
    """One port as it is on a pod; `number` is None for all ports of a headless Service without any."""

    name: str
    protocol: str
    number: int
    app_protocol: str = ""


Ports = tuple[Port, ...]


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def has_pods(service: Object) -> bool:
    """Whether a selector says who serves it: else somebody else writes its endpoints."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def backends(service: Object, view: View) -> list[Object]:
    """The selected pods that have an address and haven't finished, terminating ones too."""
    selector = selectors.of_labels(service["spec"].get("selector"))
    pods = view.selected(PODS, namespace_of(service), selector)
    return [pod for pod in pods if not pod_facts.is_finished(pod) and pod_facts.addresses(pod)]


def ports_on(service: Object, pod: Object) -> Ports:
    """The Service's ports as `pod` has them; one whose name the pod doesn't know is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target(port, pod)
        if number is not None:
            found.append(Port(port.get("name") or "", port.get("protocol") or "TCP", number, port.get("appProtocol") or ""))
    return tuple(found)


def target(port: Object, pod: Object) -> int | None:
    """The number of a Service port's target on `pod`: given, or the container port of that name."""
    wanted = port.get("targetPort") or port["port"]
    if isinstance(wanted, int):
        return wanted
    for container in _containers(pod):
        for candidate in container.get("ports") or ():
            if candidate.get("name") == wanted and candidate.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(candidate["containerPort"])
    return None


def _containers(pod: Object) -> Iterable[Object]:
    yield from pod["spec"].get("containers") or ()
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def address(pod: Object, family: str) -> str | None:
    """The pod's address of `family` (IPv4 or IPv6)."""
    version = 6 if family == "IPv6" else 4
    return next((ip for ip in pod_facts.addresses(pod) if ip_address(ip).version == version), None)


def families(service: Object) -> list[str]:
    return service["spec"].get("ipFamilies") or ["IPv6" if ":" in (service["spec"].get("clusterIP") or "") else "IPv4"]


def hostname(service: Object, pod: Object) -> str:
    """The name that DNS gives the pod below the Service; "" for none."""
    spec = pod["spec"]
    return spec.get("hostname") or "" if spec.get("subdomain") == service["metadata"]["name"] else ""


def reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def services_of(pod: Object, view: View) -> list[Key]:
    """The Services whose selector matches `pod`."""
    return [
        (SERVICES, key_of(service))
        for service in view.within(SERVICES, namespace_of(pod))
        if has_pods(service) and selectors.of_labels(service["spec"]["selector"]).matches(labels_of(pod))
    ]


def is_serving(pod: Object) -> bool:
    return pod_facts.is_ready(pod)


def is_terminating(pod: Object) -> bool:
    return is_deleting(pod)
