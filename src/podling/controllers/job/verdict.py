"""Whether a Job has failed or done enough, and in which words. Source: v1 JobCondition; "Success policy"."""

from podling.api.objects import Object, get, with_condition
from podling.api.timestamps import parse, rfc3339
from podling.controllers import pods as pod_facts
from podling.controllers.job import failures, indexes
from podling.controllers.job.facts import Facts
from podling.controllers.job.tracking import Tally

FAILURE, SUCCESS = "FailureTarget", "SuccessCriteriaMet"


def decide(facts: Facts, tally: Tally) -> Object | None:
    """The condition that says why no more pods are to run; once said it stays."""
    for kind in (FAILURE, SUCCESS):
        for known in facts.status.get("conditions") or ():
            if known["type"] == kind and known["status"] == "True":
                return dict(known)
    found = _failure(facts, tally) or _success(facts, tally)
    return None if found is None else {"status": "True", "lastProbeTime": rfc3339(facts.now), **found}


def _failure(facts: Facts, tally: Tally) -> Object | None:
    if why := _by_policy(facts):
        return _failed("PodFailurePolicy", why)
    if tally.failed > get(facts.job, "spec.backoffLimit", 6) or _restarted_too_often(facts):
        return _failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if (left := time_left(facts)) is not None and left <= 0:
        return _failed("DeadlineExceeded", "Job was active longer than specified deadline")
    most = facts.job["spec"].get("maxFailedIndexes")
    if most is not None and len(tally.lost) > most:
        return _failed("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    if tally.lost and len(tally.lost) + len(tally.completed) >= (facts.completions or 0):
        return _failed("FailedIndexes", "Job has failed indexes")
    return None


def _failed(reason: str, message: str) -> Object:
    return {"type": FAILURE, "reason": reason, "message": message}


def _by_policy(facts: Facts) -> str:
    judged = (failures.judge(facts, pod) for pod in facts.pods if facts.has_failed(pod))
    return next((one.why for one in judged if one.action == "FailJob"), "")


def _restarted_too_often(facts: Facts) -> bool:
    """Where containers start again in their pods, their restarts are the failures."""
    if get(facts.job, "spec.template.spec.restartPolicy") != "OnFailure":
        return False
    running = [pod for pod in facts.pods if pod_facts.phase(pod) in ("Running", "Pending")]
    restarts = sum(
        status.get("restartCount", 0)
        for pod in running
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in get(pod, f"status.{kind}", ())
    )
    return bool(restarts >= max(1, get(facts.job, "spec.backoffLimit", 6)))


def time_left(facts: Facts) -> float | None:
    """Seconds until the Job has been active for too long; None when that can't happen."""
    deadline = facts.job["spec"].get("activeDeadlineSeconds")
    started = facts.status.get("startTime")
    if deadline is None or started is None or facts.suspended:
        return None
    return parse(started) + float(deadline) - facts.now


def _success(facts: Facts, tally: Tally) -> Object | None:
    for number, rule in enumerate(get(facts.job, "spec.successPolicy.rules", ())):
        if facts.indexed and _meets(rule, tally, facts.completions or 0):
            return {"type": SUCCESS, "reason": "SuccessPolicy", "message": f"Matched rules at index {number}"}
    if _is_complete(facts, tally):
        return {"type": SUCCESS, "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods"}
    return None


def _meets(rule: Object, tally: Tally, completions: int) -> bool:
    wanted = indexes.parse(rule["succeededIndexes"], completions) if rule.get("succeededIndexes") else None
    done = tally.completed if wanted is None else tally.completed & wanted
    count = rule.get("succeededCount")
    return len(done) >= (len(wanted or ()) if count is None else count)


def _is_complete(facts: Facts, tally: Tally) -> bool:
    if facts.completions is None:
        return tally.succeeded > 0 and not facts.active
    return tally.succeeded >= facts.completions


def concluded(facts: Facts, conditions: list[Object], verdict: Object) -> Object:
    """The part of the status that ends the Job: nothing runs any more, and all is counted."""
    kind = "Complete" if verdict["type"] == SUCCESS else "Failed"
    final = {**verdict, "type": kind, "lastProbeTime": rfc3339(facts.now)}
    new: Object = {"conditions": with_condition(conditions, final, rfc3339(facts.now))}
    return new | ({"completionTime": rfc3339(facts.now)} if kind == "Complete" else {})
