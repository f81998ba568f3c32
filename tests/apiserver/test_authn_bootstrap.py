"""Bootstrap tokens: who joins by them, and which let nobody in."""

import base64
from typing import Any

import pytest

from podling.aio.http import Headers, Query, Request
from podling.api.status import ApiError
from podling.apiserver.authn_bootstrap import BootstrapTokens
from podling.controllers.bootstrap_tokens import BOOTSTRAP_TOKENS
from podling.testing.clock import ManualClock

ID, SECRET = "abcdef", "0123456789abcdef"
GOOD = {
    "token-id": ID,
    "token-secret": SECRET,
    "expiration": "2023-11-15T00:00:00Z",
    "usage-bootstrap-authentication": "true",
    "auth-extra-groups": "system:bootstrappers:rack:one",
}


def secret(type: str = "bootstrap.kubernetes.io/token", **data: str) -> dict[str, Any]:
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in {**GOOD, **data}.items()}
    return {"metadata": {"name": f"bootstrap-token-{ID}", "namespace": "kube-system"}, "type": type, "data": encoded}


def tokens(found: dict[str, Any]) -> BootstrapTokens:
    def find(plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        return found if (plural, namespace, name) == ("secrets", "kube-system", f"bootstrap-token-{ID}") else None

    return BootstrapTokens(find, ManualClock())


def request(token: str) -> Request:
    return Request("GET", "/", Query(), Headers([("Authorization", f"Bearer {token}")]), None)  # type: ignore[arg-type]


async def test_a_good_token() -> None:
    user = await tokens(secret()).authenticate(request(f"{ID}.{SECRET}"))
    assert user is not None
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == ("system:bootstrappers", "system:bootstrappers:rack:one", "system:authenticated")


@pytest.mark.parametrize(
    "found",
    [
        secret(**{"token-secret": "0123456789abcdeX"}),
        secret(**{"token-id": "xxxxxx"}),
        secret(expiration="2023-11-14T00:00:00Z"),
        secret(expiration="soon"),
        secret(**{"usage-bootstrap-authentication": "false"}),
        secret(**{"auth-extra-groups": "system:masters"}),
        secret("Opaque"),
    ],
)
async def test_tokens_that_let_nobody_in(found: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as error:
        await tokens(found).authenticate(request(f"{ID}.{SECRET}"))
    assert error.value.code == 401


async def test_other_tokens_are_for_others_to_judge() -> None:
    assert await tokens(secret()).authenticate(request("eyJ.a.b")) is None


def test_a_token_whose_time_is_over_is_deleted() -> None:
    end = 1_700_006_400.0
    assert BOOTSTRAP_TOKENS.reconcile(secret(), None, end - 5).requeue_after == 5  # type: ignore[arg-type]
    assert BOOTSTRAP_TOKENS.reconcile(secret(), None, end).actions  # type: ignore[arg-type]
    assert not BOOTSTRAP_TOKENS.reconcile(secret("Opaque"), None, end).actions  # type: ignore[arg-type]
