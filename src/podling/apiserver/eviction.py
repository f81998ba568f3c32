"""POST pods/NAME/eviction: a delete that keeps to the pod's disruption budget. Source: policy/v1 Eviction;
Kubernetes documentation "API-initiated Eviction"; pkg/registry/core/pod/storage/eviction.
"""

from dataclasses import replace
from typing import Any

from podling.aio.http import Response
from podling.api.core.pod import POD
from podling.api.objects import get, has_condition, is_deleting, labels_of, name_of, put, with_condition
from podling.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET
from podling.api.selectors import of_object
from podling.api.status import ApiError, bad_request, forbidden, internal, not_found, success, too_many_requests
from podling.api.timestamps import rfc3339
from podling.apiserver.body import content_type, parse, read
from podling.apiserver.call import Call
from podling.apiserver.delete import check_preconditions, delete_object
from podling.apiserver.finalize import DeleteOptions
from podling.apiserver.storage import Stale

Object = dict[str, Any]

ATTEMPTS = 20
MOST_DISRUPTED = 2000
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def evict(call: Call) -> Response:
    options = await _options(call)
    pod = _find(call, options)
    options = replace(options, uid=pod["metadata"]["uid"], resource_version="")  # they have been compared
    if not _needs_no_budget(pod):
        if (budget := _budget(call, pod)) is not None:
            await _spend(call, pod, name_of(budget), options)
        if not options.dry_run:
            await _mark(call, pod)
    await delete_object(call, call.kind, call.attributes.name, options)
    return call.answer_object(success(), 201)


async def _options(call: Call) -> DeleteOptions:
    data = await read(call)
    eviction = parse(data, "Eviction", content_type(call)) if data else {}
    given = name_of(eviction)
    if given and given != call.attributes.name:
        raise bad_request(f"name in URL does not match name in Eviction object: {call.attributes.name} vs {given}")
    options = eviction.get("deleteOptions") or {}
    preconditions = options.get("preconditions") or {}
    return DeleteOptions(
        options.get("gracePeriodSeconds"),
        options.get("propagationPolicy") or "",
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=call.dry_run or "All" in (options.get("dryRun") or ()),
    )


def _find(call: Call, options: DeleteOptions) -> Object:
    item = call.storage.get(POD, call.namespace, call.attributes.name)
    if item is None:
        raise not_found("pods", call.attributes.name)
    check_preconditions(POD, item.object, options)
    return item.object


def _needs_no_budget(pod: Object) -> bool:
    """It serves nobody: it has ended, has not begun, or is going already."""
    return get(pod, "status.phase") in ("Succeeded", "Failed", "Pending") or is_deleting(pod)


def _budget(call: Call, pod: Object) -> Object | None:
    """The one budget that selects the pod. Raises 500 where there are several."""
    found = [
        budget
        for budget in call.storage.objects(POD_DISRUPTION_BUDGET.storage, f"{call.namespace}/")
        if of_object(get(budget, "spec.selector")).matches(labels_of(pod))
    ]
    if len(found) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", text)
    return found[0] if found else None


async def _spend(call: Call, pod: Object, name: str, options: DeleteOptions) -> None:
    """Take one of the budget's disruptions. Raises 429 where it has none left."""
    for _ in range(ATTEMPTS):
        seen = call.storage.get(POD_DISRUPTION_BUDGET, call.namespace, name)
        if seen is None or _is_unhealthy_and_free(pod, seen.object):
            return
        spent = _spent(seen.object, name_of(pod), rfc3339(call.backend.clock.now()))
        if options.dry_run:
            return
        try:
            await call.storage.replace(POD_DISRUPTION_BUDGET, seen, spent)
            return
        except Stale:
            continue
    raise internal(f"couldn't update PodDisruptionBudget {name}")


def _is_unhealthy_and_free(pod: Object, budget: Object) -> bool:
    """A pod that isn't ready costs nothing, always or while the others are enough."""
    if has_condition(pod, "Ready"):
        return False
    if get(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = get(budget, "status.currentHealthy", 0), get(budget, "status.desiredHealthy", 0)
    return bool(healthy >= desired > 0)


def _spent(budget: Object, pod: str, now: str) -> Object:
    status = budget.get("status") or {}
    name, allowed = name_of(budget), status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    if allowed < 0:
        raise forbidden("poddisruptionbudgets", name, "pdb disruptions allowed is negative", "policy")
    if len(status.get("disruptedPods") or ()) > MOST_DISRUPTED:
        cause = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("poddisruptionbudgets", name, cause, "policy")
    if allowed == 0:
        desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently", 0)
    new = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": {**(status.get("disruptedPods") or {}), pod: now}}
    if allowed == 1:
        none = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": ""}
        new["conditions"] = with_condition(status.get("conditions"), none, now)
    return {**budget, "status": new}


def _refused(why: str, retry_after: int) -> ApiError:
    error = too_many_requests(REFUSED, retry_after) if retry_after else ApiError(429, "TooManyRequests", REFUSED)
    error.details["causes"] = [{"reason": "DisruptionBudget", "message": why}]
    return error


async def _mark(call: Call, pod: Object) -> None:
    """Say in the pod's status why it goes."""
    why = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    now = rfc3339(call.backend.clock.now())
    for _ in range(ATTEMPTS):
        seen = call.storage.get(POD, call.namespace, name_of(pod))
        if seen is None or seen.object["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        conditions = with_condition(get(seen.object, "status.conditions"), why, now)
        try:
            await call.storage.replace(POD, seen, put(seen.object, "status.conditions", conditions))
            return
        except Stale:
            continue
