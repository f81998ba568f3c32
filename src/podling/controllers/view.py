"""What deciders see of the cluster: the informers' caches, read-only, and what the runner noticed meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from podling.api.objects import Object, controller_of, is_controlled_by, labels_of, namespace_of, uid_of
from podling.api.selectors import Selector
from podling.client.cache import INDEXES, Cache
from podling.client.resource import Resource

Key = tuple[Resource, str]  # resource, namespace/name


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an action of the last attempt failed. `reason` is that of the server's Status."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was read of what can't be watched; or why it couldn't be, and the HTTP status, 0 for a server that wasn't reached."""

    answer: Object
    error: str = ""
    code: int = 200


@dataclass(frozen=True, slots=True)
class View:
    """`changed` has when an object was last seen to change or go, `since` when looking began, `failures` the last attempt's.

    `fetched` has what the last plans for this object asked for, by path; `memory` what they asked to remember, by the object.
    """

    caches: Mapping[Resource, Cache]
    changed: Mapping[Key, float] = field(default_factory=dict)
    since: float = 0.0
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    fetched: Mapping[str, Fetched] = field(default_factory=dict)
    memory: Mapping[Key, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Mapping[Resource, Iterable[Object]], **noticed: object) -> Self:
        """A view of these objects, with all indexes: for tests and simulations."""
        return cls({resource: _cache(items) for resource, items in objects.items()}, **noticed)  # type: ignore[arg-type]

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        return self.caches[resource].get(f"{namespace}/{name}" if namespace else name)

    def all(self, resource: Resource) -> Iterable[Object]:
        return self.caches[resource]

    def within(self, resource: Resource, namespace: str) -> list[Object]:
        return self.caches[resource].find("namespace", namespace)

    def owned(self, resource: Resource, owner: Object) -> list[Object]:
        """What `owner` is the controller of."""
        return [obj for obj in self.caches[resource].find("owner", uid_of(owner)) if is_controlled_by(obj, owner)]

    def dependents(self, resource: Resource, uid: str) -> list[Object]:
        """What names `uid` among its owners."""
        return self.caches[resource].find("owner", uid)

    def selected(self, resource: Resource, namespace: str, selector: Selector) -> list[Object]:
        """What `selector` matches in `namespace`, found by one of its equalities where it has one."""
        if selector.nothing:
            return []
        for term in selector.requirements:
            if term.operator == "in" and len(term.values) == 1:
                found = self.caches[resource].find("label", f"{namespace}/{term.key}={next(iter(term.values))}")
                return [obj for obj in found if selector.matches(labels_of(obj))]
        return [obj for obj in self.within(resource, namespace) if selector.matches(labels_of(obj))]

    def orphans(self, resource: Resource, namespace: str, selector: Selector) -> list[Object]:
        """What `selector` matches and nobody controls."""
        return [obj for obj in self.selected(resource, namespace, selector) if controller_of(obj) is None]

    def on_node(self, resource: Resource, node: str) -> list[Object]:
        return self.caches[resource].find("node", node)

    def quiet_since(self, resource: Resource, key: str) -> float:
        """When `key` was last seen to change or go (seconds since the epoch); since when we look, where it wasn't seen to."""
        return self.changed.get((resource, key), self.since)

    def failure(self, resource: Resource, obj: Object) -> Failure | None:
        namespace = namespace_of(obj)
        name = obj["metadata"]["name"]
        return self.failures.get((resource, f"{namespace}/{name}" if namespace else name))


def _cache(items: Iterable[Object]) -> Cache:
    cache = Cache()
    for name in INDEXES:
        cache.index(name)
    for item in items:
        cache.put(item)
    return cache
