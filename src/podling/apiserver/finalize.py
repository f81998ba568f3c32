"""Deletion as a decision: when an object goes at once, when it waits, and for what. Pure.

Source: Kubernetes documentation "Finalizers", "Garbage Collection"; k8s.io/apiserver registry/rest/delete.go.
"""

from dataclasses import dataclass
from typing import Any

from podling.api.kind import Kind
from podling.api.objects import get
from podling.api.timestamps import rfc3339

Object = dict[str, Any]

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
DEFAULT_GRACE = 30


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """meta/v1 DeleteOptions. `grace` is in seconds, None when the client leaves it to the object."""

    grace: int | None = None
    propagation: str = ""
    orphan_dependents: bool | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


def is_finished(obj: Object) -> bool:
    """Whether nothing holds an object that is being deleted any more."""
    metadata = obj["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not _namespace_finalizers(obj)
    )


def _namespace_finalizers(obj: Object) -> list[str]:
    if obj.get("kind") != "Namespace" or obj.get("apiVersion") != "v1":
        return []
    return get(obj, "spec.finalizers", []) or []


def grace_of(kind: Kind, obj: Object, asked: int | None) -> int:
    """Seconds that the object gets: only pods that run on a node get any."""
    if kind.storage != ("", "pods") or not get(obj, "spec.nodeName"):
        return 0
    if get(obj, "status.phase") in ("Succeeded", "Failed"):
        return 0
    if asked is None:
        asked = get(obj, "spec.terminationGracePeriodSeconds")
    if asked is None:
        return DEFAULT_GRACE
    return max(asked, 1) if asked < 0 else asked


def finalizers_for(kind: Kind, obj: Object, options: DeleteOptions) -> list[str]:
    """The finalizers with those that the propagation policy asks for; without a policy those that are there stay."""
    finalizers = list(obj["metadata"].get("finalizers") or ())
    wanted = _policy_finalizer(options)
    if wanted is None and kind.orphans and FOREGROUND not in finalizers:
        wanted = ORPHAN
    if wanted is None:
        return finalizers
    kept = [name for name in finalizers if name not in (ORPHAN, FOREGROUND)]
    return [*kept, wanted] if wanted else kept


def _policy_finalizer(options: DeleteOptions) -> str | None:
    """The garbage collector's finalizer: "" for none, None when the client doesn't say."""
    if options.orphan_dependents is not None:
        return ORPHAN if options.orphan_dependents else ""
    return {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}.get(options.propagation)


def mark_deleted(kind: Kind, obj: Object, options: DeleteOptions, now: float) -> Object:
    """`obj` as it waits for its end; `is_finished` tells whether it waits for anything."""
    metadata = dict(obj["metadata"])
    grace = grace_of(kind, obj, options.grace)
    finalizers = finalizers_for(kind, obj, options)
    if kind.finalizer and not metadata.get("deletionTimestamp") and kind.finalizer not in finalizers:
        finalizers.append(kind.finalizer)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if not metadata.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = rfc3339(now + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if metadata.get("generation"):
            metadata["generation"] += 1
    elif _shortens(metadata, grace, options):
        metadata["deletionTimestamp"] = rfc3339(now + grace)
        metadata["deletionGracePeriodSeconds"] = grace
    marked = {**obj, "metadata": metadata}
    if _namespace_finalizers(obj):
        marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return marked


def _shortens(metadata: Object, grace: int, options: DeleteOptions) -> bool:
    """A second delete may only hurry."""
    waiting = metadata.get("deletionGracePeriodSeconds") or 0
    return grace < waiting and (options.grace is not None or grace == 0)
