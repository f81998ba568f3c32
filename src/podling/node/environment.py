"""The environment of a container: from values, fields of the pod, resources, ConfigMaps, Secrets, and the namespace's services.

Pure: the objects that it refers to are handed in. Source: core/v1 EnvVar; Kubernetes, "Define Dependent Environment
Variables" and "Environment variables" of services.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from podling.base.errors import InvalidInput
from podling.node.fields import field_value, resource_value
from podling.node.pod.spec import Object

# ("ConfigMap" or "Secret", name) -> the object; None: there is none.
Lookup = Callable[[str, str], Object | None]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by the variable; `$$` is a dollar; an unknown name stays as it is."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def references(container: Object) -> set[tuple[str, str]]:
    """What the environment is taken from: {("ConfigMap", name), ("Secret", name)}."""
    found: set[tuple[str, str]] = set()
    for source in container.get("envFrom") or []:
        found |= {(kind, source[key]["name"]) for key, kind in _SOURCES.items() if source.get(key)}
    for variable in container.get("env") or []:
        origin = variable.get("valueFrom") or {}
        found |= {(kind, origin[key]["name"]) for key, kind in _KEYS.items() if origin.get(key)}
    return found


_SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
_KEYS = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}


def environment(
    pod: Object, container: Object, lookup: Lookup, services: Mapping[str, str], node: Mapping[str, str]
) -> dict[str, str]:
    """Name → value, in order. `services` are the service variables; `node` the values of status.hostIP, status.podIP and so on
    and the node's allocatable `cpu` and `memory`. Raises InvalidInput where something referred to is missing."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        result |= _all_of(source, lookup)
    known = dict(services) | result
    for variable in container.get("env") or []:
        value = _value(pod, container, variable, lookup, known, node)
        if value is not None:
            result[variable["name"]] = known[variable["name"]] = value
    return {**services, **result}


def _all_of(source: Object, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for key, kind in _SOURCES.items():
        if reference := source.get(key):
            obj = lookup(kind, reference["name"])
            if obj is None and not reference.get("optional"):
                raise InvalidInput(f'{kind.lower()} "{reference["name"]}" not found')
            return {prefix + name: value for name, value in texts_of(obj or {}).items()}
    return {}


def _value(
    pod: Object, container: Object, variable: Object, lookup: Lookup, known: Mapping[str, str], node: Mapping[str, str]
) -> str | None:
    origin = variable.get("valueFrom") or {}
    if reference := origin.get("fieldRef"):
        return field_value(pod, reference["fieldPath"], node)
    if reference := origin.get("resourceFieldRef"):
        return resource_value(pod, container, reference, node)
    for key, kind in _KEYS.items():
        if reference := origin.get(key):
            return _entry(kind, reference, lookup)
    return expand(str(variable.get("value") or ""), known)


def _entry(kind: str, reference: Object, lookup: Lookup) -> str | None:
    name, key = reference["name"], reference["key"]
    obj = lookup(kind, name)
    if obj is None:
        if reference.get("optional"):
            return None
        raise InvalidInput(f'{kind.lower()} "{name}" not found')
    texts = texts_of(obj)
    if key not in texts:
        if reference.get("optional"):
            return None
        raise InvalidInput(f"couldn't find key {key} in {kind} {obj['metadata'].get('namespace', '')}/{name}")
    return texts[key]


def texts_of(obj: Object) -> dict[str, str]:
    """The entries of a ConfigMap, or of a Secret decoded, as text."""
    data: Mapping[str, Any] = obj.get("data") or {}
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}
    return dict(data)


def service_variables(services: Iterable[Object]) -> dict[str, str]:
    """NAME_SERVICE_HOST, NAME_SERVICE_PORT and docker-link variables of each service that has a virtual IP."""
    result: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or []
        if address and address != "None" and ports:
            result |= _of_service(service["metadata"]["name"].upper().replace("-", "_"), address, ports)
    return result


def _of_service(name: str, address: str, ports: list[Object]) -> dict[str, str]:
    host = f"[{address}]" if ":" in address else address
    result = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    protocol = (ports[0].get("protocol") or "TCP").lower()
    result[f"{name}_PORT"] = f"{protocol}://{host}:{ports[0]['port']}"
    for port in ports:
        protocol = (port.get("protocol") or "TCP").lower()
        prefix = f"{name}_PORT_{port['port']}_{protocol.upper()}"
        result |= {
            prefix: f"{protocol}://{host}:{port['port']}",
            f"{prefix}_PROTO": protocol,
            f"{prefix}_PORT": str(port["port"]),
            f"{prefix}_ADDR": address,
        }
    return result
