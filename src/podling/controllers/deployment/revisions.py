"""Which ReplicaSet has the present template, what it is called, and the numbering of revisions that `rollout undo` goes by."""

from collections.abc import Iterable

from podling.api.objects import Object, annotations_of, labels_of, owner_reference, put, thaw
from podling.controllers.deployment.facts import DESIRED, MAXIMUM, Facts, by_age, counted, replicas
from podling.controllers.digest import digest

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HISTORY_LENGTH = 2000  # characters
OWN = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
}


def split(deployment: Object, sets: Iterable[Object]) -> Facts:
    """Tell the ReplicaSet of the present template (the oldest of several) from the others."""
    ordered = by_age(sets)
    wanted = plain(deployment["spec"]["template"])
    new = next((rs for rs in ordered if plain(rs["spec"]["template"]) == wanted), None)
    return Facts(deployment, new, [rs for rs in ordered if rs is not new])


def plain(template: Object) -> Object:
    """A template without what tells nothing: the hash label, and what is empty."""
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH}
    kept = {name: value for name, value in {**metadata, "labels": labels}.items() if value}
    return {**template, "metadata": kept}


def template_hash(template: Object, collisions: int) -> str:
    """The suffix for a template; `collisions` gives other ones where they are taken."""
    return digest(plain(template), collisions)


def revision(obj: Object) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def next_revision(facts: Facts) -> int:
    return max((revision(rs) for rs in facts.old), default=0) + 1


def new_name(deployment: Object) -> tuple[str, str]:
    """The name of the ReplicaSet for the present template, and its hash."""
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    suffix = template_hash(deployment["spec"]["template"], collisions)
    return f"{deployment['metadata']['name']}-{suffix}", suffix


def new_set(facts: Facts, size: int) -> Object:
    """The ReplicaSet for the present template with `size` replicas."""
    deployment = facts.deployment
    name, suffix = new_name(deployment)
    template = thaw(deployment["spec"]["template"])
    template = put(template, "metadata.labels", {**labels_of(template), HASH: suffix})
    selector = deployment["spec"]["selector"]
    labels = {**(selector.get("matchLabels") or {}), HASH: suffix}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment["metadata"]["namespace"],
            "labels": labels_of(template),
            "annotations": inherited(deployment) | sizes(facts) | {REVISION: str(next_revision(facts))},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": size,
            "minReadySeconds": deployment["spec"].get("minReadySeconds") or 0,
            "selector": {**selector, "matchLabels": labels},
            "template": template,
        },
    }


def inherited(deployment: Object) -> dict[str, str]:
    """The annotations that a ReplicaSet takes over."""
    return {name: value for name, value in annotations_of(deployment).items() if name not in OWN}


def sizes(facts: Facts) -> dict[str, str]:
    """What later scaling in proportion goes by."""
    return {DESIRED: str(facts.replicas), MAXIMUM: str(facts.ceiling)}


def renewed(facts: Facts) -> Object | None:
    """The merge patch that makes an existing ReplicaSet the newest revision; None when it is."""
    new = facts.new
    assert new is not None
    have = annotations_of(new)
    want = inherited(facts.deployment)
    present, following = revision(new), next_revision(facts)
    if following > present:
        want[REVISION] = str(following)
        if present:
            want[HISTORY] = _history(have.get(HISTORY, ""), present)
    annotations = {name: value for name, value in want.items() if have.get(name) != value}
    patch: Object = {"metadata": {"annotations": annotations}} if annotations else {}
    ready = facts.deployment["spec"].get("minReadySeconds") or 0
    if (new["spec"].get("minReadySeconds") or 0) != ready:
        patch["spec"] = {"minReadySeconds": ready}
    return patch or None


def _history(known: str, present: int) -> str:
    history = [*(known.split(",") if known else []), str(present)]
    while len(",".join(history)) > HISTORY_LENGTH:
        history.pop(0)
    return ",".join(history)


def beyond_history(facts: Facts) -> list[Object]:
    """The old ReplicaSets that `revisionHistoryLimit` has no place for, oldest revision first."""
    limit = facts.deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == 2**31 - 1:
        return []
    kept = [rs for rs in facts.old if not rs["metadata"].get("deletionTimestamp")]
    surplus = sorted(kept, key=revision)[: max(0, len(kept) - limit)]
    return [rs for rs in surplus if _is_idle(rs)]


def _is_idle(rs: Object) -> bool:
    observed = (rs.get("status") or {}).get("observedGeneration") or 0
    return not replicas(rs) and not counted([rs], "replicas") and rs["metadata"].get("generation", 0) <= observed
