"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure as clients know them."""

from podling.api.objects import Object, condition, without_condition
from podling.api.timestamps import parse, rfc3339
from podling.controllers.deployment.facts import Facts, asked, counted

NEW_AVAILABLE, EXCEEDED, PAUSED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"


def counts(facts: Facts) -> Object:
    """The status without conditions."""
    old = facts.deployment.get("status") or {}
    ready = counted(facts.all, "availableReplicas")
    new: Object = {
        "observedGeneration": facts.deployment["metadata"].get("generation", 0),
        "replicas": counted(facts.all, "replicas"),
        "updatedReplicas": counted([facts.new] if facts.new else [], "replicas"),
        "readyReplicas": counted(facts.all, "readyReplicas"),
        "availableReplicas": ready,
        "unavailableReplicas": max(0, asked(facts.all) - ready),
        "terminatingReplicas": counted(facts.all, "terminatingReplicas"),
        "collisionCount": old.get("collisionCount"),
    }
    always = ("observedGeneration", "terminatingReplicas")
    return {key: value for key, value in new.items() if value or key in always}


def status(facts: Facts, now: float) -> Object:
    """The status outside of a rollout: paused, scaled, or being deleted."""
    new = counts(facts)
    return {**new, "conditions": _with_available(facts, new, _old(facts), now)}


def rollout_status(facts: Facts, now: float) -> Object:
    """The status in a rollout: also whether it progresses, is complete, or has taken too long."""
    new = counts(facts)
    conditions = _with_available(facts, new, _old(facts), now)
    if facts.deadline is None:
        conditions = without_condition(conditions, "Progressing")
    elif not _was_complete(facts, new):
        conditions = _with_progress(facts, new, conditions, now)
    return {**new, "conditions": _with_failures(facts, conditions)}


def with_new_set(facts: Facts, name: str, now: float) -> Object:
    """The status with the news that the ReplicaSet `name` has been made."""
    new = status(facts, now)
    if facts.deadline is not None:
        message = f'Created new replica set "{name}"'
        new["conditions"] = placed(new["conditions"], "True", "NewReplicaSetCreated", message, now)
    return new


def with_found_set(facts: Facts, name: str, status: Object, now: float) -> Object:
    """The status with the news that an existing ReplicaSet has the template; where there are older news, as it was."""
    if facts.deadline is None or condition(facts.deployment, "Progressing"):
        return status
    message = f'Found new replica set "{name}"'
    return {**status, "conditions": placed(status["conditions"], "True", "FoundNewReplicaSet", message, now)}


def with_pause(facts: Facts, status: Object, now: float) -> Object:
    """The status with the news that it is paused or resumed."""
    current = condition(facts.deployment, "Progressing")
    reason = (current or {}).get("reason")
    if facts.deadline is None or reason == EXCEEDED or (reason == PAUSED) == facts.paused:
        return status
    told = (PAUSED, "Deployment is paused") if facts.paused else ("DeploymentResumed", "Deployment is resumed")
    return {**status, "conditions": placed(status["conditions"], "Unknown", *told, now)}


def overdue_in(facts: Facts, status: Object, now: float) -> float | None:
    """Seconds until the rollout has taken too long; None when that can't happen."""
    progress = condition({"status": status}, "Progressing")
    if facts.deadline is None or facts.paused or progress is None or progress["reason"] in (NEW_AVAILABLE, EXCEEDED):
        return None
    return max(0.0, parse(progress["lastUpdateTime"]) + facts.deadline - now) + 1.0


def placed(
    conditions: list[Object], state: str, reason: str, message: str, now: float, kind: str = "Progressing"
) -> list[Object]:
    """`conditions` with that of `kind` as given; its times move when its status does, the update time in any case."""
    old = condition({"status": {"conditions": conditions}}, kind) or {}
    text = rfc3339(now)
    since = old["lastTransitionTime"] if old.get("status") == state else text
    new = {"type": kind, "status": state, "reason": reason, "message": message}
    return [*without_condition(conditions, kind), {**new, "lastUpdateTime": text, "lastTransitionTime": since}]


def _old(facts: Facts) -> list[Object]:
    return (facts.deployment.get("status") or {}).get("conditions") or []


def _with_available(facts: Facts, new: Object, conditions: list[Object], now: float) -> list[Object]:
    enough = new.get("availableReplicas", 0) >= facts.replicas - facts.max_unavailable
    state, reason, message = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    old = condition(facts.deployment, "Available")
    if old and (old["status"], old["reason"]) == (state, reason):
        return conditions
    return placed(conditions, state, reason, message, now, "Available")


def _was_complete(facts: Facts, new: Object) -> bool:
    """Complete before, and no pod of another template since: later losses of pods are no rollout."""
    progress = condition(facts.deployment, "Progressing")
    complete = progress is not None and progress["reason"] == NEW_AVAILABLE
    return complete and new.get("replicas", 0) == new.get("updatedReplicas", 0)


def is_complete(facts: Facts, new: Object) -> bool:
    """All pods are of the new template and available."""
    found = [new.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return found == [facts.replicas] * 3


def _has_progressed(facts: Facts, new: Object) -> bool:
    old = facts.deployment.get("status") or {}

    def outdated(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = any(new.get(key, 0) > old.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or outdated(new) < outdated(old)


def _with_progress(facts: Facts, new: Object, conditions: list[Object], now: float) -> list[Object]:
    what = (
        f'ReplicaSet "{facts.new["metadata"]["name"]}"' if facts.new else f'Deployment "{facts.deployment["metadata"]["name"]}"'
    )
    if is_complete(facts, new):
        return placed(conditions, "True", NEW_AVAILABLE, f"{what} has successfully progressed.", now)
    if _has_progressed(facts, new):
        return placed(conditions, "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
    if _is_overdue(facts, now):
        return placed(conditions, "False", EXCEEDED, f"{what} has timed out progressing.", now)
    return conditions


def _is_overdue(facts: Facts, now: float) -> bool:
    """Newly so: what is said already needs no saying again."""
    progress = condition(facts.deployment, "Progressing")
    if progress is None or facts.deadline is None or progress["reason"] in (NEW_AVAILABLE, EXCEEDED):
        return False
    return parse(progress["lastUpdateTime"]) + facts.deadline < now


def _with_failures(facts: Facts, conditions: list[Object]) -> list[Object]:
    """The newest ReplicaSet's failure to make pods, else an old one's."""
    rest = without_condition(conditions, "ReplicaFailure")
    for rs in reversed(facts.all):
        if failure := condition(rs, "ReplicaFailure"):
            times = {"lastUpdateTime": failure["lastTransitionTime"], "lastTransitionTime": failure["lastTransitionTime"]}
            return [*rest, {**failure, **times}]
    return rest
