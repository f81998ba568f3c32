"""The priority levels and flow schemas that every cluster has: the mandatory ones, and those that upstream suggests.

Source: Kubernetes documentation "API Priority and Fairness", "Default flow and priority configuration".
"""

from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]

API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
_ANNOTATIONS = {"apf.kubernetes.io/autoupdate-spec": "true"}

# name: shares, percent that is lent; queues, hand size; without queues what is too much is refused
_LEVELS: dict[str, tuple[int, int, int, int]] = {
    "catch-all": (5, 0, 0, 0),
    "system": (30, 33, 64, 6),
    "node-high": (40, 25, 64, 6),
    "leader-election": (10, 0, 16, 4),
    "workload-high": (40, 50, 128, 6),
    "workload-low": (100, 90, 128, 6),
    "global-default": (20, 50, 128, 6),
}
QUEUE_LENGTH = 50


def objects() -> Iterator[Object]:
    """All of them, levels first."""
    yield _object("PriorityLevelConfiguration", "exempt", {"type": "Exempt", "exempt": _shares(0, 0)})
    for name, (shares, lendable, queues, hand) in _LEVELS.items():
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH}
        response = {"type": "Queue", "queuing": queuing} if queues else {"type": "Reject"}
        limited = {**_shares(shares, lendable), "limitResponse": response}
        yield _object("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})
    for name, level, precedence, distinguisher, rules in _SCHEMAS:
        spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rules]}
        if distinguisher:
            spec["distinguisherMethod"] = {"type": distinguisher}
        yield _object("FlowSchema", name, spec)


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": dict(_ANNOTATIONS)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _shares(shares: int, lendable: int) -> Object:
    return {"nominalConcurrencyShares": shares, "lendablePercent": lendable}


def _groups(*names: str) -> list[Object]:
    return [{"kind": "Group", "group": {"name": f"system:{name}"}} for name in names]


def _users(*names: str) -> list[Object]:
    return [{"kind": "User", "user": {"name": f"system:{name}"}} for name in names]


def _accounts(*names: str) -> list[Object]:
    return [{"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": "kube-system"}} for name in names]


def _resources(verbs: Sequence[str], group: str, resources: Sequence[str], *, cluster: bool = False) -> Object:
    rule: Object = {"verbs": [*verbs], "apiGroups": [group], "resources": [*resources], "namespaces": ["*"]}
    return {**rule, "clusterScope": True} if cluster else rule


_EVERYBODY = _groups("unauthenticated", "authenticated")
_PATHS = {"verbs": ["*"], "nonResourceURLs": ["*"]}
_ALL: Object = {"resourceRules": [_resources("*", "*", "*", cluster=True)], "nonResourceRules": [_PATHS]}
_LOCK = ("get", "create", "update")
_LEASES = "coordination.k8s.io"

# name, level, precedence, distinguisher, rules
_SCHEMAS: tuple[tuple[str, str, int, str, Object], ...] = (
    ("exempt", "exempt", 1, "", {"subjects": _groups("masters"), **_ALL}),
    ("catch-all", "catch-all", 10000, "ByUser", {"subjects": _EVERYBODY, **_ALL}),
    ("system-nodes", "system", 500, "ByUser", {"subjects": _groups("nodes"), **_ALL}),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        {
            "subjects": _groups("nodes"),
            "resourceRules": [
                _resources("*", "", ("nodes", "nodes/status"), cluster=True),
                _resources("*", _LEASES, ("leases",)),
            ],
        },
    ),
    (
        "probes",
        "exempt",
        2,
        "",
        {
            "subjects": _EVERYBODY,
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
        },
    ),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        {
            "subjects": [*_users("kube-controller-manager", "kube-scheduler"), *_accounts("*")],
            "resourceRules": [_resources(_LOCK, _LEASES, ("leases",))],
        },
    ),
    (
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        {
            "subjects": [
                *_users("kube-controller-manager"),
                *_accounts("endpoint-controller", "endpointslicemirroring-controller"),
            ],
            "resourceRules": [_resources(_LOCK, "", ("endpoints",))],
        },
    ),
    (
        "workload-leader-election",
        "leader-election",
        200,
        "ByUser",
        {
            "subjects": _accounts("*"),
            "resourceRules": [_resources(_LOCK, "", ("endpoints", "configmaps")), _resources(_LOCK, _LEASES, ("leases",))],
        },
    ),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", {"subjects": _users("kube-controller-manager"), **_ALL}),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", {"subjects": _users("kube-scheduler"), **_ALL}),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", {"subjects": _accounts("*"), **_ALL}),
    ("service-accounts", "workload-low", 9000, "ByUser", {"subjects": _groups("serviceaccounts"), **_ALL}),
    ("global-default", "global-default", 9900, "ByUser", {"subjects": _EVERYBODY, **_ALL}),
)
