"""Services and names, from pods and from the node, with real pods behind them."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from node.conftest import Cluster, eventually, shell
from podling.client.resource import ENDPOINT_SLICES, SERVICES

pytestmark = pytest.mark.root


async def serve(cluster: Cluster, name: str, *pods: str, **spec: Any) -> dict[str, Any]:
    """A service of the pods, with the EndpointSlice that its controller would make."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}}
    service = await cluster.client.create(SERVICES, {**made, "spec": {"ports": ports, **spec}})
    endpoints = []
    for pod in pods:
        address = (await cluster.ready(pod))["status"]["podIP"]
        endpoints.append({"addresses": [address], "conditions": {"ready": True}, "nodeName": "n1", "hostname": pod})
    metadata = {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}}
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4"}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    await cluster.client.create(ENDPOINT_SLICES, {**slice_, "endpoints": endpoints, "ports": ports})
    return service


async def web(cluster: Cluster, name: str) -> None:
    await cluster.create(name, shell("hostname > /tmp/index.html; httpd -f -p 8080 -h /tmp"))


async def fetch(cluster: Cluster, pod: str, address: str, port: int = 80) -> str:
    """The page, as the pod gets it. (A static busybox resolves no names, except for its nslookup.)"""
    script = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {port}"
    text = await cluster.kubectl("exec", pod, "--", "sh", "-c", script, check=False)
    return text.replace("\r", "").rpartition("\n\n")[2]


async def lookup(cluster: Cluster, pod: str, name: str) -> list[str]:
    """The addresses of a name, as the pod's server knows them."""
    text = await cluster.kubectl("exec", pod, "--", "nslookup", name, check=False)
    return re.findall(r"^Address(?: \d+)?: ([0-9.]+)$", text, re.MULTILINE) or [text]


async def test_a_service_by_address_and_by_name_from_inside_and_outside(cluster: Cluster) -> None:
    await web(cluster, "one")
    await web(cluster, "two")
    service = await serve(cluster, "web", "one", "two", type="NodePort")
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"]
    assert await lookup(cluster, "one", "web.default.svc.cluster.local") == [address]
    await eventually(lambda: fetch(cluster, "one", address), lambda text: text.startswith(("one\n", "two\n")))
    assert {(await fetch(cluster, "one", address)).split("\n")[0] for _ in range(12)} == {"one", "two"}
    assert (await fetch(cluster, "one", "10.244.0.1", port)).startswith(("one\n", "two\n"))
    for host, number in ((address, 80), ("127.0.0.1", port)):
        with socket.create_connection((host, number), 3) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


async def test_a_host_port(cluster: Cluster) -> None:
    await cluster.create("one", shell("hostname > /tmp/index.html; httpd -f -p 8080 -h /tmp", ports=[HOST_PORT]))
    await cluster.create("two", shell("sleep 1000"))
    for pod in ("one", "two"):
        await cluster.ready(pod)
        await eventually(lambda pod=pod: fetch(cluster, pod, "10.244.0.1", 9000), lambda text: text.startswith("one\n"))
    with socket.create_connection(("127.0.0.1", 9000), 3):
        pass


HOST_PORT = {"containerPort": 8080, "hostPort": 9000}


async def test_names_of_a_headless_service(cluster: Cluster) -> None:
    await web(cluster, "db-0")
    await serve(cluster, "db", "db-0", clusterIP="None")
    address = (await cluster.get("db-0"))["status"]["podIP"]
    for name in ("db-0.db", "db"):
        assert await lookup(cluster, "db-0", f"{name}.default.svc.cluster.local") == [address]
    assert "NXDOMAIN" in (await lookup(cluster, "db-0", "nope.default.svc.cluster.local"))[0]


LIBRARIES = [path for path in map(Path, ("/usr", "/lib", "/lib64")) if path.is_dir()]


async def test_short_names_are_found_by_the_search_path(cluster: Cluster) -> None:
    """With the host's glibc, which knows how to search."""
    volumes = [{"name": f"v{n}", "hostPath": {"path": str(path.resolve())}} for n, path in enumerate(LIBRARIES)]
    mounts = [{"name": f"v{n}", "mountPath": str(path), "readOnly": True} for n, path in enumerate(LIBRARIES)]
    await cluster.create("glibc", {"command": ["/bin/sleep", "1000"], "volumeMounts": mounts}, volumes=volumes)
    service = await serve(cluster, "web", "glibc")
    for name in ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local"):
        found = await cluster.kubectl("exec", "glibc", "--", "getent", "ahostsv4", name)
        assert found.startswith(service["spec"]["clusterIP"]), name


async def test_a_service_without_endpoints_refuses_at_once(cluster: Cluster) -> None:
    await web(cluster, "one")
    await cluster.ready("one")
    service = await serve(cluster, "empty")
    refused = await eventually(lambda: fetch(cluster, "one", service["spec"]["clusterIP"]), lambda text: "refused" in text)
    assert "Connection refused" in refused
