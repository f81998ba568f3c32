"""The certificates and kubeconfigs of one podling: made at the first start, renewed before they end."""

from dataclasses import dataclass
from pathlib import Path

from podling.aio.clock import SystemClock
from podling.apiserver.pki import Authority, key_pem, new_key
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
KUBELET = Identity("apiserver-kubelet-client", KUBELET_CLIENT, ("system:masters",))


def leaves(config: Config) -> tuple[Path, ...]:
    """The certificates that end, and are renewed before."""
    server = tuple(config.pki / f"{stem}.crt" for stem in ("apiserver", KUBELET.stem, ADMIN.stem))
    return (*server, config.agent_root / "pki/kubelet.crt", config.agent_root / "pki/node.crt")


def prepare(config: Config, now: float | None = None) -> Authority:
    """Everything that server, agent and administrator need under the root. Costs a few milliseconds once it is there."""
    now = SystemClock().now() if now is None else now
    authority = Authority.open(config.pki, "ca", "kubernetes", now)
    here = ("localhost", "127.0.0.1", config.node_address, config.node_name)
    names = tuple(dict.fromkeys((*here, config.api_address, config.service_address(1), *_service_names(config))))
    authority.leaf(config.pki, "apiserver", "kube-apiserver", now, names=names)
    authority.leaf(config.pki, KUBELET.stem, KUBELET.user, now, organizations=KUBELET.groups)
    _token_key(config)
    config.agent_root.mkdir(parents=True, exist_ok=True, mode=0o711)
    (config.agent_root / "pki").mkdir(exist_ok=True, mode=0o700)
    write_atomic(config.agent_root / "pki/ca.crt", authority.pair.certificate)
    authority.leaf(config.agent_root / "pki", "kubelet", f"system:node:{config.node_name}", now, names=here)
    node = Identity("node", f"system:node:{config.node_name}", ("system:nodes",))
    _kubeconfig(config, authority, ADMIN, config.admin_kubeconfig, now)
    _kubeconfig(config, authority, node, config.agent_kubeconfig, now)
    return authority


def _kubeconfig(config: Config, authority: Authority, identity: Identity, target: Path, now: float) -> None:
    """Write a kubeconfig for `identity`, whose certificate is kept in the `pki` folder beside it."""
    folder = target.parent
    pair = authority.leaf(folder / "pki", identity.stem, identity.user, now, organizations=identity.groups)
    access = Access(config.api_url, ca=authority.pair.certificate, certificate=pair.certificate, key=pair.key)
    kubeconfig.write(target, kubeconfig.entry(config.instance, access))


def _service_names(config: Config) -> tuple[str, ...]:
    return ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{config.cluster_domain}")


def _token_key(config: Config) -> None:
    """The key that signs service-account tokens."""
    path = config.pki / "sa.key"
    if not path.exists():
        write_atomic(path, key_pem(new_key()), mode=0o600)
