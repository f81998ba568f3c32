"""The agent: container engine, Docker API, node agent. Wiring and nothing else."""

import grp
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from podling.aio.clock import SystemClock
from podling.aio.server import HttpServer, Limits
from podling.aio.tasks import Tasks
from podling.app import docker_tls, process
from podling.app.config import Config
from podling.app.renewal import follow
from podling.build.builder import Builder
from podling.client import kubeconfig
from podling.client.client import Client
from podling.client.http import HttpTransport
from podling.client.kubeconfig import Access
from podling.docker.runner import EngineRunner
from podling.docker.server import DockerApi
from podling.engine.engine import Engine
from podling.images.model import RegistrySettings
from podling.node import settings
from podling.node.agent import NodeAgent
from podling.node.names import parse_resolver
from podling.node.place import NodeConfig
from podling.snapshots.unpack import Limits as LayerLimits

RESOLV_CONF = Path("/etc/resolv.conf")


def run(config: Config) -> None:
    process.run("agent", config, serve)


@asynccontextmanager
async def serve(config: Config, step: Callable[[str], None]) -> AsyncIterator[None]:
    """Everything of the agent, while the context lasts. Containers go on afterwards."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        step("container engine")
        engine = Engine(
            config.root / "engine",
            config.run / "engine",
            config.instance,
            clock=clock,
            registries=RegistrySettings(insecure=config.insecure_registries, mirrors=config.registry_mirrors),
            layer_limits=LayerLimits(config.max_layer_bytes, config.max_layer_files),
            runtime=config.runtime,
        )
        await engine.start()
        stack.push_async_callback(engine.close)
        step("Docker API")
        builder = Builder(engine.images, EngineRunner(engine), engine.root / "build", clock)
        await builder.start()
        docker = DockerApi(engine, builder)
        stack.push_async_callback(docker.close)
        http = HttpServer(docker.handle, limits=Limits(stall_seconds=None))
        await http.listen_unix(config.docker_socket, 0o660, _group(config.docker_group))
        if config.docker_tcp:
            await http.listen_tcp(*docker_tls.address(config), docker_tls.server_context(config, clock.now()))
        stack.push_async_callback(http.close, 2.0)
        step("node")
        tasks = await stack.enter_async_context(Tasks("agent"))
        pki = config.agent_root / "pki"
        clients: list[Client] = []
        for file, stem, manager in (
            (config.agent_kubeconfig, "node", "kubelet"),
            (config.proxy_kubeconfig, "kube-proxy", "kube-proxy"),
        ):
            access = kubeconfig.resolve(kubeconfig.load([file]))
            transport = HttpTransport(access, user_agent="podling-agent")
            clients.append(Client(transport, manager=manager))
            stack.push_async_callback(clients[-1].close)
            fresh = partial(_renew, transport, access, pki, stem)
            tasks.start(follow(clock, pki / f"{stem}.crt", fresh), f"certificate of the {stem}")
        node = NodeAgent(engine, clients[0], node_config(config), clock, peers=clients[1])
        stack.push_async_callback(node.close)
        await node.start()
        stack.push_async_callback(node.shut_down)
        tasks.start(follow(clock, pki / "kubelet.crt", node.renew), "certificate of the kubelet's API")
        yield


def _renew(transport: HttpTransport, access: Access, pki: Path, stem: str) -> None:
    """Have the transport show the certificate that is on disk now."""
    held = replace(access, certificate=(pki / f"{stem}.crt").read_bytes(), key=(pki / f"{stem}.key").read_bytes())
    transport.renew(held)


def node_config(config: Config) -> NodeConfig:
    """The node agent's view of the configuration and of this machine."""
    pki = config.agent_root / "pki"
    return NodeConfig(
        name=config.node_name,
        root=config.agent_root,
        run=config.run,
        address=config.node_address,
        instance=config.instance,
        pod_cidr=config.pod_cidr,
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        cluster_dns=config.service_address(10),
        cluster_domain=config.cluster_domain,
        kubelet_port=config.kubelet_port,
        lease_seconds=config.node_lease_duration_seconds,
        routes=config.node_routes,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        resolver=parse_resolver(RESOLV_CONF.read_text() if RESOLV_CONF.exists() else ""),
        certificate=pki / "kubelet.crt",
        key=pki / "kubelet.key",
        client_ca=pki / "ca.crt",
        settings=settings.load(Path(config.kubelet_config) if config.kubelet_config else None),
    )


def _group(name: str) -> str | None:
    """The group that may use the Docker socket, where the machine has it."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return None
    return name
