"""Acting as somebody else."""

import pytest

from podling.aio.http import Headers
from podling.api.status import ApiError
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.impersonation import impersonated

ADMIN = User("admin", ("system:masters",))


class Allow:
    """Allows to impersonate what is listed; remembers what was asked."""

    def __init__(self, *allowed: tuple[str, str]) -> None:
        self._allowed = allowed
        self.asked: list[Attributes] = []

    def authorize(self, attributes: Attributes) -> Decision:
        self.asked.append(attributes)
        assert attributes.verb == "impersonate"
        return Decision((attributes.resource, attributes.name) in self._allowed, "because")


def test_nobody_is_asked_for() -> None:
    assert impersonated(ADMIN, Headers([("accept", "x")]), Allow()) is ADMIN


def test_users_groups_and_more() -> None:
    headers = Headers(
        [
            ("Impersonate-User", "ann"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Uid", "7"),
            ("Impersonate-Extra-example.com%2Fteam", "a"),
        ]
    )
    allow = Allow(("users", "ann"), ("groups", "dev"), ("groups", "ops"), ("uids", "7"), ("userextras", "a"))
    groups = ("dev", "ops", "system:authenticated")
    assert impersonated(ADMIN, headers, allow) == User("ann", groups, "7", {"example.com/team": ["a"]})
    assert allow.asked[-1].subresource == "example.com/team"
    with pytest.raises(ApiError) as refused:
        impersonated(ADMIN, headers, Allow(("users", "ann"), ("groups", "dev")))
    assert refused.value.message == 'groups "ops" is forbidden: because'


def test_service_accounts_have_their_groups() -> None:
    headers = Headers([("Impersonate-User", "system:serviceaccount:shop:web")])
    allow = Allow(("serviceaccounts", "web"))
    found = impersonated(ADMIN, headers, allow)
    assert found.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
    assert allow.asked[0].namespace == "shop"


def test_anonymous_is_not_authenticated() -> None:
    headers = Headers([("Impersonate-User", "system:anonymous")])
    assert impersonated(ADMIN, headers, Allow(("users", "system:anonymous"))).groups == ("system:unauthenticated",)


def test_groups_need_a_user() -> None:
    with pytest.raises(ApiError) as refused:
        impersonated(ADMIN, Headers([("Impersonate-Group", "dev")]), Allow())
    assert refused.value.code == 400
