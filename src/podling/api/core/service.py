"""v1 Service. Source: Kubernetes API reference, "Service". Addresses and node ports are allocated by the API server."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME, joined
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import PROXIED, STATUS, VERBS, Column, Kind, Object, Subresource, paths
from podling.api.rules import between, chosen, ip_address, named, one_of, port, port_or_name

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
NODE_PORT_TYPES = ("NodePort", "LoadBalancer")
AFFINITY_SECONDS, MAX_AFFINITY_SECONDS = 10800, 86400


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    kind = spec.setdefault("type", "ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_SECONDS)
    for entry in spec.get("ports") or ():
        entry.setdefault("protocol", "TCP")
        if not entry.get("targetPort"):
            entry["targetPort"] = entry.get("port")
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in NODE_PORT_TYPES or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def prepare(new: Object, old: Object | None) -> None:
    """Fields of a type that the service no longer has fall away; those that were allocated stay when left out."""
    if old is None:
        new["status"] = {"loadBalancer": {}}
        return
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return
    for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if name in before and name not in spec and before.get("type") != "ExternalName":
            spec[name] = before[name]
    if spec.get("type") in NODE_PORT_TYPES:
        _keep_node_ports(spec, before)
    elif before.get("type") in NODE_PORT_TYPES:
        _drop_node_ports(spec, before)


def _keep_node_ports(spec: Object, before: Object) -> None:
    known = {(entry.get("protocol"), entry.get("port")): entry.get("nodePort") for entry in before.get("ports") or ()}
    taken = {entry.get("nodePort") for entry in spec.get("ports") or ()}
    for entry in spec.get("ports") or ():
        number = known.get((entry.get("protocol"), entry.get("port")))
        if not entry.get("nodePort") and number and number not in taken:
            entry["nodePort"] = number


def _drop_node_ports(spec: Object, before: Object) -> None:
    known = {entry.get("nodePort") for entry in before.get("ports") or ()}
    for entry in spec.get("ports") or ():
        if entry.get("nodePort") in known:
            entry.pop("nodePort", None)
    if not spec.get("externalIPs"):
        spec.pop("externalTrafficPolicy", None)
    for name in ("allocateLoadBalancerNodePorts", "healthCheckNodePort", "loadBalancerClass"):
        spec.pop(name, None)


def is_headless(service: Object) -> bool:
    return bool(objects.get(service, "spec.clusterIP") == "None")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from chosen(spec / "type", TYPES)
    kind = spec.get("type")
    if kind == "ExternalName":
        yield from _external_name(spec)
    elif kind in NODE_PORT_TYPES and spec.get("clusterIP") == "None":
        yield (spec / "clusterIP").invalid(f"may not be set to 'None' for {kind} services")
    yield from _ports(spec)
    for key, value in (spec / "selector").entries():
        for complaint in names.qualified(key):
            yield (spec / "selector").invalid(complaint, key)
        yield from named(value, names.label_value)
    yield from _affinity(spec)
    for address in spec / "externalIPs":
        yield from ip_address(address)
    yield from _policies(spec)
    if old is not None:
        yield from _fixed_address(spec, old)


def _external_name(spec: Cursor) -> Iterator[FieldError]:
    name = spec / "externalName"
    if spec.get("clusterIP"):
        yield (spec / "clusterIP").forbidden("may not be set when `type` is 'ExternalName'")
    if not name.value:
        yield name.required()
    else:
        for complaint in names.subdomain(str(name.value).removesuffix(".")):
            yield name.invalid(complaint)


def _ports(spec: Cursor) -> Iterator[FieldError]:
    ports = spec / "ports"
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield ports.required()
    several = len(ports.value or ()) > 1
    seen_names: set[str] = set()
    seen: set[tuple[object, object]] = set()
    for entry in ports:
        yield from _port(entry, several=several, seen=seen_names)
        if entry.get("nodePort") and kind in ("ClusterIP", "ExternalName"):
            yield (entry / "nodePort").forbidden("may not be used when `type` is 'ClusterIP'")
        identity = (entry.get("protocol"), entry.get("port"))
        if identity in seen:
            yield entry.duplicate({name: entry.get(name) for name in ("protocol", "port") if entry.get(name)})
        seen.add(identity)


def _port(entry: Cursor, *, several: bool, seen: set[str]) -> Iterator[FieldError]:
    name = entry / "name"
    if several and not name.value:
        yield name.required()
    elif name.value:
        yield from named(name, names.label)
        if name.value in seen:
            yield name.duplicate()
        seen.add(name.value)
    if entry.get("port") is None:
        yield (entry / "port").invalid("must be between 1 and 65535, inclusive", 0)
    else:
        for complaint in names.port_number(entry.get("port")):
            yield (entry / "port").invalid(complaint)
    yield from chosen(entry / "protocol", PROTOCOLS)
    yield from port_or_name(entry / "targetPort")
    yield from named(entry / "appProtocol", names.qualified)
    if entry.get("nodePort"):
        yield from port(entry / "nodePort")


def _affinity(spec: Cursor) -> Iterator[FieldError]:
    yield from chosen(spec / "sessionAffinity", ("ClientIP", "None"))
    seconds = spec / "sessionAffinityConfig" / "clientIP" / "timeoutSeconds"
    if spec.get("sessionAffinity") == "ClientIP" and not 0 < (seconds.value or 0) <= MAX_AFFINITY_SECONDS:
        yield seconds.invalid(f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}")


def _policies(spec: Cursor) -> Iterator[FieldError]:
    yield from one_of(spec / "internalTrafficPolicy", ("Cluster", "Local"))
    external = spec / "externalTrafficPolicy"
    if external.value is not None:
        if spec.get("type") not in NODE_PORT_TYPES and not spec.get("externalIPs"):
            yield external.invalid("may only be set for externally-accessible services")
        yield from one_of(external, ("Cluster", "Local"))
    yield from one_of(spec / "ipFamilyPolicy", ("SingleStack", "PreferDualStack", "RequireDualStack"))
    for family in spec / "ipFamilies":
        yield from one_of(family, ("IPv4", "IPv6"))
    yield from one_of(spec / "trafficDistribution", ("PreferClose", "PreferSameNode", "PreferSameZone"))
    if spec.get("healthCheckNodePort"):
        yield from between(spec / "healthCheckNodePort", 1, 65535)


def _fixed_address(spec: Cursor, old: Object) -> Iterator[FieldError]:
    """A cluster IP, once given, stays until the type is ExternalName."""
    before = old.get("spec") or {}
    if "ExternalName" in (spec.get("type"), before.get("type")) or not before.get("clusterIP"):
        return
    if spec.get("clusterIP") != before["clusterIP"]:
        yield Cursor(spec.get("clusterIP", ""), spec / "clusterIPs", "[0]").invalid("may not change once set")


def _external_ip(service: Object, _: float) -> str:
    spec = service.get("spec") or {}
    given = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName") or "<none>")
        case "LoadBalancer":
            ingress = objects.get(service, "status.loadBalancer.ingress", ())
            given = [entry.get("ip") or entry.get("hostname") or "" for entry in ingress] + given
            return ",".join(given) or "<pending>"
        case _:
            return ",".join(given) or "<none>"


def _ports_cell(service: Object, _: float) -> str:
    return ",".join(map(_port_cell, objects.get(service, "spec.ports", ()))) or "<none>"


def _port_cell(entry: Object) -> str:
    number = f"{entry['port']}:{entry['nodePort']}" if entry.get("nodePort") else str(entry.get("port"))
    return f"{number}/{entry.get('protocol')}"


SERVICE = Kind(
    api_version="v1",
    kind="Service",
    plural="services",
    create_on_update=True,
    short=("svc",),
    categories=("all",),
    verbs=VERBS,
    subresources=(Subresource("proxy", PROXIED, kind="ServiceProxyOptions"), STATUS),
    check_name=names.label_1035,
    default=default,
    prepare=prepare,
    validate=validate,
    columns=(
        NAME,
        Column("Type", "spec.type"),
        Column("Cluster-IP", lambda service, _: objects.get(service, "spec.clusterIP") or "<none>"),
        Column("External-IP", _external_ip),
        Column("Port(s)", _ports_cell),
        AGE,
        Column("Selector", lambda service, _: joined(objects.get(service, "spec.selector")), priority=1),
    ),
    fields=paths("spec.clusterIP", "spec.type"),
)
