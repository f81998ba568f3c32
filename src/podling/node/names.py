"""How a pod resolves names: resolv.conf, /etc/hosts, host name. Pure. Source: Kubernetes, "DNS for Services and Pods"."""

from dataclasses import dataclass

from podling.node.pod.spec import Object, host_network

_MAX_SEARCHES = 32
_MAX_NAMESERVERS = 3


@dataclass(frozen=True, slots=True)
class Resolver:
    """The contents of a resolv.conf(5)."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self) -> str:
        lines = [f"nameserver {address}" for address in self.nameservers[:_MAX_NAMESERVERS]]
        lines += [f"search {' '.join(self.searches[:_MAX_SEARCHES])}"] if self.searches else []
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "\n".join(lines) + "\n" if lines else ""


def parse_resolver(text: str) -> Resolver:
    """A resolv.conf as the host has it; unknown lines are skipped."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        match line.split("#")[0].split():
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search" | "domain", *names]:
                searches = tuple(names)
            case ["options", *words]:
                options += words
    return Resolver(tuple(nameservers), searches, tuple(options))


def resolver_of(pod: Object, host: Resolver, cluster_dns: str, domain: str) -> Resolver:
    """What the pod's dnsPolicy and dnsConfig make of the host's resolver and the cluster's."""
    policy = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and host_network(pod):
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not cluster_dns:
        base = host
    else:
        namespace = pod["metadata"].get("namespace", "default")
        searches = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *host.searches)
        base = Resolver((cluster_dns,), tuple(s for s in searches if s != "."), ("ndots:5",))
    return _amended(base, pod["spec"].get("dnsConfig") or {})


def _amended(base: Resolver, config: Object) -> Resolver:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in config.get("options") or []:
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value not in (None, "") else option["name"]
    return Resolver(
        _unique(base.nameservers, config.get("nameservers") or []),
        _unique(base.searches, config.get("searches") or []),
        tuple(options.values()),
    )


def _unique(first: tuple[str, ...], more: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *more)))


def hostname_of(pod: Object) -> str:
    """The pod's own name for itself, at most 63 characters."""
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:63].rstrip("-.")


def domain_of(pod: Object, domain: str) -> str:
    """The fully qualified name, if a `subdomain` gives it one; else "" ."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain:
        return ""
    return f"{hostname_of(pod)}.{subdomain}.{pod['metadata'].get('namespace', 'default')}.svc.{domain}"


def hosts_file(pod: Object, addresses: tuple[str, ...], domain: str) -> str:
    """The /etc/hosts of a pod with a network of its own. Source: Kubernetes, "Adding entries to Pod /etc/hosts"."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    full, short = domain_of(pod, domain), hostname_of(pod)
    lines += [f"{address}\t{full}\t{short}" if full else f"{address}\t{short}" for address in addresses]
    return "\n".join(lines) + "\n" + host_aliases(pod)


def host_aliases(pod: Object) -> str:
    """The lines that spec.hostAliases adds."""
    aliases = pod["spec"].get("hostAliases") or []
    if not aliases:
        return ""
    lines = [f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or []) for alias in aliases]
    return "\n# Entries added by HostAliases.\n" + "\n".join(lines) + "\n"
