"""Who asks, and for what: the facts that authentication, authorization and admission share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from podling.aio.http import Request
from podling.api.status import ApiError, forbidden


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated subject. Source: authentication.k8s.io/v1 UserInfo."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False)


def user_info(user: User) -> dict[str, Any]:
    """authentication.k8s.io/v1 UserInfo."""
    info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    return info


NODES, NODE_PREFIX = "system:nodes", "system:node:"


def node_of(user: User) -> str:
    """The name of the node whose agent this is; "" for everybody else."""
    return user.name.removeprefix(NODE_PREFIX) if user.name.startswith(NODE_PREFIX) and NODES in user.groups else ""


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request as the authorizer and admission see it. Source: authorization.k8s.io/v1 SubjectAccessReviewSpec.

    `verb` is get, list, watch, create, update, patch, delete or deletecollection for resources, the lower-case HTTP method else.
    """

    user: User
    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: str = ""
    """The field selector of a list or watch."""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


class Authenticator(Protocol):
    async def authenticate(self, request: Request) -> User | None:
        """The subject; None when the request carries no credentials of this kind. Raises a 401 ApiError for wrong ones."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed`, or a reason for the 403's message."""

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    def authorize(self, attributes: Attributes) -> Decision: ...

    def rules(self, user: User, namespace: str) -> Sequence[Mapping[str, Any]]:
        """The PolicyRules that hold for the user in the namespace."""


def require(authorizer: Authorizer, attributes: Attributes) -> None:
    """Raises 403 where the user may not."""
    decision = authorizer.authorize(attributes)
    if not decision.allowed:
        raise refusal(attributes, decision)


def refusal(attributes: Attributes, decision: Decision) -> ApiError:
    """The 403 for a decision against the user."""
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    return forbidden(resource, attributes.name, decision.reason, attributes.group)
