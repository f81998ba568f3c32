"""Admission: one write, as what may change or refuse it sees it. The order of the plugins stands in admission_order.py."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from podling.api.kind import Kind
from podling.apiserver.call import Backend
from podling.apiserver.identity import Attributes

Object = dict[str, Any]

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(slots=True)
class Review:
    """One write as the plugins see it. Mutating plugins edit `obj` in place; it is None for a DELETE, `old` for a CREATE.

    `kind` is that of the resource in the path, also where `attributes.subresource` says that another kind goes over it.
    """

    backend: Backend
    attributes: Attributes
    kind: Kind
    operation: str
    obj: Object | None
    old: Object | None
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """What plugins tell the audit log."""
    finish: list[Callable[[], None]] = field(default_factory=list)
    """Called when the write is over, however it went."""

    def is_(self, operation: str, *resource: str) -> bool:
        """Whether this is `operation` on an object itself, of (group, plural)."""
        return self.operation == operation and self.kind.storage == resource and not self.attributes.subresource


Plugin = Callable[[Review], Awaitable[None]]
"""Raises ApiError to refuse. A mutating plugin may run again for one request, when the write is tried again."""
Resource = tuple[str, str]
"""(group, plural)"""
_CONCERNS: dict[Plugin, tuple[frozenset[str], frozenset[Resource]]] = {}


def concerns(operations: Iterable[str] = (), resources: Iterable[Resource] = ()) -> Callable[[Plugin], Plugin]:
    """Marks a plugin that has nothing to say on other operations and resources, so that it isn't asked; empty is all."""

    def mark(plugin: Plugin) -> Plugin:
        _CONCERNS[plugin] = frozenset(operations), frozenset(resources)
        return plugin

    return mark


@lru_cache(maxsize=4096)
def concerned(plugins: Sequence[Plugin], operation: str, resource: Resource) -> tuple[Plugin, ...]:
    """Those of `plugins` that an operation on objects kept as `resource` concerns, in their order."""
    return tuple(plugin for plugin in plugins if _concerns(plugin, operation, resource))


def _concerns(plugin: Plugin, operation: str, resource: Resource) -> bool:
    operations, resources = _CONCERNS.get(plugin, (None, None))
    return (not operations or operation in operations) and (not resources or resource in resources)
