"""The certificates and kubeconfigs of one podling: made at the first start, renewed before they end."""

from dataclasses import dataclass
from pathlib import Path

from podling.aio.clock import SystemClock
from podling.apiserver.pki import Authority, key_pem, new_key
from podling.app import nodes
from podling.app.config import Config
from podling.base.files import write_atomic
from podling.client import kubeconfig
from podling.client.kubeconfig import Access

KUBELET_CLIENT = "kube-apiserver-kubelet-client"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a certificate: a file stem, a user name, its groups."""

    stem: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("admin", "kubernetes-admin", ("system:masters",))
PROXY = Identity("kube-proxy", "system:kube-proxy")
KUBELET = Identity("apiserver-kubelet-client", KUBELET_CLIENT, ("system:masters",))


def leaves(config: Config) -> tuple[Path, ...]:
    """The certificates that end, and are renewed before."""
    server = tuple(config.pki / f"{stem}.crt" for stem in ("apiserver", KUBELET.stem, ADMIN.stem))
    agents = (each.agent_root / "pki" for each in (config, *nodes.existing(config)))
    return (*server, *(folder / f"{stem}.crt" for folder in agents for stem in ("kubelet", "node", PROXY.stem)))


def prepare(config: Config, now: float | None = None) -> Authority:
    """Everything that server, agent and administrator need under the root. Costs a few milliseconds once it is there."""
    now = SystemClock().now() if now is None else now
    authority = Authority.open(config.pki, "ca", "kubernetes", now)
    here = ("localhost", "127.0.0.1", config.node_address, config.node_name)
    names = tuple(dict.fromkeys((*here, config.api_address, config.service_address(1), *_service_names(config))))
    authority.leaf(config.pki, "apiserver", "kube-apiserver", now, names=names)
    authority.leaf(config.pki, KUBELET.stem, KUBELET.user, now, organizations=KUBELET.groups)
    _token_key(config)
    _kubeconfig(config, authority, ADMIN, config.admin_kubeconfig, config.api_url, now)
    _prepare_agent(config, authority, config.api_url, now)
    for node in nodes.existing(config):
        _prepare_agent(node, authority, nodes.api_url(config), now)
    return authority


def _prepare_agent(node: Config, authority: Authority, api: str, now: float) -> None:
    """What the agent of `node` needs: to serve the kubelet's API, and to ask the server at `api` as node and as proxy."""
    pki = node.agent_root / "pki"
    node.agent_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    pki.mkdir(exist_ok=True, mode=0o700)
    write_atomic(pki / "ca.crt", authority.pair.certificate)
    here = ("localhost", "127.0.0.1", node.node_address, node.node_name)
    user = f"system:node:{node.node_name}"
    authority.leaf(pki, "kubelet", user, now, names=here)
    _kubeconfig(node, authority, Identity("node", user, ("system:nodes",)), node.agent_kubeconfig, api, now)
    _kubeconfig(node, authority, PROXY, node.proxy_kubeconfig, api, now)


def _kubeconfig(config: Config, authority: Authority, identity: Identity, target: Path, api: str, now: float) -> None:
    """Write a kubeconfig for `identity`, whose certificate is kept in the `pki` folder beside it."""
    folder = target.parent
    pair = authority.leaf(folder / "pki", identity.stem, identity.user, now, organizations=identity.groups)
    access = Access(api, ca=authority.pair.certificate, certificate=pair.certificate, key=pair.key)
    kubeconfig.write(target, kubeconfig.entry(config.instance, access))


def _service_names(config: Config) -> tuple[str, ...]:
    return ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{config.cluster_domain}")


def _token_key(config: Config) -> None:
    """The key that signs service-account tokens."""
    path = config.pki / "sa.key"
    if not path.exists():
        write_atomic(path, key_pem(new_key()), mode=0o600)
