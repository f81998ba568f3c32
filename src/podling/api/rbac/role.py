"""rbac.authorization.k8s.io/v1 Role and ClusterRole. Source: Kubernetes API reference, "Role", "ClusterRole"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import CREATED, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Kind, Object
from podling.api.rules import label_selector

API_VERSION = "rbac.authorization.k8s.io/v1"


def _rule(rule: Cursor, *, namespaced: bool) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        yield (rule / "verbs").required("verbs must contain at least one value")
    if urls := rule / "nonResourceURLs":
        if namespaced:
            yield urls.invalid("namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            yield urls.invalid("rules cannot apply to both regular resources and non-resource URLs")
        return
    if not rule.get("apiGroups"):
        yield (rule / "apiGroups").required("resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield (rule / "resources").required("resource rules must supply at least one resource")


def _validate_role(new: Object, _old: Object | None) -> Iterator[FieldError]:
    for rule in at(new, "rules"):
        yield from _rule(rule, namespaced=True)


def _validate_cluster_role(new: Object, _old: Object | None) -> Iterator[FieldError]:
    for rule in at(new, "rules"):
        yield from _rule(rule, namespaced=False)
    aggregation = at(new, "aggregationRule")
    if aggregation.value is not None:
        selectors = aggregation / "clusterRoleSelectors"
        if not selectors:
            yield selectors.required("at least one clusterRoleSelector required if aggregationRule is non-nil")
        for selector in selectors:
            yield from label_selector(selector)


ROLE = Kind(
    api_version=API_VERSION,
    kind="Role",
    plural="roles",
    create_on_update=True,
    check_name=names.path_segment,
    validate=_validate_role,
    columns=(NAME, CREATED),
)

CLUSTER_ROLE = Kind(
    api_version=API_VERSION,
    kind="ClusterRole",
    plural="clusterroles",
    create_on_update=True,
    namespaced=False,
    check_name=names.path_segment,
    validate=_validate_cluster_role,
    columns=(NAME, CREATED),
)
