"""A ClusterRole with an aggregation rule has the rules of all that it selects.

Source: Kubernetes documentation "Using RBAC Authorization", aggregated ClusterRoles.
"""

from podling.api.objects import Object, get, labels_of, name_of
from podling.api.selectors import of_object
from podling.client.resource import Resource
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Patch, Plan
from podling.controllers.view import Key, View

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False, kind="ClusterRole")


def aggregated(role: Object, view: View) -> list[Object]:
    """The rules of the roles that `role` selects, each once, in the order of the roles' names."""
    selectors = [of_object(each) for each in get(role, "aggregationRule.clusterRoleSelectors", ())]
    chosen = (
        other
        for other in sorted(view.all(CLUSTER_ROLES), key=name_of)
        if name_of(other) != name_of(role) and any(selector.matches(labels_of(other)) for selector in selectors)
    )
    rules: list[Object] = []
    for other in chosen:
        rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def reconcile(role: Object, view: View, now: float) -> Plan:
    if not role.get("aggregationRule"):
        return NOTHING
    rules = aggregated(role, view)
    if rules == (role.get("rules") or []):
        return NOTHING
    return Plan([Patch(CLUSTER_ROLES, role, {"rules": rules}, unchanged=True)])


def who_aggregates(role: Object, view: View) -> list[Key]:
    """Every aggregating role: there are few, and labels that were taken away concern those that selected them."""
    return [(CLUSTER_ROLES, name_of(other)) for other in view.all(CLUSTER_ROLES) if other.get("aggregationRule")]


AGGREGATION = Controller(
    "clusterrole-aggregation",
    primary=(Watch(CLUSTER_ROLES),),
    reconcile=reconcile,
    watches=(Watch(CLUSTER_ROLES, who_aggregates),),
)
