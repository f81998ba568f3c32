"""Move a Deployment's pods to its template, at the pace and in the order it asks for."""

from podling.api import selectors
from podling.api.objects import Object, annotations_of, controller_of, is_deleting, name_of, namespace_of, uid_of
from podling.client.resource import DEPLOYMENTS, PODS, REPLICA_SETS
from podling.controllers.claim import claim
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.deployment import conditions, revisions, rollout, scaling
from podling.controllers.deployment.facts import Facts, replicas
from podling.controllers.plan import Action, Create, Delete, Event, Patch, Plan
from podling.controllers.replica_set import selecting
from podling.controllers.view import Key, View


def reconcile(deployment: Object, view: View, now: float) -> Plan:
    selector = selectors.of_object(deployment["spec"].get("selector"))
    if selector.everything:
        return _selects_all(deployment)
    sets, claims = claim(deployment, REPLICA_SETS, selector, view)
    facts = revisions.split(deployment, sets)
    plan = _decide(facts, view, now)
    status = conditions.with_pause(facts, plan.status, now) if plan.status else None
    return Plan([*claims, *plan.actions], status, plan.requeue_after)


def _selects_all(deployment: Object) -> Plan:
    event = Event(
        deployment, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.", "Warning"
    )
    observed = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    return Plan([event], {**(deployment.get("status") or {}), **observed})


def _decide(facts: Facts, view: View, now: float) -> Plan:
    if is_deleting(facts.deployment):
        return Plan(status=conditions.status(facts, now))
    renewing = _renew(facts)
    if facts.paused or scaling.is_asked(facts):
        resized = _resize(facts, scaling.scale(facts))
        return Plan([*renewing, *resized, *_forget(facts, resized)], conditions.status(facts, now))
    plan = _roll(facts, view, now)
    return Plan([*renewing, *plan.actions], plan.status, plan.requeue_after)


def _roll(facts: Facts, view: View, now: float) -> Plan:
    sizes = None if facts.rolling else rollout.recreate(facts, view)
    if sizes is None:
        if facts.new is None:
            return _make(facts, view, now)
        sizes = rollout.rolling(facts) if facts.rolling else _full_size(facts)
    status = conditions.rollout_status(facts, now)
    if facts.new is not None:
        status = conditions.with_found_set(facts, name_of(facts.new), status, now)
    actions = _resize(facts, sizes)
    if conditions.is_complete(facts, status):
        actions += _forget(facts, actions)
    return Plan(actions, status, conditions.overdue_in(facts, status, now))


def _full_size(facts: Facts) -> rollout.Sizes:
    assert facts.new is not None
    return {uid_of(facts.new): facts.replicas} if replicas(facts.new) != facts.replicas else {}


def _make(facts: Facts, view: View, now: float) -> Plan:
    """Make the ReplicaSet for the present template; where its name is taken, try another in the next round."""
    deployment = facts.deployment
    name, _ = revisions.new_name(deployment)
    taken = view.get(REPLICA_SETS, name, namespace_of(deployment))
    if taken is not None and not is_deleting(taken):
        collisions = (deployment.get("status") or {}).get("collisionCount") or 0
        return Plan(status={**conditions.status(facts, now), "collisionCount": collisions + 1})
    size = rollout.size_of_new(facts)
    done = Event(deployment, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}") if size else None
    failed = Event(deployment, "ReplicaSetCreateError", f'Failed to create new replica set "{name}": {{error}}', "Warning")
    actions = [
        Create(REPLICA_SETS, revisions.new_set(facts, size), done, failed),
        *_number(facts, revisions.next_revision(facts)),
    ]
    status = conditions.with_new_set(facts, name, now)
    return Plan(actions, status, conditions.overdue_in(facts, status, now))


def _renew(facts: Facts) -> list[Action]:
    """Keep the newest revision's number and annotations right, on the ReplicaSet and on the Deployment."""
    if facts.new is None:
        return []
    patch = revisions.renewed(facts)
    number = max(revisions.revision(facts.new), revisions.next_revision(facts))
    return [*([Patch(REPLICA_SETS, facts.new, patch)] if patch else []), *_number(facts, number)]


def _number(facts: Facts, number: int) -> list[Action]:
    if annotations_of(facts.deployment).get(revisions.REVISION) == str(number):
        return []
    return [Patch(DEPLOYMENTS, facts.deployment, {"metadata": {"annotations": {revisions.REVISION: str(number)}}})]


def _resize(facts: Facts, sizes: rollout.Sizes) -> list[Action]:
    return [_scaled(facts, rs, sizes[uid_of(rs)]) for rs in facts.all if uid_of(rs) in sizes]


def _scaled(facts: Facts, rs: Object, size: int) -> Patch:
    patch = {"metadata": {"annotations": revisions.sizes(facts)}, "spec": {"replicas": size}}
    old = replicas(rs)
    if size == old:
        return Patch(REPLICA_SETS, rs, patch)
    way = "up" if size > old else "down"
    text = f"Scaled {way} replica set {name_of(rs)} from {old} to {size}"
    return Patch(REPLICA_SETS, rs, patch, done=Event(facts.deployment, "ScalingReplicaSet", text))


def _forget(facts: Facts, resized: list[Action]) -> list[Action]:
    """Delete the revisions beyond the history limit, but none that is being scaled."""
    busy = {uid_of(action.object) for action in resized if isinstance(action, Patch)}
    return [Delete(REPLICA_SETS, rs, unchanged=True) for rs in revisions.beyond_history(facts) if uid_of(rs) not in busy]


def owners_of_set(rs: Object, view: View) -> list[Key]:
    if controller_of(rs) is not None:
        return list(controlled_by(DEPLOYMENTS)(rs, view))
    return selecting(DEPLOYMENTS, rs, view)


def recreating(pod: Object, view: View) -> list[Key]:
    """A pod that goes may be what a Recreate waits for; nobody else counts pods."""
    owner = controller_of(pod)
    if owner is None or owner["kind"] != REPLICA_SETS.kind:
        return []
    rs = view.get(REPLICA_SETS, owner["name"], namespace_of(pod))
    keys = list(controlled_by(DEPLOYMENTS)(rs, view)) if rs is not None else []
    return [key for key in keys if _recreates(view.caches[DEPLOYMENTS].get(key[1]))]


def _recreates(deployment: Object | None) -> bool:
    return deployment is not None and (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"


DEPLOYMENT = Controller(
    "deployment",
    primary=(Watch(DEPLOYMENTS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(
        Watch(REPLICA_SETS, owners_of_set, ("namespace", "owner", "label")),
        Watch(PODS, recreating, ("owner",)),
    ),
)
