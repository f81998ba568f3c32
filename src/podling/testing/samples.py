"""Objects as clients send them, and what the API makes of them."""

from collections.abc import Callable
from typing import Any

from podling.api.kind import Kind
from podling.api.objects import thaw

Object = dict[str, Any]


def pod(**spec: Any) -> Object:
    """A small pod; `spec` overrides or adds."""
    whole = {"containers": [{"name": "web", "image": "nginx:1.27"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "spec": whole}


def container(**members: Any) -> Object:
    """The spec of a pod whose one container has `members`."""
    return {"containers": [{"name": "web", "image": "nginx:1.27", **members}]}


def deployment(**spec: Any) -> Object:
    whole = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]},
        **spec,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": whole}


def created(kind: Kind, obj: Object) -> Object:
    """`obj` as it would be stored."""
    new: Object = thaw(obj)
    kind.default(new)
    kind.prepare_create(new)
    return new


def refusals(kind: Kind, obj: Object) -> list[str]:
    """What a create of `obj` is refused for."""
    return [error.message for error in kind.errors(created(kind, obj))]


def changed(kind: Kind, old: Object, edit: Callable[[Object], object]) -> tuple[Object, list[str]]:
    """`old`, which is stored, after an update, and what is wrong with it."""
    new = thaw(old)
    edit(new)
    kind.default(new)
    kind.prepare_update(new, old)
    return new, [error.message for error in kind.errors(new, old)]


def stored(kind: Kind, obj: Object) -> Object:
    """`obj` as the store has it: with a uid and a revision."""
    new = created(kind, obj)
    new["metadata"] |= {"uid": "u-1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return new
