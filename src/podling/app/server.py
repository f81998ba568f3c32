"""The server: store, Kubernetes API, controllers, scheduler. Wiring and nothing else."""

import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.aio.http import Request
from podling.aio.server import HttpServer
from podling.aio.tasks import Tasks
from podling.api.metrics import usage
from podling.api.registry import KINDS, Registry
from podling.apiserver import audit, oidc, rbac_bootstrap
from podling.apiserver.addresses import ServiceAddresses
from podling.apiserver.approval import may_request
from podling.apiserver.audit_log import AuditFile, Auditor
from podling.apiserver.authn import AUTHENTICATED, ClientCertificates, ServiceAccountTokens, TokenKeys
from podling.apiserver.authn_bootstrap import BootstrapTokens
from podling.apiserver.authorizers import Union
from podling.apiserver.bootstrap import ClusterInfo
from podling.apiserver.identity import Authorizer, User
from podling.apiserver.metrics_api import Agents, MetricsApi
from podling.apiserver.node_authorizer import NodeAuthorizer, PodsOfNodes
from podling.apiserver.pki import Authority
from podling.apiserver.proxy import NodeProxy
from podling.apiserver.rbac import RbacAuthorizer
from podling.apiserver.reverse_proxy import ReverseProxy, unverified
from podling.apiserver.reviews import Reviews
from podling.apiserver.server import ApiServer
from podling.apiserver.signing import ClusterSigner, subject_of
from podling.apiserver.storage import Storage
from podling.app import process
from podling.app.config import Config
from podling.app.encryption import open_encryption
from podling.app.renewal import renew_regularly
from podling.base.ids import jitter
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.transport import DirectTransport
from podling.controllers.certificates import certificates
from podling.controllers.nodes.ipam import node_ipam
from podling.controllers.runner import run_controllers
from podling.scheduler.configuration import file as scheduler_configuration
from podling.scheduler.loop import run_scheduler
from podling.store.sqlite import SqliteStore

CONTROLLERS = User("system:kube-controller-manager", ("system:masters", AUTHENTICATED))
SCHEDULER = User("system:kube-scheduler", (AUTHENTICATED,))
RBAC = "rbac.authorization.k8s.io"
RBAC_RESOURCES = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")


def run(config: Config) -> None:
    process.run("server", config, serve)


class InProcess:
    """Who calls from within this process says so itself; a request from outside has no such context."""

    async def authenticate(self, request: Request) -> User | None:
        user = request.context.get("user")
        return user if isinstance(user, User) else None


@asynccontextmanager
async def serve(config: Config, step: Callable[[str], None]) -> AsyncIterator[None]:
    """Everything of the server, while the context lasts."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        step("store")
        store = await SqliteStore.open(config.server_root / "state.db")
        stack.push_async_callback(store.close)
        step("Kubernetes API")
        agents = agent_context(config)
        api = _api(config, store, clock, stack, agents)
        await api.start()
        stack.push_async_callback(api.close)
        http = HttpServer(api.handle)
        stack.push_async_callback(http.close, 5.0)
        stack.callback(api.drain)  # first of all, or the listener waits for every watch
        tls = server_context(config)
        tls_of = {"apiserver": tls, "apiserver-kubelet-client": agents}
        await http.listen_tcp(config.api_address, config.api_port, tls)
        await http.listen_tcp(config.node_address, config.api_port, tls, free_bind=True)
        step("controllers and scheduler")
        tasks = await stack.enter_async_context(Tasks("server"))
        authority = Authority.open(config.pki, "ca", "kubernetes", clock.now())
        client = _client(api, CONTROLLERS)
        informers = Informers(client, clock, jitter)  # one set of caches for both
        stack.push_async_callback(informers.stop)
        controllers = run_controllers(
            client,
            informers,
            clock,
            ca=authority.pair.certificate,
            jitter=jitter,
            identity=config.node_name,
            more=(
                certificates(ClusterSigner(authority, clock), subject_of, partial(may_request, api.backend.authorizer)),
                node_ipam(config.cluster_cidr),
            ),
            node_grace=config.node_monitor_grace_period,
            autoscaling_period=config.horizontal_pod_autoscaler_sync_period,
        )
        tasks.start(controllers, "controllers")
        tasks.start(_scheduler(config, _client(api, SCHEDULER), informers, clock), "scheduler")
        tasks.start(renew_regularly(config, clock, lambda: load_certificates(config, tls_of)), "certificates")
        yield


def _client(api: ApiServer, user: User) -> Client:
    return Client(DirectTransport(api.handle, context={"user": user}), manager=user.name.removeprefix("system:"))


def _api(config: Config, store: SqliteStore, clock: SystemClock, stack: AsyncExitStack, tls: ssl.SSLContext) -> ApiServer:
    """The API server with its authenticators, authorizer, answers and streams; `tls` is that towards the agents."""
    agents = HttpClient(tls=tls)
    stack.push_async_callback(agents.close)
    workloads = HttpClient(tls=unverified())
    stack.push_async_callback(workloads.close)
    keys = TokenKeys((config.pki / "sa.key").read_bytes(), f"https://kubernetes.default.svc.{config.cluster_domain}", clock)
    storage = Storage(store, open_encryption(config.server_root))
    tokens = ServiceAccountTokens(keys, partial(_find, storage))
    joining = BootstrapTokens(partial(_find, storage), clock)
    authorizer = _authorizer(storage)
    reviews = Reviews(authorizer, tokens, keys, clock, joining)
    metrics = MetricsApi(Agents(agents), clock, config.metrics_resolution)
    return ApiServer(
        store,
        storage=storage,
        authorizer=authorizer,
        authenticators=(InProcess(), ClientCertificates(), joining, tokens),
        answers=reviews.answers,
        streams={**NodeProxy(agents).streams, **ReverseProxy(agents, workloads).streams, **metrics.streams},
        registry=Registry((*KINDS, *usage.KINDS)),
        documents=oidc.documents(keys),
        auditor=_auditor(config, clock),
        clock=clock,
        addresses=ServiceAddresses(config.service_cidr),
        cluster=ClusterInfo(config.node_address, config.api_port, (*rbac_bootstrap.objects(), usage.API_SERVICE)),
    )


def _scheduler(config: Config, client: Client, informers: Informers, clock: SystemClock) -> Coroutine[Any, Any, None]:
    """The scheduler as its file configures it. Raises InvalidInput for a bad file, OSError where there is none."""
    path = config.scheduler_config
    configuration = scheduler_configuration.read(Path(path).read_bytes(), path) if path else None
    return run_scheduler(client, informers, clock, jitter=jitter, identity=config.node_name, configuration=configuration)


def _auditor(config: Config, clock: SystemClock) -> Auditor | None:
    """The audit log, where a policy asks for one. Raises InvalidInput for a bad policy, OSError where there is none."""
    if not config.audit_policy:
        return None
    policy = audit.read(Path(config.audit_policy).read_bytes(), config.audit_policy)
    path = Path(config.audit_log) if config.audit_log else config.server_root / "audit.log"
    return Auditor(policy, AuditFile(path), clock)


def _authorizer(storage: Storage) -> Authorizer:
    """Nodes by what their pods refer to, everybody by RBAC."""
    rbac = RbacAuthorizer(
        lambda plural: storage.objects((RBAC, plural)),
        lambda: sum(storage.of((RBAC, plural)).generation for plural in RBAC_RESOURCES),
    )
    pods = lru_cache(maxsize=1)(lambda: PodsOfNodes(storage.of(("", "pods"))))
    return Union(NodeAuthorizer(pods, rbac_bootstrap.node_rules(), lambda of, key: _object(storage, of, key)), rbac)


def _find(storage: Storage, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
    """An object of the core group."""
    return _object(storage, ("", plural), f"{namespace}/{name}" if namespace else name)


def _object(storage: Storage, resource: tuple[str, str], key: str) -> dict[str, Any] | None:
    item = storage.of(resource).get(key)
    return None if item is None else item.object


def load_certificates(config: Config, contexts: Mapping[str, ssl.SSLContext]) -> None:
    """Have the contexts use what is on disk now, in connections from here on."""
    for stem, context in contexts.items():
        context.load_cert_chain(config.pki / f"{stem}.crt", config.pki / f"{stem}.key")


def server_context(config: Config) -> ssl.SSLContext:
    """TLS of the API: our certificate, and client certificates of our authority welcome but not needed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(config.pki / "ca.crt"))
    load_certificates(config, {"apiserver": context})
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def agent_context(config: Config) -> ssl.SSLContext:
    """TLS towards the agents, as the API server."""
    context = ssl.create_default_context(cafile=str(config.pki / "ca.crt"))
    load_certificates(config, {"apiserver-kubelet-client": context})
    return context
