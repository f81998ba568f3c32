"""Bootstrap tokens: what a machine joins with. Source: Kubernetes documentation "Authenticating with Bootstrap Tokens"."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from podling.aio.clock import Clock
from podling.aio.http import Request
from podling.api import timestamps
from podling.api.status import unauthorized
from podling.apiserver.authn import AUTHENTICATED, bearer
from podling.apiserver.identity import User

NAMESPACE, TYPE = "kube-system", "bootstrap.kubernetes.io/token"
BOOTSTRAPPERS = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")

Find = Callable[[str, str, str], Mapping[str, Any] | None]


class BootstrapTokens:
    """Bearer tokens `ID.SECRET` that Secrets in kube-system hold. `find(plural, namespace, name)` looks into the watch cache."""

    def __init__(self, find: Find, clock: Clock) -> None:
        self._find = find
        self._clock = clock

    async def authenticate(self, request: Request) -> User | None:
        token = bearer(request)
        if not _TOKEN.fullmatch(token):
            return None
        if (user := self.user(token)) is None:
            raise unauthorized()
        return user

    def user(self, token: str) -> User | None:
        """Who the token lets in; None when nobody."""
        match = _TOKEN.fullmatch(token)
        secret = self._find("secrets", NAMESPACE, f"bootstrap-token-{match[1]}") if match else None
        if match is None or secret is None or secret.get("type") != TYPE or secret["metadata"].get("deletionTimestamp"):
            return None
        data = _texts(secret.get("data") or {})
        if data.get("token-id") != match[1] or not hmac.compare_digest(data.get("token-secret", ""), match[2]):
            return None
        if data.get("usage-bootstrap-authentication") != "true" or self._is_over(data.get("expiration", "")):
            return None
        extra = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        if not all(map(_GROUP.fullmatch, extra)):
            return None
        return User(f"system:bootstrap:{match[1]}", (BOOTSTRAPPERS, *extra, AUTHENTICATED))

    def _is_over(self, expiration: str) -> bool:
        """What can't be read is over."""
        try:
            return bool(expiration) and timestamps.parse(expiration) <= self._clock.now()
        except ValueError:
            return True


def _texts(data: Mapping[str, str]) -> dict[str, str]:
    """A Secret's members; what is no text is left out."""
    found = {}
    for name, value in data.items():
        try:
            found[name] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found
