"""The roles and bindings that every cluster starts with.

Source: Kubernetes documentation "Using RBAC Authorization", default roles and role bindings. Kept as rows, so that a reader sees
who may do what at one glance.
"""

from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
ALL = ("*",)

# What a namespace's users work with: (API group, resources).
WORKLOADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "pods/status",
          "replicationcontrollers", "replicationcontrollers/scale", "replicationcontrollers/status", "serviceaccounts",
          "services", "services/status")),
    ("apps", ("controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale", "deployments/status",
              "replicasets", "replicasets/scale", "replicasets/status", "statefulsets", "statefulsets/scale",
              "statefulsets/status")),
    ("autoscaling", ("horizontalpodautoscalers", "horizontalpodautoscalers/status")),
    ("batch", ("cronjobs", "cronjobs/status", "jobs", "jobs/status")),
    ("discovery.k8s.io", ("endpointslices",)),
    ("networking.k8s.io", ("ingresses", "ingresses/status", "networkpolicies")),
    ("policy", ("poddisruptionbudgets", "poddisruptionbudgets/status")),
)  # fmt: skip
VIEW_ONLY = ("bindings", "events", "limitranges", "namespaces", "namespaces/status", "pods/log", "resourcequotas",
             "resourcequotas/status")  # fmt: skip
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
DISCOVERY_PATHS = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *PUBLIC_PATHS)


def rule(groups: Sequence[str] | str, resources: Sequence[str] | str, verbs: Sequence[str]) -> Object:
    """A PolicyRule over resources."""
    return {"apiGroups": _list(groups), "resources": _list(resources), "verbs": list(verbs)}


def paths(urls: Sequence[str], verbs: Sequence[str]) -> Object:
    """A PolicyRule over paths that are no resources."""
    return {"nonResourceURLs": list(urls), "verbs": list(verbs)}


def _list(value: Sequence[str] | str) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def view_rules() -> list[Object]:
    return [rule(group, names, READ) for group, names in WORKLOADS] + [rule("", VIEW_ONLY, READ)]


def edit_rules() -> list[Object]:
    """What is more than viewing."""
    written = [rule(group, [name for name in names if not name.endswith("/status")], WRITE) for group, names in WORKLOADS]
    return [
        *written,
        rule("", ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"), (*READ, *WRITE)),
        rule("", "pods/resize", ("patch", "update")),
        rule("", ("pods/eviction", "serviceaccounts/token"), ("create",)),
        rule("", "events", WRITE),
        rule("", "serviceaccounts", ("impersonate",)),
        rule("coordination.k8s.io", "leases", (*READ, *WRITE)),
    ]


def admin_rules() -> list[Object]:
    """What is more than editing."""
    return [
        rule("authorization.k8s.io", "localsubjectaccessreviews", ("create",)),
        rule("rbac.authorization.k8s.io", ("rolebindings", "roles"), (*READ, *WRITE)),
    ]


def metrics_rules() -> list[Object]:
    """What everybody's pods use."""
    return [rule("metrics.k8s.io", ("nodes", "pods"), READ)]


def node_rules() -> list[Object]:
    return [
        rule("authentication.k8s.io", "tokenreviews", ("create",)),
        rule("authorization.k8s.io", ("localsubjectaccessreviews", "subjectaccessreviews"), ("create",)),
        rule("", "services", READ),
        rule("discovery.k8s.io", "endpointslices", READ),
        rule("node.k8s.io", "runtimeclasses", READ),
        rule("", ("persistentvolumeclaims", "persistentvolumes"), ("get",)),
        rule("", "persistentvolumeclaims/status", ("get", "update", "patch")),
        rule("storage.k8s.io", "volumeattachments", ("get",)),
        rule("storage.k8s.io", "csidrivers", READ),
        rule("storage.k8s.io", "csinodes", ("create", "delete", "get", "patch", "update")),
        rule("resource.k8s.io", "resourceclaims", ("get",)),
        rule("resource.k8s.io", "resourceslices", (*READ, *WRITE)),
        rule(CERTIFICATES, REQUESTS, (*READ, "create")),
        rule("", "nodes", (*READ, "create", "update", "patch")),
        rule("", "nodes/status", ("update", "patch")),
        rule(("", "events.k8s.io"), "events", ("create", "update", "patch")),
        rule("", "pods", (*READ, "create", "delete")),
        rule("", "pods/status", ("update", "patch")),
        rule("", "pods/eviction", ("create",)),
        rule("", ("configmaps", "namespaces", "secrets", "serviceaccounts"), READ),
        rule("", "serviceaccounts/token", ("create",)),
        rule("coordination.k8s.io", "leases", ("create", "delete", "get", "list", "patch", "update", "watch")),
    ]


def scheduler_rules() -> list[Object]:
    return [
        rule(("", "events.k8s.io"), "events", ("create", "patch", "update")),
        rule("coordination.k8s.io", "leases", ("create", "get", "list", "update", "watch")),
        rule(
            "", ("namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "replicationcontrollers", "services"), READ
        ),
        rule("", "pods", (*READ, "delete")),
        rule("", ("bindings", "pods/binding"), ("create",)),
        rule("", "pods/status", ("patch", "update")),
        rule("apps", ("replicasets", "statefulsets"), READ),
        rule("policy", "poddisruptionbudgets", READ),
        rule("scheduling.k8s.io", "priorityclasses", READ),
        rule("storage.k8s.io", "*", READ),
    ]


def proxier_rules() -> list[Object]:
    """What knows the way to services and to the pods of other nodes."""
    return [
        rule("", ("endpoints", "services"), ("list", "watch")),
        rule("", "nodes", READ),
        rule(("", "events.k8s.io"), "events", ("create", "patch", "update")),
        rule("discovery.k8s.io", "endpointslices", ("list", "watch")),
        rule("networking.k8s.io", "servicecidrs", ("list", "watch")),
    ]


CERTIFICATES, REQUESTS = "certificates.k8s.io", "certificatesigningrequests"
SIGNERS = ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown")


def signer_rule(signer: str, verb: str) -> Object:
    return {**rule(CERTIFICATES, "signers", (verb,)), "resourceNames": [signer]}


AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
# role -> the role that it becomes a part of
PARTS = {
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
    "system:aggregated-metrics-reader": "view",
    "edit": "admin",
    "view": "edit",
}

# name, rules
CLUSTER_ROLES: tuple[tuple[str, list[Object]], ...] = (
    ("cluster-admin", [rule("*", "*", ALL), paths(("*",), ALL)]),
    ("system:aggregate-to-admin", admin_rules()),
    ("system:aggregate-to-edit", edit_rules()),
    ("system:aggregate-to-view", view_rules()),
    ("admin", [*admin_rules(), *edit_rules(), *view_rules(), *metrics_rules()]),
    ("edit", [*edit_rules(), *view_rules(), *metrics_rules()]),
    ("view", [*view_rules(), *metrics_rules()]),
    ("system:aggregated-metrics-reader", metrics_rules()),
    ("system:discovery", [paths(DISCOVERY_PATHS, ("get",))]),
    ("system:public-info-viewer", [paths(PUBLIC_PATHS, ("get",))]),
    ("system:monitoring", [paths(("/metrics", "/metrics/slis", "/healthz/*", "/livez/*", "/readyz/*"), ("get",))]),
    (
        "system:basic-user",
        [
            rule("authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), ("create",)),
            rule("authentication.k8s.io", "selfsubjectreviews", ("create",)),
        ],
    ),
    (
        "system:service-account-issuer-discovery",
        [paths(("/.well-known/openid-configuration", "/openid/v1/jwks"), ("get",))],
    ),
    ("system:auth-delegator", [rule("authentication.k8s.io", "tokenreviews", ("create",)),
                               rule("authorization.k8s.io", "subjectaccessreviews", ("create",))]),
    ("system:kubelet-api-admin", [rule("", "nodes", ("get", "list", "watch", "proxy")),
                                  rule("", ("nodes/log", "nodes/metrics", "nodes/proxy", "nodes/stats"), ALL)]),
    ("system:node", node_rules()),
    ("system:node-proxier", proxier_rules()),
    ("system:node-bootstrapper", [rule(CERTIFICATES, REQUESTS, ("create", *READ))]),
    *((f"system:certificates.k8s.io:certificatesigningrequests:{name}", [rule(CERTIFICATES, f"{REQUESTS}/{name}", ("create",))])
      for name in ("nodeclient", "selfnodeclient")),
    *((f"system:certificates.k8s.io:{name}-approver", [signer_rule(f"kubernetes.io/{name}", "approve")]) for name in SIGNERS),
    ("system:kube-scheduler", scheduler_rules()),
    ("system:volume-scheduler", [rule("", ("persistentvolumes", "persistentvolumeclaims"), (*READ, "patch", "update")),
                                 rule("storage.k8s.io", "storageclasses", READ)]),
    ("system:kube-controller-manager", [rule("*", "*", ALL), paths(("*",), ("get",))]),
)  # fmt: skip

# cluster role, subject kind, subject name
CLUSTER_ROLE_BINDINGS: tuple[tuple[str, str, str], ...] = (
    ("cluster-admin", "Group", "system:masters"),
    ("system:discovery", "Group", "system:authenticated"),
    ("system:basic-user", "Group", "system:authenticated"),
    ("system:public-info-viewer", "Group", "system:authenticated"),
    ("system:public-info-viewer", "Group", "system:unauthenticated"),
    ("system:monitoring", "Group", "system:monitoring"),
    ("system:service-account-issuer-discovery", "Group", "system:serviceaccounts"),
    ("system:node-proxier", "User", "system:kube-proxy"),
    ("system:node-bootstrapper", "Group", "system:bootstrappers"),
    ("system:certificates.k8s.io:certificatesigningrequests:nodeclient", "Group", "system:bootstrappers"),
    ("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "Group", "system:nodes"),
    ("system:kube-scheduler", "User", "system:kube-scheduler"),
    ("system:volume-scheduler", "User", "system:kube-scheduler"),
    ("system:kube-controller-manager", "User", "system:kube-controller-manager"),
)

RBAC = "rbac.authorization.k8s.io"
BOOTSTRAP_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTOUPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}


def objects() -> Iterator[Object]:
    """Every bootstrap ClusterRole and ClusterRoleBinding."""
    for name, rules in CLUSTER_ROLES:
        yield {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": _metadata(name), "rules": rules} | _aggregation(
            name
        )
    bound: dict[str, list[Object]] = {"system:node": []}  # the node authorizer knows them
    for role, kind, subject in CLUSTER_ROLE_BINDINGS:
        bound.setdefault(role, []).append({"apiGroup": RBAC, "kind": kind, "name": subject})
    for role, subjects in bound.items():
        yield {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(role),
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": subjects,
        }


def _aggregation(name: str) -> Object:
    if name.startswith("system:") or name not in PARTS.values():
        return {}
    return {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {AGGREGATE + name: "true"}}]}}


def _metadata(name: str) -> Object:
    part = {AGGREGATE + PARTS[name]: "true"} if name in PARTS else {}
    return {"name": name, "labels": {**BOOTSTRAP_LABELS, **part}, "annotations": AUTOUPDATE}
