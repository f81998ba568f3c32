"""Keep as many pods as a ReplicationController asks for: it is a ReplicaSet with a plain map for selector."""

from collections.abc import Iterable
from dataclasses import replace

from podling.api import selectors
from podling.api.objects import Object, controller_of, key_of, labels_of, namespace_of, put
from podling.client.resource import PODS, REPLICATION_CONTROLLERS
from podling.controllers import replica_set
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.plan import Plan
from podling.controllers.view import Key, View


def reconcile(controller: Object, view: View, now: float) -> Plan:
    as_set = put(controller, "spec.selector", {"matchLabels": controller["spec"].get("selector") or {}})
    plan = replica_set.decide(REPLICATION_CONTROLLERS, as_set, view, now)
    status = {name: value for name, value in (plan.status or {}).items() if name != "terminatingReplicas"}
    return replace(plan, status=status)


def owners_of_pod(pod: Object, view: View) -> Iterable[Key]:
    if controller_of(pod) is not None:
        return controlled_by(REPLICATION_CONTROLLERS)(pod, view)
    candidates = view.within(REPLICATION_CONTROLLERS, namespace_of(pod))
    return [
        (REPLICATION_CONTROLLERS, key_of(one))
        for one in candidates
        if selectors.of_labels(one["spec"].get("selector")).matches(labels_of(pod))
    ]


REPLICATION_CONTROLLER = Controller(
    "replication-controller",
    primary=(Watch(REPLICATION_CONTROLLERS, indexes=("namespace", "owner")),),
    reconcile=reconcile,
    watches=(Watch(PODS, owners_of_pod, ("namespace", "owner", "label")),),
)
