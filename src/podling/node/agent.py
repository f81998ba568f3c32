"""The node agent of one machine: composes pods, services, names and the node's own API over an engine and a client."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.base.errors import PodlingError, Unsupported
from podling.base.ids import jitter
from podling.client.client import Client
from podling.client.errors import FAILURES
from podling.client.events import EventRecorder
from podling.client.informer import Informers, Scope
from podling.client.resource import ENDPOINT_SLICES, NODES, PODS, SERVICES
from podling.engine.engine import Engine
from podling.linux.mount import share, unmount_if_mounted
from podling.linux.nft import Nft
from podling.node.cgroups import PodCgroups
from podling.node.crew import Crew
from podling.node.dns.server import ClusterDns
from podling.node.engine_runtime import EngineRuntime
from podling.node.environment import service_variables
from podling.node.kubelet.access import Access
from podling.node.kubelet.server import KubeletServer
from podling.node.kubelet.stats.collector import Collector
from podling.node.kubelet.stats.endpoints import Stats, tallies_of
from podling.node.kubelet.stats.reader import Reader
from podling.node.leaving import leave, priority_of
from podling.node.network import PodNetwork
from podling.node.place import NodeConfig
from podling.node.pods import Pods
from podling.node.pressure.keeper import Keeper
from podling.node.proxy import table
from podling.node.proxy.proxy import Proxy
from podling.node.proxy.table import Ranges
from podling.node.registration import Registration, version
from podling.node.routes.routes import Routes
from podling.node.runtime import PodRuntime
from podling.node.sources import Sources
from podling.node.tokens import TokenCache
from podling.node.volumes.volumes import Volumes

log = logging.getLogger(__name__)

API_SERVER = "kube-apiserver-kubelet-client"
_DNS_PORT = 53
_EVERYWHERE = "kubernetes"  # the service whose variables every pod gets, in whatever namespace


class NodeAgent:
    """`start` returns when the node is Ready; `close` leaves containers, services and volumes as they are."""

    def __init__(self, engine: Engine, client: Client, config: NodeConfig, clock: Clock, peers: Client | None = None) -> None:
        """`peers` may read all nodes; without it the node is alone."""
        self.config = config
        self._engine = engine
        self._client = client
        self._clock = clock
        self._tasks = Tasks("node agent")
        self._tls: ssl.SSLContext | None = None
        self._informers = Informers(client, clock, jitter)
        self._services = self._informers.of(SERVICES).index("namespace")
        self._slices = self._informers.of(ENDPOINT_SLICES)
        self._own_pods = self._informers.of(PODS, Scope(fields=f"spec.nodeName={config.name}"))
        self._peers = None if peers is None else Informers(peers, clock, jitter)
        self._network = PodNetwork(config)
        self._runtime = _runtime_of(config, engine, self._network)
        self._registration = Registration(config, client, clock, self._runtime)
        self._nft = Nft()
        self._pods: Pods | None = None
        self._parts: list[Keeper | Pods | Proxy | ClusterDns | KubeletServer | Sources | Informers] = []
        self._volumes = Volumes(config.pods)

    async def start(self) -> None:
        """Register, take up what is there, serve, and report Ready."""
        await asyncio.to_thread(self._make_places)
        await self._runtime.prepare()
        node = await self._registration.register()
        await self._network.start(await self._place(node["spec"].get("podCIDR", "")))
        await self._start_services()
        await self._start_pods()
        await self._registration.renew()  # first: who judges a silent node goes by the lease
        await self._registration.report()
        self._tasks.start(self._registration.run(), "lease")
        self._tasks.start(self._registration.tell_changes(), "conditions")

    async def _place(self, pods: str) -> str:
        """The node's range, waited for if it has none yet; with it, routes to and from the other nodes."""
        if self._peers is None:
            return pods
        self._parts.append(self._peers)
        routes = Routes(self.config, self._peers.of(NODES), self._clock)
        await self._peers.start()
        pods = pods or await routes.placed()
        self._tasks.start(routes.run(pods), "routes")
        return pods

    def _make_places(self) -> None:
        config = self.config
        for directory in (config.root, config.run):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        # Secrets and tokens are in the pods' volumes, whose own modes are what the containers' users need.
        for directory in (config.pods, config.logs, config.sandboxes):
            directory.mkdir(mode=0o700, exist_ok=True)
        for directory in (config.pods, config.sandboxes):
            share(directory)

    async def _start_services(self) -> None:
        """Packet rules and names, before the first pod may need them."""
        config = self.config
        self._parts.append(self._informers)
        await self._informers.start()
        ranges = Ranges(config.cluster_cidr, config.service_cidr, config.cluster_dns, config.pod_devices)
        proxy = Proxy(
            self._nft,
            config.table,
            self._services,
            self._slices,
            self._own_pods,
            self._clock,
            node=config.name,
            reserved=config.cluster_dns,
        )
        await proxy.start(ranges)
        self._parts.append(proxy)
        upstreams = [(server, _DNS_PORT) for server in config.resolver.nameservers if server != config.cluster_dns]
        own = (config.service_cidr, config.cluster_cidr)
        dns = ClusterDns(config.cluster_domain, own, self._services, self._slices, upstreams)
        await dns.start(config.cluster_dns)
        self._parts.append(dns)

    async def _start_pods(self) -> None:
        config, clock = self.config, self._clock
        recorder = EventRecorder(self._client, clock, "kubelet", config.name)
        self._tasks.start(recorder.run(), "events")
        sources = Sources(self._client, clock, jitter, lambda uid: pods.refresh(uid))
        crew = Crew(
            config=config,
            runtime=self._runtime,
            client=self._client,
            clock=clock,
            recorder=recorder,
            sources=sources,
            tokens=TokenCache(self._client, clock),
            volumes=self._volumes,
            cgroups=PodCgroups(config.cgroup),
            services=self._service_variables,
            grant=lambda pod: pods.grant(pod),
            left=lambda: pods.left(),
        )
        pods = Pods(crew, self._own_pods, self._registration.room, self._registration.look, lambda: self._registration.node)
        access = Access(self._client, clock, config.name, (API_SERVER,))
        collector = self._collector(pods)
        stats = Stats(collector, pods.states, lambda: tallies_of(pods), version(), config.cpus, clock.now())
        server = KubeletServer(pods, self._runtime, clock, access, stats)
        keeper = Keeper(config, clock, self._runtime, recorder, collector, lambda: pods, self._registration.press)
        self._tls = _server_context(config)
        await server.start(config.address, config.kubelet_port, self._tls)
        self._parts += [server, sources, pods, keeper]
        await pods.start()
        self._pods = pods
        keeper.start()

    def _collector(self, pods: Pods) -> Collector:
        """What the node uses: nothing is read until somebody asks."""
        config, clock = self.config, self._clock

        def layer(id: str) -> tuple[int, int]:
            if config.settings.runtime:
                return 0, 0  # whose layers another keeps
            found = self._engine.images.snapshots.usage(id)
            return found.size, found.inodes

        return Collector(Reader(config, clock, layer), self._runtime, self._engine.root, clock, pods.states)

    def _service_variables(self, namespace: str) -> Mapping[str, str]:
        """Those of the namespace's services, and of the API server's; "" for the latter alone."""
        services = self._services.cache.find("namespace", namespace) if namespace else []
        api = self._services.cache.get(f"default/{_EVERYWHERE}")
        return service_variables([*([api] if api else []), *services])

    def renew(self) -> None:
        """Show the certificate that is on disk now, in connections from here on."""
        if self._tls is not None:
            self._tls.load_cert_chain(self.config.certificate, self.config.key)

    async def shut_down(self) -> None:
        """The machine goes down: end the pods as the settings say, which by default is not at all."""
        shutdown = self.config.settings.shutdown
        if not shutdown.total or self._pods is None:
            return
        self._registration.leaving = True
        with suppress(*FAILURES):
            await self._registration.report(ready=False)
        await leave([(priority_of(w.state.pod), w) for w in self._pods if w.claim is not None], shutdown)

    async def close(self) -> None:
        """Stop; safe to call twice."""
        await self._stop()
        await self._runtime.close()

    async def _stop(self) -> None:
        await self._tasks.cancel()
        for part in reversed(self._parts):
            await (part.stop() if isinstance(part, Informers) else part.close())
        self._parts.clear()
        self._nft.close()

    async def purge(self) -> None:
        """`close`, and take away what the node holds in the kernel: after the engine's containers are gone."""
        await self._stop()
        try:
            for uid in await self._runtime.sandboxes():
                await self._runtime.remove_sandbox(uid)
        except PodlingError as error:
            log.warning("pods may be left in %s: %s", self._runtime.name, error)
        await self._runtime.close()
        await self._nft.apply(table.removal(self.config.table))
        self._nft.close()
        for uid in self._volumes.uids():
            await self._volumes.remove(uid)
        await self._network.close()
        for directory in (self.config.pods, self.config.sandboxes):
            unmount_if_mounted(directory)


def _runtime_of(config: NodeConfig, engine: Engine, network: PodNetwork) -> PodRuntime:
    if not (endpoint := config.settings.runtime):
        return EngineRuntime(engine, network)
    try:
        from podling.node.cri.client import CriClient
        from podling.node.cri.runtime import CriRuntime
    except ImportError:
        raise Unsupported("containerRuntimeEndpoint needs more packages: pip install 'podling[cri]'") from None
    return CriRuntime(CriClient(endpoint), network, config)


def _server_context(config: NodeConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(config.client_ca))
    context.verify_mode = ssl.CERT_OPTIONAL  # others come with a token
    context.load_cert_chain(config.certificate, config.key)
    return context
