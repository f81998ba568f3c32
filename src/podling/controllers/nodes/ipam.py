"""Give each node without one a range for its pods, out of the cluster's.

Source: kube-controller-manager, node-ipam-controller (--allocate-node-cidrs, --cluster-cidr, --node-cidr-mask-size).
"""

from collections.abc import Iterable
from ipaddress import IPv4Network

from podling.api.objects import Object, is_deleting, key_of, name_of
from podling.client.resource import NODES
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Event, Patch, Plan
from podling.controllers.view import View

MASK_SIZE = 24
RETRY = 30.0  # seconds: a range is free again when a node is deleted


def cidr_of(node: Object) -> str:
    found: str = (node.get("spec") or {}).get("podCIDR") or ""
    return found


def node_ipam(cluster_cidr: str) -> Controller:
    """`cluster_cidr` is IPv4. One worker, and what it gave is remembered: a cache that is behind gives no range twice."""
    cluster = IPv4Network(cluster_cidr)
    ranges = [str(each) for each in cluster.subnets(new_prefix=max(MASK_SIZE, cluster.prefixlen))]

    def reconcile(node: Object, view: View, now: float) -> Plan:
        if cidr_of(node) or is_deleting(node):
            return NOTHING
        own = (NODES, key_of(node))
        given = view.memory.get(own) or _free(ranges, (*_held(view), *(each for key, each in view.memory.items() if key != own)))
        if given is None:
            message = f"Node {name_of(node)} status is now: CIDRNotAvailable"
            return Plan([Event(node, "CIDRNotAvailable", message)], requeue_after=RETRY)
        return Plan([Patch(NODES, node, {"spec": {"podCIDR": given, "podCIDRs": [given]}}, unchanged=True)], memory=given)

    return Controller("node-ipam", primary=(Watch(NODES, matters=lacks_range),), reconcile=reconcile, workers=1)


def lacks_range(old: Object | None, new: Object | None) -> bool:
    return new is None or not cidr_of(new)


def _held(view: View) -> Iterable[str]:
    return (cidr_of(node) for node in view.all(NODES))


def _free(ranges: Iterable[str], taken: Iterable[str]) -> str | None:
    """The first range that overlaps with none of `taken`, which may have been given by others, in other sizes."""
    networks = [IPv4Network(each) for each in taken if each and ":" not in each]
    exact = {str(network) for network in networks}
    free = (each for each in ranges if each not in exact)
    return next((each for each in free if not any(IPv4Network(each).overlaps(network) for network in networks)), None)
