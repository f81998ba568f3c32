"""The status of a definition: which names it gets beside all others, and whether its objects are served.

Source: k8s.io/apiextensions-apiserver controller/status, controller/establish.
"""

from collections.abc import Iterable
from typing import Any

from podling.api.objects import get, has_condition, name_of, with_condition

Object = dict[str, Any]


def accepts(definition: Object, others: Iterable[Object]) -> tuple[Object, list[str]]:
    """The names that the definition may have beside `others` of all, and what is wrong with those it may not.

    What it once got it keeps.
    """
    spec = definition["spec"]
    wanted = spec["names"]
    taken = _taken(spec["group"], name_of(definition), others)
    accepted = dict(get(definition, "status.acceptedNames", {}))
    complaints = []
    for member in ("plural", "singular", "kind", "listKind"):
        name = wanted.get(member) or ""
        if name and name in taken[member in ("kind", "listKind")]:
            complaints.append(f'"{name}" is already in use')
        elif name:
            accepted[member] = name
        else:
            accepted.pop(member, None)
    short = [name for name in wanted.get("shortNames") or () if name not in taken[False]]
    complaints += [f'"{name}" is already in use' for name in wanted.get("shortNames") or () if name not in short]
    for member, names in (("shortNames", short), ("categories", wanted.get("categories"))):
        if names:
            accepted[member] = names
        else:
            accepted.pop(member, None)
    return accepted, complaints


def _taken(group: str, name: str, others: Iterable[Object]) -> tuple[set[str], set[str]]:
    """The resources and the kinds that other definitions of the group have."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if name_of(other) == name or other["spec"]["group"] != group:
            continue
        names = get(other, "status.acceptedNames", {})
        resources.update([names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())])
        kinds.update([names.get("kind", ""), names.get("listKind", "")])
    return resources, kinds


def status_of(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The status that the definition should have."""
    accepted, complaints = accepts(definition, others)
    conditions = get(definition, "status.conditions", [])
    if complaints:
        named = {"status": "False", "reason": "NamesConflict", "message": ", ".join(complaints)}
    else:
        named = {"status": "True", "reason": "NoConflicts", "message": "no conflicts found"}
    conditions = with_condition(conditions, {"type": "NamesAccepted", **named}, now)
    if not complaints:
        served = {"status": "True", "reason": "InitialNamesAccepted", "message": "the initial names have been accepted"}
        conditions = with_condition(conditions, {"type": "Established", **served}, now)
    elif not is_established(definition):
        served = {"status": "False", "reason": "NotAccepted", "message": "not all names are accepted"}
        conditions = with_condition(conditions, {"type": "Established", **served}, now)
    return {
        **(definition.get("status") or {}),
        "acceptedNames": {"plural": "", "kind": "", **accepted},
        "conditions": conditions,
    }


def is_established(definition: Object) -> bool:
    return has_condition(definition, "Established")
