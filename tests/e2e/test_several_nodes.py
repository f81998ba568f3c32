"""Three nodes on one machine: each pod reaches each, a lost node's pods move, and it comes back."""

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from podling.app import nodes
from podling.linux import namespace
from podling.linux.cgroup import Group
from podling.testing.podling import Podling, running_podling
from podling.testing.workloads import SERVICE, WEB, eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

QUICK = "node_lease_duration_seconds = 4\nnode_monitor_grace_period = 12\n"
PATIENCE = 60


@pytest.fixture(scope="module")
def three() -> Iterator[Podling]:
    """Three nodes that are missed soon."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(QUICK)
        with running_podling("--nodes", "3", "--config", str(file)) as podling:
            yield podling


@pytest.fixture
def everywhere(three: Podling) -> Iterator[dict[str, dict]]:
    """A web server on each node behind one Service: node -> pod."""
    daemons = {**WEB, "kind": "DaemonSet", "spec": {**WEB["spec"]}}
    del daemons["spec"]["replicas"]
    three.apply(daemons, SERVICE)
    three.kubectl("rollout", "status", "daemonset/web", "--timeout=60s")
    pods = three.get("pods", "-l", "app=web")["items"]
    yield {pod["spec"]["nodeName"]: pod for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    # The pods first, so that the next test does not meet them.
    three.kubectl("delete", "daemonset/web", "service/web", "--cascade=foreground", "--timeout=60s")


def ready(podling: Podling) -> dict[str, str]:
    """Node -> the status of its condition Ready."""
    conditions = {node["metadata"]["name"]: node["status"].get("conditions", []) for node in podling.get("nodes")["items"]}
    return {name: next((one["status"] for one in each if one["type"] == "Ready"), "") for name, each in conditions.items()}


def name_of(pod: dict) -> str:
    return pod["metadata"]["name"]


def fetch(podling: Podling, pod: dict, url: str) -> str:
    """What a pod gets from `url`, once it gets something: rules and names reach each node in its own time."""
    return eventually(lambda: podling.kubectl("exec", name_of(pod), "--", "wget", "-qO-", url).stdout, timeout=PATIENCE)


def test_each_node_has_addresses_of_its_own(three):
    listed = three.kubectl("get", "nodes", "-o", "wide").stdout.splitlines()[1:]
    assert [line.split()[1] for line in listed] == ["Ready"] * 3
    assert len({line.split()[5] for line in listed}) == 3
    ranges = [node["spec"]["podCIDR"] for node in three.get("nodes")["items"]]
    assert len(set(ranges)) == 3
    assert all(re.fullmatch(r"10\.\d+\.[012]\.0/24", each) for each in ranges)
    status = three.podling("status").stdout
    name = three.config.node_name
    assert [line.split()[2] for line in status.splitlines() if line.startswith("agent of")] == [f"{name}-2", f"{name}-3"]
    assert "--nodes 2: there are 3 here" in three.podling("up", "-d", "--nodes", "2", check=False).stderr


def test_pods_services_and_names_work_from_every_node(three, everywhere):
    assert len(everywhere) == 3
    address = three.get("service/web")["spec"]["clusterIP"]
    names = {name_of(pod) for pod in everywhere.values()}
    for pod in everywhere.values():
        for other in everywhere.values():
            assert fetch(three, pod, f"http://{other['status']['podIP']}:8080/hostname").strip() == name_of(other)
        assert fetch(three, pod, f"http://{address}/hostname").strip() in names
        assert fetch(three, pod, "http://web.default.svc.cluster.local/hostname").strip() in names
        # The API, by its service: it answers plain HTTP with an error of its own.
        reply = three.kubectl(
            "exec", name_of(pod), "--", "sh", "-c", "echo | nc kubernetes.default.svc.cluster.local 443; echo $?"
        )
        assert reply.stdout.endswith("0\n")


def test_logs_exec_and_port_forward_reach_pods_on_every_node(three, everywhere):
    for pod in everywhere.values():
        assert "serving" in three.kubectl("logs", name_of(pod)).stdout
        assert three.kubectl("exec", name_of(pod), "--", "hostname").stdout.strip() == name_of(pod)
        assert name_of(pod) in _forwarded(three, pod)


def _forwarded(podling: Podling, pod: dict) -> str:
    """What a client of `kubectl port-forward` gets."""
    command = podling.command("kubectl", "port-forward", f"pod/{name_of(pod)}", ":8080")
    with subprocess.Popen(command, env=podling.environment(), stdout=subprocess.PIPE, text=True) as forwarder:
        try:
            port = int(re.search(r"127\.0\.0\.1:(\d+)", forwarder.stdout.readline())[1])
            return namespace.run_in(podling.netns, lambda: _get(port))
        finally:
            forwarder.terminate()


def _get(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as reply:
            return reply.read().decode()


def lose(podling: Podling, number: int) -> None:
    """The whole node: its agent and all that runs there, at once."""
    node = nodes.of(podling.config, number)
    os.kill(int(node.pid_file("agent").read_text()), signal.SIGKILL)
    Group(f"/{node.instance}").kill()


def test_a_lost_nodes_pods_move_and_it_comes_back(three):
    bears = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        for key in ("not-ready", "unreachable")
    ]
    template = {**WEB["spec"]["template"], "spec": {**WEB["spec"]["template"]["spec"], "tolerations": bears}}
    three.apply({**WEB, "spec": {**WEB["spec"], "replicas": 6, "template": template}})
    three.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    lost = f"{three.config.node_name}-2"
    moving = {name_of(pod) for pod in pods_on(three, lost)}
    assert moving
    lose(three, 2)
    try:
        eventually(lambda: ready(three)[lost] == "Unknown", timeout=PATIENCE)
        eventually(lambda: served_elsewhere(three, lost) == 6, timeout=PATIENCE)
        assert {name_of(pod) for pod in pods_on(three, lost) if not pod["metadata"].get("deletionTimestamp")} == set()
        status = three.podling("status", check=False)
        assert status.returncode == 1
        assert f"agent of {lost}" in status.stdout
    finally:
        three.podling("up", "-d", *three.flags[2:])
    eventually(lambda: set(ready(three).values()) == {"True"}, timeout=PATIENCE)
    eventually(lambda: not pods_on(three, lost), timeout=PATIENCE)  # their deletion is done, there too
    eventually(lambda: not any(node["spec"].get("taints") for node in three.get("nodes")["items"]), timeout=PATIENCE)
    node = nodes.of(three.config, 2)
    assert three.docker("-H", f"unix://{node.docker_socket}", "ps", "-aq", "--filter", "name=k8s_web").stdout == ""
    three.kubectl("delete", "deployment/web", "--timeout=60s")


def pods_on(podling: Podling, node: str) -> list[dict]:
    return podling.get("pods", "-l", "app=web", f"--field-selector=spec.nodeName={node}")["items"]


def served_elsewhere(podling: Podling, lost: str) -> int:
    found = podling.get("pods", "-l", "app=web")["items"]
    states = [{one["type"]: one["status"] for one in pod["status"].get("conditions", [])} for pod in found]
    return sum(
        pod["spec"].get("nodeName") != lost and state.get("Ready") == "True" for pod, state in zip(found, states, strict=True)
    )
