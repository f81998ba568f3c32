"""The podling under measurement: its API from this process, its processes, its DNS, pods to start."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from podling.client import kubeconfig
from podling.client.client import Client
from podling.client.http import HttpTransport
from podling.client.resource import DEPLOYMENTS, NODES, PODS, Resource
from podling.linux import namespace
from podling.testing.podling import Podling

T = TypeVar("T")


def with_api(podling: Podling, work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client of the podling's API, in its network namespace."""

    async def inside() -> T:
        client = Client(HttpTransport(kubeconfig.resolve(kubeconfig.load([podling.config.admin_kubeconfig]))))
        try:
            return await work(client)
        finally:
            await client.close()

    return namespace.run_in(podling.netns, lambda: asyncio.run(inside()))


async def watch_until(client: Client, resource: Resource, revision: str, done: Callable[[str, dict[str, Any]], bool]) -> None:
    """Follow `resource` in the namespace default from `revision` until `done(type, object)` is true."""
    async with aclosing(client.watch(resource, "default", resource_version=revision)) as events:
        async for event in events:
            if event.type != "BOOKMARK" and done(event.type, event.object):
                return
    raise RuntimeError("the watch ended early")


def sleeper(**metadata: Any) -> dict[str, Any]:
    """A pod that does nothing and ends at once when it is told to."""
    container = {"name": "main", "image": "busybox", "imagePullPolicy": "Never", "command": ["sleep", "86400"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def deployment(name: str, replicas: int) -> dict[str, Any]:
    """A Deployment of sleepers."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {**sleeper()["spec"]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def watch_all(client: Client, revision: str, names: Iterable[str], done: Callable[[str, dict[str, Any]], bool]) -> None:
    """Follow the pods from `revision` until `done` was true once for each of `names`."""
    left = set(names)

    def see(kind: str, pod: dict[str, Any]) -> bool:
        if done(kind, pod):
            left.discard(pod["metadata"]["name"])
        return not left

    await watch_until(client, PODS, revision, see)


async def all_gone(client: Client, delete: Callable[[list[str]], Awaitable[object]]) -> None:
    """Have `delete` delete all pods of the namespace default, whose names it is given; return when they are gone."""
    pods = await client.list(PODS, "default")
    names = [pod["metadata"]["name"] for pod in pods.items]
    async with asyncio.TaskGroup() as group:
        group.create_task(watch_all(client, pods.resource_version, names, lambda kind, _: kind == "DELETED"))
        await delete(names)


async def deploy(client: Client, name: str, replicas: int) -> None:
    """Create a Deployment and return when all its pods are Ready."""
    made = await client.create(DEPLOYMENTS, deployment(name, replicas), "default")

    def all_ready(_: str, obj: dict[str, Any]) -> bool:
        return obj["metadata"]["name"] == name and obj.get("status", {}).get("readyReplicas", 0) == replicas

    await watch_until(client, DEPLOYMENTS, made["metadata"]["resourceVersion"], all_ready)


async def node_is_ready(client: Client) -> bool:
    nodes = (await client.list(NODES)).items
    conditions = [condition for node in nodes for condition in node.get("status", {}).get("conditions", [])]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def dns_answers(podling: Podling) -> bool:
    """Whether the cluster's DNS knows the address of its API."""
    labels = ("kubernetes", "default", "svc", *podling.config.cluster_domain.split("."))
    name = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"
    question = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1.0)
            client.connect((podling.config.service_address(10), 53))
            client.send(question)
            return client.recv(512)

    try:
        return namespace.run_in(podling.netns, ask).endswith(socket.inet_aton(podling.config.service_address(1)))
    except OSError:
        return False
