"""Which nodes a pod's node selector and required node affinity want. Source: v1 NodeSelector; "Assigning Pods to Nodes"."""

from collections.abc import Mapping
from typing import Any

from podling.api import selectors
from podling.api.objects import get

Object = dict[str, Any]
Labels = Mapping[str, str]


def is_wanted(spec: Object, node: str, labels: Labels) -> bool:
    """Whether a pod of `spec` may be on the node of that name and labels: by its selector and by any one required term."""
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = get(spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(matches(term, node, labels) for term in required.get("nodeSelectorTerms") or ())


def matches(term: Object, node: str, labels: Labels) -> bool:
    """All expressions must hold; a term without any matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    named = {"metadata.name": node}
    return all(selectors.of_expression(one).matches(labels) for one in expressions) and all(
        selectors.of_expression(one).matches(named) for one in fields
    )
