"""v1 Binding: a pod is told its node. Source: Kubernetes API reference, "Binding"."""

from collections.abc import Iterator

from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object
from podling.api.rules import present


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    target = at(new, "target")
    if target.get("kind") not in (None, "", "Node"):
        yield (target / "kind").unsupported(("Node", "<empty>"))
    yield from present(target / "name")


BINDING = Kind(api_version="v1", kind="Binding", plural="bindings", verbs=("create",), validate=validate)
