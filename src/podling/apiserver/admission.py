"""Admission: one write, as what may change or refuse it sees it. The order of the plugins stands in admission_order.py."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
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
