"""A pod's surroundings as the runtime is asked for them. Pure. Source: core/v1 PodSpec; CNI bandwidth plugin's annotations."""

from podling.base import quantity
from podling.base.errors import InvalidInput
from podling.node.names import hostname_of
from podling.node.pod.spec import Object, containers, host_network, init_containers, uid_of
from podling.node.resources import cgroup_of
from podling.node.runtime import SandboxSpec

_BANDWIDTH = "kubernetes.io/{}-bandwidth"
_LEAST, _MOST = 1000, 10**15  # bits in a second


def sandbox_of(pod: Object, cgroup: str) -> SandboxSpec:
    """`cgroup` is the root of all pods' groups. Raises InvalidInput for what cannot be had."""
    spec, metadata = pod["spec"], pod["metadata"]
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or []
    every = (*init_containers(pod), *containers(pod))
    ports = [port for container in every for port in container.get("ports") or [] if port.get("hostPort")]
    return SandboxSpec(
        uid=uid_of(pod),
        name=metadata["name"],
        namespace=metadata["namespace"],
        hostname=hostname_of(pod),
        host_network=host_network(pod),
        host_ipc=bool(spec.get("hostIPC")),
        share_processes=bool(spec.get("shareProcessNamespace")),
        cgroup=cgroup_of(pod, cgroup),
        ingress=_bandwidth(pod, "ingress"),
        egress=_bandwidth(pod, "egress"),
        sysctls={sysctl["name"]: sysctl["value"] for sysctl in sysctls},
        ports=tuple(map(_host_port, ports)),
    )


def _bandwidth(pod: Object, direction: str) -> int:
    """Bytes in a second; the annotation counts bits."""
    text = (pod["metadata"].get("annotations") or {}).get(_BANDWIDTH.format(direction))
    if not text:
        return 0
    try:
        bits = quantity.whole(text)
    except ValueError as error:
        raise InvalidInput(f"{_BANDWIDTH.format(direction)}: {text!r}: {error}") from None
    if not _LEAST <= bits <= _MOST:
        raise InvalidInput(f"resource is unreasonably {'small' if bits < _LEAST else 'large'} ({text}): 1k to 1P")
    return bits // 8


def _host_port(port: Object) -> tuple[str, int, int, str]:
    return (port.get("hostIP") or "", port["hostPort"], port["containerPort"], (port.get("protocol") or "TCP").lower())
