"""A cluster of one node in this process: API server, engine, node agent; without scheduler and controllers."""

import asyncio
import json
import os
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.aio.server import HttpServer
from podling.api.status import ApiError
from podling.apiserver.authn import ServiceAccountTokens, TokenKeys
from podling.apiserver.pki import Authority, key_pem, new_key
from podling.apiserver.proxy import NodeProxy
from podling.apiserver.rbac import RbacAuthorizer
from podling.apiserver.reverse_proxy import ReverseProxy, unverified
from podling.apiserver.reviews import Reviews
from podling.apiserver.server import ApiServer
from podling.client.client import Client
from podling.client.resource import PODS, SERVICE_ACCOUNTS
from podling.client.transport import DirectTransport
from podling.engine.engine import Engine
from podling.linux.namespace import KINDS, enter, loopback_up, unshare
from podling.node.agent import API_SERVER, NodeAgent
from podling.node.place import NodeConfig
from podling.store.memory import MemoryStore
from podling.testing.apiserver import Admin, AllowAll
from podling.testing.engine import assert_nothing_left, instance_of, load_busybox

Object = dict[str, Any]
PATIENCE = 20.0


@pytest.fixture
def own_network() -> Iterator[None]:
    """This thread, and those that it starts, live in a network namespace of their own during the test."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    unshare(KINDS["net"])
    loopback_up()
    yield
    enter(home, "net")
    os.close(home)


@dataclass
class Cluster:
    root: Path
    client: Client
    engine: Engine
    agent: NodeAgent
    kubeconfig: Path

    async def create(self, name: str, *containers: Object, metadata: Object | None = None, **spec: Any) -> Object:
        """A pod on this node; its containers run busybox unless they say otherwise."""
        made = [{"name": f"c{n}" if n else "app", "image": "busybox", **c} for n, c in enumerate(containers or ({},))]
        made = [{"imagePullPolicy": "IfNotPresent", **each} for each in made]
        defaults = {"nodeName": self.agent.config.name, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
        meta = {"name": name, "namespace": "default", **(metadata or {})}
        return await self.client.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": made, **defaults, **spec}}
        )

    async def get(self, name: str) -> Object:
        return await self.client.get(PODS, name, "default")

    async def until(self, name: str, holds: Callable[[Object], Any], what: str = "what was waited for") -> Object:
        """The pod once `holds` is true of it."""
        deadline = time.monotonic() + PATIENCE
        watch = self.client.watch(PODS, "default", fields=f"metadata.name={name}", timeout=int(PATIENCE))
        try:
            if holds(found := await self.get(name)):
                return found
            async with asyncio.timeout(PATIENCE):
                async for event in watch:
                    if holds(event.object):
                        return event.object
        except TimeoutError:
            pass
        finally:
            await watch.aclose()
        status = json.dumps((await self.get(name)).get("status"), indent=1)
        raise AssertionError(f"{name}: not {what} after {time.monotonic() - deadline + PATIENCE:.1f} s: {status}")

    async def phase(self, name: str, wanted: str) -> Object:
        return await self.until(name, lambda pod: pod["status"].get("phase") == wanted, wanted)

    async def ready(self, name: str) -> Object:
        return await self.until(name, is_ready, "Ready")

    async def waits(self, name: str, reason: str) -> Object:
        """The pod once its container waits for this reason."""
        return await self.until(name, lambda pod: waiting(pod).get("reason") == reason, reason)

    async def gone(self, name: str) -> None:
        """Delete the pod, and wait until it is."""
        revision = (await self.client.list(PODS, "default")).resource_version
        await self.client.delete(PODS, name, "default")
        watch = self.client.watch(PODS, "default", fields=f"metadata.name={name}", resource_version=revision)
        async with asyncio.timeout(PATIENCE), aclosing(watch) as events:
            async for event in events:
                if event.type == "DELETED":
                    return

    async def logs(self, name: str, *arguments: str) -> str:
        return await self.kubectl("logs", name, *arguments)

    async def kubectl(self, *arguments: str, check: bool = True, input: str = "") -> str:
        """What the real kubectl writes; stderr too where it may fail."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.root}/cache", *arguments]
        done = await asyncio.to_thread(subprocess.run, command, input=input, capture_output=True, text=True, timeout=30)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else f"{done.stdout}{done.stderr}exit {done.returncode}"

    async def events(self, name: str) -> list[tuple[str, str]]:
        found = await self.client.call("GET", "/api/v1/namespaces/default/events")
        return [(e["reason"], e["message"]) for e in found["items"] if e["involvedObject"]["name"] == name]


def shell(script: str, **more: Any) -> Object:
    """A container that runs a script."""
    return {"command": ["sh", "-c", script], **more}


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def condition(pod: Object, name: str) -> Object:
    return next(c for c in pod["status"]["conditions"] if c["type"] == name)


def status_of(pod: Object, name: str = "app") -> Object:
    every = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
    return next((s for s in every if s["name"] == name), {"state": {}, "restartCount": 0})


def waiting(pod: Object, name: str = "app") -> Object:
    """Why a container waits: its reason and message."""
    found: Object = status_of(pod, name)["state"].get("waiting", {})
    return found


async def eventually(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """What `ask` gives, once `holds` is true of it."""
    for _ in range(200):
        if holds(found := await ask()):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"it stays {found!r}")


class World:
    """What outlives an agent: the API server, the engine's places, certificates."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SystemClock()
        self.store = MemoryStore()
        self.pki = root / "pki"
        self.pki.mkdir()
        self.authority = Authority.open(self.pki, "ca", "kubernetes", self.clock.now())
        self.authority.leaf(self.pki, "kubelet", "system:node:n1", self.clock.now(), names=("10.244.0.1",))
        self.authority.leaf(self.pki, "client", API_SERVER, self.clock.now())
        self.authority.leaf(self.pki, "stranger", "somebody", self.clock.now())

    def tls(self, stem: str = "client") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / f"{stem}.crt", self.pki / f"{stem}.key")
        return context

    def anonymous(self) -> ssl.SSLContext:
        """Without a certificate of one's own."""
        return ssl.create_default_context(cafile=str(self.pki / "ca.crt"))

    async def start(self) -> None:
        self.agents = HttpClient(tls=self.tls())
        self.workloads = HttpClient(tls=unverified())
        keys = TokenKeys(key_pem(new_key()), "https://kubernetes.default.svc", self.clock)
        tokens = ServiceAccountTokens(keys, lambda *_: None)
        reviews = Reviews(RbacAuthorizer(lambda _: [], lambda: 0), tokens, keys, self.clock)
        self.server = ApiServer(
            self.store,
            authorizer=AllowAll(),
            authenticators=(Admin(),),
            answers={
                ("", "serviceaccounts", "token"): reviews.service_account_token,
                ("authentication.k8s.io", "tokenreviews", ""): reviews.token_review,
                ("authorization.k8s.io", "subjectaccessreviews", ""): reviews.subject_access_review,
            },
            streams={**NodeProxy(self.agents).streams, **ReverseProxy(self.agents, self.workloads).streams},
        )
        await self.server.start()
        self.http = HttpServer(self.server.handle)
        _, port = await self.http.listen_tcp("127.0.0.1", 0)
        cluster = {"clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}]}
        context = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}], "current-context": "c"}
        self.kubeconfig = self.root / "kubeconfig"
        self.kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **cluster, **context}))
        client = Client(DirectTransport(self.server.handle))
        with suppress(ApiError):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
            await client.create(SERVICE_ACCOUNTS, account)
        await client.close()

    async def agent(self, **config_changes: Any) -> Cluster:
        """A fresh engine and agent over what is there."""
        engine = Engine(self.root / "lib", self.root / "run", instance_of(self.root))
        await engine.start()
        config = NodeConfig(
            name="n1",
            root=engine.root / "node",
            run=engine.run / "node",
            address="10.244.0.1",
            instance=engine.instance,
            cpus=2,
            memory=4 << 30,
            certificate=self.pki / "kubelet.crt",
            key=self.pki / "kubelet.key",
            client_ca=self.pki / "ca.crt",
        )
        config = replace(config, **config_changes)
        client = Client(DirectTransport(self.server.handle))
        agent = NodeAgent(engine, client, config, self.clock)
        await agent.start()
        return Cluster(self.root, client, engine, agent, self.kubeconfig)

    async def stop_agent(self, cluster: Cluster) -> None:
        await cluster.agent.close()
        await cluster.engine.close()
        await cluster.client.close()

    async def end(self, cluster: Cluster) -> None:
        """Stop an agent that is the last one here."""
        await cluster.agent.close()
        await cluster.engine.purge()
        await cluster.agent.purge()
        await cluster.engine.close()
        await cluster.client.close()

    async def stop(self) -> None:
        await self.server.close()
        await self.http.close(1.0)
        await self.agents.close()
        await self.workloads.close()
        await self.store.close()


@pytest.fixture
async def world(own_network: None, tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def cluster(world: World) -> AsyncIterator[Cluster]:
    """A node that is Ready, with the image busybox."""
    made = await world.agent()
    await load_busybox(made.engine)
    try:
        yield made
    finally:
        await world.end(made)
    assert_nothing_left(world.root)
