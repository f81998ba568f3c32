"""Acting as somebody else, for who may. Source: Kubernetes documentation "User impersonation"."""

from collections.abc import Iterator
from urllib.parse import unquote

from podling.aio.http import Headers
from podling.api.status import bad_request, forbidden
from podling.apiserver.authn import AUTHENTICATED
from podling.apiserver.identity import ANONYMOUS, Attributes, Authorizer, User

_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


def impersonated(user: User, headers: Headers, authorizer: Authorizer) -> User:
    """The user that the request asks to act as, else `user` itself. Raises 400, 403."""
    if not any(field.startswith("impersonate-") for field, _ in headers):
        return user
    name = headers.get("impersonate-user")
    wanted = User(name, tuple(headers.all("impersonate-group")), headers.get("impersonate-uid"), _extra(headers))
    if not name:
        raise bad_request("requested to impersonate groups, a uid or extra without impersonating a user")
    for attributes in _asked(user, wanted):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise forbidden(attributes.resource, attributes.name, decision.reason, attributes.group)
    return User(name, _groups(wanted), wanted.uid, wanted.extra)


def _extra(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field, value in headers:
        if field.startswith(_EXTRA):
            found.setdefault(unquote(field.removeprefix(_EXTRA)), []).append(value)
    return found


def _asked(user: User, wanted: User) -> Iterator[Attributes]:
    """What `user` must be allowed to impersonate, one by one."""
    verb = "impersonate"
    if account := _account(wanted.name):
        namespace, name = account
        yield Attributes(user, verb, "", resource="serviceaccounts", namespace=namespace, name=name)
    else:
        yield Attributes(user, verb, "", resource="users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(user, verb, "", resource="groups", name=group)
    if wanted.uid:
        yield Attributes(user, verb, "", _AUTHENTICATION, "v1", "uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(user, verb, "", _AUTHENTICATION, "v1", "userextras", key, name=value)


def _account(name: str) -> tuple[str, str] | None:
    """(namespace, name) of a service account's user name."""
    namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
    return (namespace, account) if name.startswith(_ACCOUNT) and namespace and account else None


def _groups(wanted: User) -> tuple[str, ...]:
    """The groups that were asked for, and those that the user has anyway."""
    groups = wanted.groups
    if not groups and (account := _account(wanted.name)):
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    own = ANONYMOUS.groups if wanted.name == ANONYMOUS.name else (AUTHENTICATED,)
    return tuple(dict.fromkeys((*groups, *own)))
