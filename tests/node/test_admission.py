"""What the node takes in, and what it grants: the kubelet's reasons and messages."""

from typing import Any

import pytest

from podling.node.admission import Room, admit, claim_of, grant, make_way
from podling.node.pod.events import Granted, NotGranted

ROOM = Room("n1", {"cpu": 2000, "memory": 4 << 30, "pods": 3}, {"disk": "ssd"})
LITTLE = "Node didn't have enough resource: "
ELSEWHERE = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"


def pod(cpu: str = "", memory: str = "", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    requests = {name: amount for name, amount in (("cpu", cpu), ("memory", memory)) if amount}
    container = {"name": "app", "resources": {"requests": requests}, **spec.pop("container", {})}
    metadata = {"name": "web", "namespace": "default", "uid": "u1", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def refused(obj: dict[str, Any], *others: dict[str, Any], room: Room = ROOM) -> tuple[str, str]:
    found = admit(obj, [claim_of(other) for other in others], room)
    return (found.reason, found.message) if found else ("", "")


@pytest.mark.parametrize(
    ("obj", "others", "reason", "message"),
    [
        (pod("2"), [], "", ""),
        (pod("4"), [], "OutOfcpu", f"{LITTLE}cpu, requested: 4000, used: 0, capacity: 2000"),
        (pod("1500m"), [pod("1")], "OutOfcpu", f"{LITTLE}cpu, requested: 1500, used: 1000, capacity: 2000"),
        (pod(memory="5Gi"), [], "OutOfmemory", f"{LITTLE}memory, requested: {5 << 30}, used: 0, capacity: {4 << 30}"),
        (pod(), [pod()] * 3, "OutOfpods", f"{LITTLE}pods, requested: 1, used: 3, capacity: 3"),
        (pod(nodeSelector={"disk": "ssd"}), [], "", ""),
        (pod(nodeSelector={"disk": "hdd"}), [], "NodeAffinity", ELSEWHERE),
        (
            pod(container={"ports": [{"hostPort": 80, "containerPort": 1}]}),
            [pod(container={"ports": [{"hostPort": 80, "containerPort": 2, "hostIP": "10.0.0.1"}]})],
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
        (pod(container={"resources": {"requests": {"example.org/unknown": "1"}}}), [], "", ""),
    ],
)  # fmt: skip
def test_what_does_not_fit(obj: Any, others: Any, reason: str, message: str) -> None:
    assert refused(obj, *others) == (reason, message)


def _sysctl(name: str, **spec: Any) -> dict[str, Any]:
    return pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (_sysctl("kernel.shm_rmid_forced"), ""),
        (_sysctl("net/ipv4/tcp_syncookies"), ""),
        (_sysctl("kernel.msgmax"), 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        (_sysctl("net.core.somaxconn"), ""),
        (
            _sysctl("net.ipv4.tcp_syncookies", hostNetwork=True),
            'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled',
        ),
        (
            _sysctl("kernel.shm_rmid_forced", hostIPC=True),
            'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled',
        ),
    ],
)
def test_sysctls(obj: Any, message: str) -> None:
    room = Room("n1", ROOM.allocatable, sysctls=("net.core.*",))
    assert refused(obj, room=room) == (("SysctlForbidden", message) if message else ("", ""))


def test_a_node_under_pressure_takes_little() -> None:
    room = Room("n1", ROOM.allocatable, pressures=("MemoryPressure",))
    assert refused(pod(), room=room) == ("Evicted", "The node had condition: [MemoryPressure]. ")
    assert refused(pod(memory="1Mi"), room=room) == ("", "")
    assert refused(pod(tolerations=[{"operator": "Exists"}]), room=room) == ("", "")
    disk = Room("n1", ROOM.allocatable, pressures=("DiskPressure",))
    assert refused(pod(memory="1Mi"), room=disk)[0] == "Evicted"
    assert refused(pod(priority=2_000_000_000), room=disk) == ("", "")


def test_a_node_that_shuts_down_takes_nothing() -> None:
    assert refused(pod(), room=Room("n1", ROOM.allocatable, leaving=True))[0] == "NodeShutdown"


def test_static_pods_keep_off_a_tainted_node() -> None:
    room = Room("n1", ROOM.allocatable, taints=({"key": "broken", "effect": "NoExecute"},))
    static = {"kubernetes.io/config.source": "file"}
    assert refused(pod(), room=room) == ("", "")
    assert refused(pod(annotations=static), room=room)[0] == "TaintToleration"
    assert refused(pod(annotations=static, tolerations=[{"operator": "Exists"}]), room=room) == ("", "")


def test_who_makes_way_for_a_critical_pod() -> None:
    critical = pod("1500m", priority=2_000_000_000)
    large, small, free = pod("1"), pod("100m"), pod()
    guarded = pod("1", container={"resources": {part: {"cpu": "1", "memory": "1Gi"} for part in ("requests", "limits")}})
    assert make_way(critical, [large, small], ROOM) == [large]
    assert make_way(critical, [guarded, large], ROOM) == [large, guarded]
    assert make_way(critical, [free, guarded, small], ROOM) == [free, small, guarded]
    assert make_way(pod("1500m"), [large], ROOM) == []
    assert make_way(pod("9", priority=2_000_000_000), [large], ROOM) == []
    assert make_way(critical, [pod("1", priority=2_000_000_001)], ROOM) == []


def test_a_wish_for_another_size() -> None:
    wish = pod("1")
    assert grant(wish, [], ROOM) == Granted({"app": wish["spec"]["containers"][0]["resources"]})
    assert grant(pod("3"), [], ROOM) == NotGranted(
        "Infeasible", "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000"
    )
    assert grant(pod("1500m"), [claim_of(pod("1"))], ROOM) == NotGranted(
        "Deferred", "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
    )
    static = pod("1", annotations={"kubernetes.io/config.source": "file"})
    assert grant(static, [], ROOM) == NotGranted("Infeasible", "In-place resize of static-pods is not supported")
