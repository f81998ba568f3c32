"""Fields of a pod and its resources as text: fieldRef and resourceFieldRef, the downward API. Pure.

Source: Kubernetes, "Downward API", "Available fields".
"""

import json
import re
from collections.abc import Mapping

from podling.base import quantity
from podling.base.errors import InvalidInput
from podling.node.pod.spec import Object, uid_of

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


def field_value(pod: Object, path: str, node: Mapping[str, str]) -> str:
    """The value at a fieldPath. `node` holds what isn't in the object yet: status.podIP, status.hostIP and their plurals."""
    metadata, spec = pod["metadata"], pod["spec"]
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
    }
    if path in simple:
        return str(simple[path])
    if path in ("metadata.labels", "metadata.annotations"):
        return _lines(metadata.get(path.partition(".")[2]) or {})
    if match := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    if path in node:
        return node[path]
    raise InvalidInput(f"unsupported fieldPath: {path}")


def _lines(entries: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(entries.items()))


def resource_value(pod: Object, container: Object, reference: Object, node: Mapping[str, str]) -> str:
    """The value of e.g. `limits.cpu` in units of the divisor, rounded up; where no limit is set, the node's allocatable."""
    part, _, name = reference["resource"].partition(".")
    if part not in ("limits", "requests") or not name:
        raise InvalidInput(f"unsupported container resource: {reference['resource']}")
    resources = container.get("resources") or {}
    found = (resources.get(part) or {}).get(name)
    if found is None and part == "limits":
        found = node.get(name)
    amount = quantity.parse(found if found is not None else "0")
    divisor = quantity.parse(reference.get("divisor") or "1")
    unit = divisor.nanos or quantity.NANO
    return str(-(-amount.nanos // unit))
